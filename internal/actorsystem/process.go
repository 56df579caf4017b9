package actorsystem

import (
	"reflect"
	"sync"
	"sync/atomic"

	"github.com/Workiva/go-datastructures/queue"
	"github.com/asynkron/protoactor-go/actor"
	"github.com/asynkron/protoactor-go/extensions"
)

// The sender of a message to an actor runs the code of its mailbox and dispatcher.
// Of an actor that the program has spawned those may be anything: a bounded mailbox
// spins while it is full, a synchronised dispatcher runs the actor in its sender's
// goroutine, middleware of the mailbox is its owner's code, and a process of another
// kind may do whatever it likes. What can be seen of them tells which are harmless;
// what can't be seen is not.
//
// Proto.Actor has no way to ask, so that the kinds of things behind its unexported fields
// are compared with those of samples. In a version that has others every process counts as
// unknown, which costs a goroutine and nothing else.

// Prompt reports whether sending to a process never blocks and runs no user's code: it
// is an actor with an unlimited mailbox, whose dispatcher starts a goroutine.
func Prompt(process actor.Process) bool {
	local, ok := process.(*actor.ActorProcess)
	return ok && local != nil && (known().layout.prompt(local) || isVouched(local))
}

// Ready reports whether a process takes messages. While an actor is being spawned its name is
// known before its mailbox has what it works with: a message that is sent then panics in its
// sender, and the mailbox stands still for good, without Started. A mailbox that is not the
// library's is its owner's matter.
func Ready(process actor.Process) bool {
	local, ok := process.(*actor.ActorProcess)
	return !ok || local == nil || known().layout.ready(local)
}

// IsFuture reports whether a process is that of a RequestFuture. It takes one message,
// in whose sender's goroutine whatever waits for it is run.
func IsFuture(process actor.Process) bool {
	return process != nil && reflect.TypeOf(process) == known().future
}

// Same reports whether two processes are one, of whatever kind they are. Those of a kind that
// can't be compared are.
func Same(a, b actor.Process) bool { return Key(a) == Key(b) }

// Key stands for a process in the key of a map: it is the same for those that are Same.
func Key(process actor.Process) any {
	if _, local := process.(*actor.ActorProcess); local || process == nil {
		return process
	}
	if v := reflect.ValueOf(process); !v.Comparable() {
		return v.Type()
	}
	return process
}

// Elsewhere reports whether to find an actor may run any code: it is in another system.
func Elsewhere(system *actor.ActorSystem, pid *actor.PID) bool {
	// A system that has an address of its own looks after those of "nonhost" too.
	return pid.Address != system.ProcessRegistry.Address && pid.Address != "nonhost"
}

// vouched is the type of a mailbox that is known not to block.
var vouched atomic.Pointer[reflect.Type]

// Vouch says of a mailbox's type that posting never blocks for long and runs no user's
// code. Only the kit for tests does so, of its own.
func Vouch(mailbox actor.Mailbox) {
	own := behind(reflect.ValueOf(mailbox)).Type()
	vouched.Store(&own)
}

func isVouched(process *actor.ActorProcess) bool {
	own := vouched.Load()
	if own == nil {
		return false
	}
	mailbox := mailboxOf(process)
	return mailbox.IsValid() && mailbox.Type() == *own
}

// Room returns a function that reports whether an actor's bounded mailbox takes one
// more message, or nil where that can't be told.
func Room(process actor.Process) func() bool {
	local, ok := process.(*actor.ActorProcess)
	if !ok || local == nil {
		return nil
	}
	mailbox := mailboxOf(local)
	ring := ringOf(mailbox)
	if ring == nil {
		return nil
	}
	// One place less: a mailbox that drops does so at that length, and is broken then.
	if ring.Cap() > 1 {
		return func() bool { return ring.Len()+1 < ring.Cap() }
	}
	// A ring of a single place is broken by what comes while its message is being taken, when
	// it is empty by its length already, and not yet by the mailbox's count.
	counted := reflect.NewAt(mailbox.Type(), mailbox.Addr().UnsafePointer()).Interface().(actor.Mailbox)
	return func() bool { return ring.Len() == 0 && counted.UserMessageCount() == 0 }
}

// mailboxOf is what the actor's mailbox points to.
func mailboxOf(process *actor.ActorProcess) reflect.Value {
	return behind(reflect.ValueOf(process).Elem().FieldByName("mailbox"))
}

// ringOf is what a bounded mailbox consists of, nil for another one.
func ringOf(mailbox reflect.Value) *queue.RingBuffer {
	if mailbox.Kind() != reflect.Struct || mailbox.Type() != known().mailbox {
		return nil
	}
	bounded := behind(mailbox.FieldByName("userMailbox"))
	if bounded.Kind() != reflect.Struct {
		return nil
	}
	ring := bounded.FieldByName("userMailbox")
	if !ring.IsValid() || ring.Type() != reflect.TypeFor[*queue.RingBuffer]() || ring.IsNil() {
		return nil
	}
	return (*queue.RingBuffer)(ring.UnsafePointer())
}

// behind is what an interface's pointer points to.
func behind(v reflect.Value) reflect.Value {
	for v.IsValid() && (v.Kind() == reflect.Interface || v.Kind() == reflect.Pointer) {
		v = v.Elem()
	}
	return v
}

// samples are what is known of the library.
type samples struct {
	layout          *layout
	mailbox, future reflect.Type
}

var known = sync.OnceValue(func() *samples {
	s := &samples{layout: findLayout(), mailbox: behind(reflect.ValueOf(actor.Unbounded()())).Type()}
	// A future that is never answered, in a system that no program has.
	system := &actor.ActorSystem{Extensions: extensions.NewExtensions()}
	system.ProcessRegistry = mended(actor.NewProcessRegistry(system))
	if process, found := system.ProcessRegistry.GetLocal(actor.NewFuture(system, -1).PID().Id); found {
		s.future = reflect.TypeOf(process)
	}
	return s
})

// Root is a root context of the store's own: that of the system may have middleware,
// which is its owner's code.
func Root(system *actor.ActorSystem) *actor.RootContext { return actor.NewRootContext(system, nil) }
