package actorsystem

import (
	"reflect"
	"unsafe"

	"github.com/asynkron/protoactor-go/actor"
)

// words are what an interface consists of: what kind of thing is in it, and where.
type words struct{ kind, data unsafe.Pointer }

// layout says where in an actor's process and mailbox lies what tells that to send to it
// is harmless, and what must be there. Package reflect would find the same in some
// hundred nanoseconds, which is as much as the rest of an answer costs.
type layout struct {
	valid             bool
	mailbox           uintptr        // in an ActorProcess
	kind              unsafe.Pointer // of that
	user, middlewares uintptr        // in the mailbox
	handlers          [2]uintptr     // in the mailbox: the dispatcher, the invoker
	unlimited         [2]unsafe.Pointer
	harmless          unsafe.Pointer // kind of dispatcher
}

// prompt is Prompt of a local actor.
func (l *layout) prompt(process *actor.ActorProcess) bool {
	if !l.valid {
		return false
	}
	mailbox := l.inside(process)
	if mailbox == nil {
		return false
	}
	user := (*words)(unsafe.Add(mailbox, l.user)).kind
	dispatcher, ready := l.handled(mailbox)
	return ready && dispatcher == l.harmless && (user == l.unlimited[0] || user == l.unlimited[1]) &&
		len(*(*[]actor.MailboxMiddleware)(unsafe.Add(mailbox, l.middlewares))) == 0
}

// ready is Ready of a local actor.
func (l *layout) ready(process *actor.ActorProcess) bool {
	if !l.valid {
		return true
	}
	mailbox := l.inside(process)
	if mailbox == nil {
		return true
	}
	_, ready := l.handled(mailbox)
	return ready
}

// inside is where the process's mailbox lies; nil: it is none of the library's.
func (l *layout) inside(process *actor.ActorProcess) unsafe.Pointer {
	mailbox := (*words)(unsafe.Add(unsafe.Pointer(process), l.mailbox))
	if mailbox.kind != l.kind {
		return nil
	}
	return mailbox.data
}

// handled is the kind of a mailbox's dispatcher, and whether all is there that RegisterHandlers
// brings. The goroutine that spawns the actor may be writing it at this moment, once and for
// good: a word that was seen stays. The library has no lock to take for it, which is why the
// race detector is not told.
//
//go:norace
func (l *layout) handled(mailbox unsafe.Pointer) (dispatcher unsafe.Pointer, ready bool) {
	for _, at := range l.handlers {
		if handler := (*words)(unsafe.Add(mailbox, at)); handler.kind == nil || handler.data == nil {
			return nil, false
		}
	}
	return (*words)(unsafe.Add(mailbox, l.handlers[0])).kind, true
}

// findLayout looks into samples. Where anything is not as it is known, or package reflect
// sees something else there, nothing is valid and no process is prompt.
func findLayout() *layout {
	if l := look(); l.valid && l.agrees() {
		return l
	}
	return &layout{}
}

func look() *layout {
	l := &layout{}
	field := func(t reflect.Type, name string, kind reflect.Kind) uintptr {
		f, found := t.FieldByName(name)
		if !found || len(f.Index) != 1 || f.Type.Kind() != kind {
			l.valid = false
		}
		return f.Offset
	}
	l.valid = true
	l.mailbox = field(reflect.TypeFor[actor.ActorProcess](), "mailbox", reflect.Interface)
	dispatcher := actor.NewDefaultDispatcher(1)
	for i, producer := range []actor.MailboxProducer{actor.Unbounded(), actor.UnboundedLockfree()} {
		mailbox := producer()
		t := reflect.TypeOf(mailbox)
		if t.Kind() != reflect.Pointer || t.Elem().Kind() != reflect.Struct {
			return &layout{}
		}
		t = t.Elem()
		l.user = field(t, "userMailbox", reflect.Interface)
		l.handlers = [2]uintptr{field(t, "dispatcher", reflect.Interface), field(t, "invoker", reflect.Interface)}
		l.middlewares = field(t, "middlewares", reflect.Slice)
		if !l.valid {
			return l
		}
		mailbox.RegisterHandlers(nobody{}, dispatcher)
		if !isPair(mailbox) {
			return &layout{}
		}
		l.kind = (*words)(unsafe.Pointer(&mailbox)).kind
		inside := (*words)(unsafe.Pointer(&mailbox)).data
		l.unlimited[i] = (*words)(unsafe.Add(inside, l.user)).kind
		l.harmless = (*words)(unsafe.Add(inside, l.handlers[0])).kind
	}
	return l
}

// isPair reports whether an interface is a pair of words, the second of which leads to what
// is in it.
func isPair(mailbox actor.Mailbox) bool {
	return unsafe.Sizeof(mailbox) == unsafe.Sizeof(words{}) &&
		(*words)(unsafe.Pointer(&mailbox)).data == reflect.ValueOf(mailbox).UnsafePointer()
}

// agrees compares what the layout tells of actors of all sorts with what reflect does.
func (l *layout) agrees() bool {
	starting, waiting := actor.NewDefaultDispatcher(1), actor.NewSynchronizedDispatcher(1)
	prompt := 0
	for _, sample := range []struct {
		mailbox    actor.MailboxProducer
		dispatcher actor.Dispatcher
	}{
		{actor.Unbounded(), starting}, {actor.UnboundedLockfree(), starting}, {actor.Unbounded(), waiting},
		{actor.Unbounded(idle{}), starting}, {actor.UnboundedLockfree(idle{}), starting},
		{actor.UnboundedPriority(), starting}, {actor.Bounded(1), starting}, {actor.BoundedDropping(1), starting},
	} {
		mailbox := sample.mailbox()
		process := actor.NewActorProcess(mailbox)
		for _, half := range []func(){
			func() {},
			func() { mailbox.RegisterHandlers(nobody{}, nil) },
			func() { mailbox.RegisterHandlers(nil, sample.dispatcher) },
		} {
			if half(); l.ready(process) || l.prompt(process) {
				return false
			}
		}
		mailbox.RegisterHandlers(nobody{}, sample.dispatcher)
		if !l.ready(process) || l.prompt(process) != reflectedPrompt(process) {
			return false
		}
		if l.prompt(process) {
			prompt++
		}
	}
	return prompt == 2 // else reflect sees nothing either
}

// reflectedPrompt is prompt by package reflect.
func reflectedPrompt(process *actor.ActorProcess) bool {
	mailbox := mailboxOf(process)
	if !mailbox.IsValid() || mailbox.Type() != behind(reflect.ValueOf(actor.Unbounded()())).Type() {
		return false
	}
	user := func(m reflect.Value) reflect.Type { return m.FieldByName("userMailbox").Elem().Type() }
	isUnlimited := false
	for _, producer := range []actor.MailboxProducer{actor.Unbounded(), actor.UnboundedLockfree()} {
		isUnlimited = isUnlimited || user(mailbox) == user(behind(reflect.ValueOf(producer())))
	}
	return isUnlimited && mailbox.FieldByName("middlewares").Len() == 0 &&
		mailbox.FieldByName("dispatcher").Elem().Type() == reflect.TypeOf(actor.NewDefaultDispatcher(1))
}

// nobody is an actor's part that its mailbox calls.
type nobody struct{}

func (nobody) InvokeSystemMessage(any)  {}
func (nobody) InvokeUserMessage(any)    {}
func (nobody) EscalateFailure(_, _ any) {}

// idle is middleware.
type idle struct{}

func (idle) MailboxStarted()     {}
func (idle) MessagePosted(any)   {}
func (idle) MessageReceived(any) {}
func (idle) MailboxEmpty()       {}
