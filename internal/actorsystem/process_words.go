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
	valid                         bool
	mailbox                       uintptr        // in an ActorProcess
	kind                          unsafe.Pointer // of that
	user, dispatcher, middlewares uintptr        // in the mailbox
	unlimited                     [2]unsafe.Pointer
	harmless                      unsafe.Pointer // kind of dispatcher
}

// prompt is Prompt of a local actor.
func (l *layout) prompt(process *actor.ActorProcess) bool {
	if !l.valid {
		return false
	}
	mailbox := (*words)(unsafe.Add(unsafe.Pointer(process), l.mailbox))
	if mailbox.kind != l.kind || mailbox.data == nil {
		return false
	}
	user := (*words)(unsafe.Add(mailbox.data, l.user)).kind
	return (user == l.unlimited[0] || user == l.unlimited[1]) &&
		(*words)(unsafe.Add(mailbox.data, l.dispatcher)).kind == l.harmless &&
		len(*(*[]actor.MailboxMiddleware)(unsafe.Add(mailbox.data, l.middlewares))) == 0
}

// findLayout looks into samples. Where anything is not as it is known, nothing is valid
// and nobody is prompt.
func findLayout() *layout {
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
		l.dispatcher = field(t, "dispatcher", reflect.Interface)
		l.middlewares = field(t, "middlewares", reflect.Slice)
		if !l.valid {
			return l
		}
		mailbox.RegisterHandlers(nil, dispatcher)
		l.kind = (*words)(unsafe.Pointer(&mailbox)).kind
		inside := (*words)(unsafe.Pointer(&mailbox)).data
		l.unlimited[i] = (*words)(unsafe.Add(inside, l.user)).kind
		l.harmless = (*words)(unsafe.Add(inside, l.dispatcher)).kind
	}
	return l
}
