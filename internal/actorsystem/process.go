package actorsystem

import (
	"reflect"
	"sync"

	"github.com/Workiva/go-datastructures/queue"
	"github.com/asynkron/protoactor-go/actor"
)

// Whoever sends a message to an actor runs the code of its mailbox and dispatcher.
// Of an actor that somebody else has spawned those may be anything: a bounded mailbox
// spins while it is full, a synchronised dispatcher runs the actor in its sender's
// goroutine, middleware of the mailbox is its owner's code, and a process of another
// kind may do whatever it likes. What can be seen of them tells which are harmless;
// what can't be seen is not.
//
// Proto.Actor has no way to ask, so that the types behind its unexported fields are
// compared with those of samples. In a version that has others everybody counts as
// unknown, which costs a goroutine and nothing else.

// Prompt reports whether sending to a process never blocks and runs nobody's code: it
// is an actor with an unlimited mailbox, whose dispatcher starts a goroutine.
func Prompt(process actor.Process) bool {
	local, ok := process.(*actor.ActorProcess)
	if !ok || local == nil {
		return false
	}
	m := lookInto(local)
	return known().unlimited[m.queue] && m.dispatcher == known().dispatcher && m.middlewares == 0
}

// Room returns a function that reports whether an actor's bounded mailbox takes one
// more message, or nil where that can't be told.
func Room(process actor.Process) func() bool {
	local, ok := process.(*actor.ActorProcess)
	if !ok || local == nil {
		return nil
	}
	m := lookInto(local)
	if m.ring == nil {
		return nil
	}
	// One place less: a mailbox that drops does so at that length, and is broken then.
	return func() bool { return m.ring.Len()+1 < m.ring.Cap() }
}

// shape is what can be seen of an actor's mailbox.
type shape struct {
	queue       reflect.Type
	dispatcher  reflect.Type
	middlewares int
	ring        *queue.RingBuffer // of a bounded one
}

func lookInto(process *actor.ActorProcess) (m shape) {
	mailbox := behind(reflect.ValueOf(process).Elem().FieldByName("mailbox"))
	if mailbox.Kind() != reflect.Struct {
		return m
	}
	if mailbox.Type() != known().mailbox {
		return m
	}
	if d := mailbox.FieldByName("dispatcher"); d.Kind() == reflect.Interface && !d.IsNil() {
		m.dispatcher = d.Elem().Type()
	}
	m.middlewares = -1
	if list := mailbox.FieldByName("middlewares"); list.Kind() == reflect.Slice {
		m.middlewares = list.Len()
	}
	user := mailbox.FieldByName("userMailbox")
	if user.Kind() != reflect.Interface || user.IsNil() {
		return m
	}
	m.queue = user.Elem().Type()
	if bounded := behind(user); bounded.Kind() == reflect.Struct {
		ring := bounded.FieldByName("userMailbox")
		if ring.IsValid() && ring.Type() == reflect.TypeFor[*queue.RingBuffer]() && !ring.IsNil() {
			m.ring = (*queue.RingBuffer)(ring.UnsafePointer())
		}
	}
	return m
}

// behind is what an interface's pointer points to.
func behind(v reflect.Value) reflect.Value {
	for v.IsValid() && (v.Kind() == reflect.Interface || v.Kind() == reflect.Pointer) {
		v = v.Elem()
	}
	return v
}

// samples are the types of what is harmless.
type samples struct {
	mailbox, dispatcher reflect.Type
	unlimited           map[reflect.Type]bool
}

var known = sync.OnceValue(func() *samples {
	s := &samples{
		dispatcher: reflect.TypeOf(actor.NewDefaultDispatcher(1)),
		unlimited:  make(map[reflect.Type]bool),
	}
	for _, producer := range []actor.MailboxProducer{actor.Unbounded(), actor.UnboundedLockfree()} {
		mailbox := behind(reflect.ValueOf(producer()))
		if mailbox.Kind() != reflect.Struct {
			return s
		}
		if user := mailbox.FieldByName("userMailbox"); user.Kind() == reflect.Interface && !user.IsNil() {
			s.mailbox = mailbox.Type()
			s.unlimited[user.Elem().Type()] = true
		}
	}
	return s
})

// Root is a root context of the store's own: that of the system may have middleware,
// which is its owner's code.
func Root(system *actor.ActorSystem) *actor.RootContext { return actor.NewRootContext(system, nil) }
