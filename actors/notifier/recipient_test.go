package notifier

import (
	"fmt"
	"sync/atomic"
	"testing"

	"forge.lthn.ai/core/go-store/internal/courier"
	"forge.lthn.ai/core/go-store/internal/testkit"
	"forge.lthn.ai/core/go-store/kv"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/require"
)

// stubborn is whatever a user may hand over that stands still: an actor, a mailbox
// around another, a dispatcher, middleware, a process.
type stubborn struct {
	goOn chan struct{} // closed by the test
	seen chan kv.Event
	actor.Mailbox
}

func (s stubborn) wait() { <-s.goOn }

func (s stubborn) Receive(ctx actor.Context) {
	if changed, ok := ctx.Message().(Changed); ok {
		s.wait()
		s.seen <- changed.Event
	}
}

func (s stubborn) PostUserMessage(m any) {
	s.wait()
	s.Mailbox.PostUserMessage(m)
}

func (s stubborn) Schedule(f func()) {
	s.wait()
	f()
}
func (stubborn) Throughput() int     { return 1 }
func (stubborn) MailboxStarted()     {}
func (s stubborn) MessagePosted(any) { s.wait() }
func (stubborn) MessageReceived(any) {}
func (stubborn) MailboxEmpty()       {}

// process is one that blocks.
type process struct{ stubborn }

func (p process) SendUserMessage(_ *actor.PID, m any) {
	p.wait()
	p.seen <- m.(Changed).Event
}
func (p process) SendSystemMessage(*actor.PID, any) { p.wait() }
func (p process) Stop(*actor.PID)                   {}

// panics is a mailbox that panics for a while.
type panics struct{ stubborn }

func (p panics) PostUserMessage(m any) {
	select {
	case <-p.goOn:
		p.Mailbox.PostUserMessage(m)
	default:
		panic("the mailbox is broken")
	}
}

// blocking is every way to block the goroutine that sends to an actor.
var blocking = map[string]func(system *actor.ActorSystem, s stubborn) *actor.PID{
	"bounded": func(system *actor.ActorSystem, s stubborn) *actor.PID {
		return spawn(system, s, actor.WithMailbox(actor.Bounded(2)))
	},
	"bounded, dropping": func(system *actor.ActorSystem, s stubborn) *actor.PID {
		return spawn(system, s, actor.WithMailbox(actor.BoundedDropping(8)))
	},
	"synchronised": func(system *actor.ActorSystem, s stubborn) *actor.PID {
		return spawn(system, s, actor.WithDispatcher(actor.NewSynchronizedDispatcher(300)))
	},
	"mailbox": func(system *actor.ActorSystem, s stubborn) *actor.PID {
		s.Mailbox = actor.Unbounded()()
		return spawn(system, s, actor.WithMailbox(func() actor.Mailbox { return s }))
	},
	"middleware": func(system *actor.ActorSystem, s stubborn) *actor.PID {
		var m switching // it would block the spawning too
		pid := spawn(system, s, actor.WithMailbox(actor.Unbounded(&m)))
		m.Store(&s)
		return pid
	},
	"process": func(system *actor.ActorSystem, s stubborn) *actor.PID {
		pid, _ := system.ProcessRegistry.Add(process{s}, "stubborn-"+system.ProcessRegistry.NextId())
		return pid
	},
	"elsewhere": func(system *actor.ActorSystem, s stubborn) *actor.PID {
		address := "elsewhere" + system.ProcessRegistry.NextId()
		system.ProcessRegistry.RegisterAddressResolver(func(pid *actor.PID) (actor.Process, bool) {
			return process{s}, pid.Address == address
		})
		return actor.NewPID(address, "somebody")
	},
}

// switching is middleware that becomes stubborn later.
type switching struct{ atomic.Pointer[stubborn] }

func (m *switching) MessagePosted(message any) {
	if s := m.Load(); s != nil {
		s.MessagePosted(message)
	}
}
func (*switching) MailboxStarted()     {}
func (*switching) MessageReceived(any) {}
func (*switching) MailboxEmpty()       {}

func spawn(system *actor.ActorSystem, s stubborn, options ...actor.PropsOption) *actor.PID {
	return system.Root.Spawn(actor.PropsFromProducer(func() actor.Actor { return s }, options...))
}

// TestNothingThatAUserHandsOverBlocks: an actor that takes nothing costs no other
// one anything. The others have their events, and the notifier stops. What it
// has missed is counted, and the rest comes in order.
func TestNothingThatAUserHandsOverBlocks(t *testing.T) {
	for name, make := range blocking {
		t.Run(name, func(t *testing.T) {
			const events = courier.Queue + 100
			b := start(t, events+1, nil)
			s := newStubborn(events)
			pid := make(b.system, s)
			w, other := b.WatchActor(WatchFilter("", "g", "*"), pid), b.Watch(WatchFilter("", "g", "*"))
			gone := b.WatchActor(WatchFilter("", "g", "gone"), pid)
			b.deliver(t, set("g", "gone", "v"))
			testkit.Within(t, "Unwatch", func() { b.Unwatch(gone) })
			for i := range events {
				b.deliver(t, set("g", "k", fmt.Sprint(i)))
			}
			require.Equal(t, events+1, len(received(other)))
			require.Positive(t, w.Dropped())
			close(s.goOn)
			last := -1
			testkit.Until(t, "the events that were kept", func() bool {
				for len(s.seen) > 0 {
					event := <-s.seen
					if event.Key == "gone" { // it may have been under way
						continue
					}
					var i int
					_, err := fmt.Sscan(event.Value, &i)
					require.NoError(t, err)
					require.GreaterOrEqual(t, i, last, "in order")
					last = i
				}
				b.deliver(t, set("g", "k", "999999"))
				return last == 999999
			})
		})
		t.Run(name+", until the end", func(t *testing.T) {
			b := start(t, 1, nil)
			s := newStubborn(100)
			b.WatchActor(WatchFilter("", "g", "*"), make(b.system, s))
			for range 20 {
				b.deliver(t, set("g", "k", "v"))
			}
			b.stop(t) // while it blocks
			close(s.goOn)
		})
	}
}

func newStubborn(events int) stubborn {
	return stubborn{goOn: make(chan struct{}), seen: make(chan kv.Event, 4*events)}
}

// TestAMailboxThatPanics: that is its owner's matter.
func TestAMailboxThatPanics(t *testing.T) {
	b := start(t, 1, nil)
	p := panics{newStubborn(100)}
	p.Mailbox = actor.Unbounded()()
	b.WatchActor(WatchFilter("", "g", "*"), spawn(b.system, p.stubborn, actor.WithMailbox(func() actor.Mailbox { return p })))
	b.deliver(t, set("g", "k", "lost"))
	close(p.goOn)
	testkit.Until(t, "an event", func() bool {
		b.deliver(t, set("g", "k", "v"))
		return len(p.seen) > 0
	})
}

// TestSendersMiddlewareIsNotOurs: the root context of a system may have middleware,
// which is its owner's code.
func TestSendersMiddlewareIsNotOurs(t *testing.T) {
	b := start(t, 1, nil)
	held := make(chan struct{})
	b.system.Root.WithSenderMiddleware(func(next actor.SenderFunc) actor.SenderFunc {
		return func(c actor.SenderContext, target *actor.PID, envelope *actor.MessageEnvelope) {
			<-held
			next(c, target, envelope)
		}
	})
	defer b.system.Root.WithSenderMiddleware()
	defer close(held)
	w := b.Watch(WatchFilter("", "g", "*"))
	b.deliver(t, set("g", "k", "v"))
	require.Len(t, received(w), 1)
}
