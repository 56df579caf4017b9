package courier

import (
	"log/slog"
	"sync/atomic"
	"testing"

	"forge.lthn.ai/core/go-store/internal/actorsystem"
	"forge.lthn.ai/core/go-store/internal/testkit"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/require"
)

// hearer is what a mailbox hands its messages to.
type hearer chan any

func (h hearer) InvokeSystemMessage(m any) { h <- m }
func (h hearer) InvokeUserMessage(m any)   { h <- m }
func (h hearer) EscalateFailure(r, _ any)  { h <- r }

// counting has seen what is sent to a mailbox.
type counting struct{ hearer }

func (counting) MailboxStarted()       {}
func (p counting) MessagePosted(m any) { p.hearer <- m }
func (counting) MessageReceived(any)   {}
func (counting) MailboxEmpty()         {}

// spawning is an actor as Proto.Actor leaves it between registering its name and handing its
// mailbox what it works with: a message that is sent then would wedge it for good.
func spawning(t *testing.T, make func(...actor.MailboxMiddleware) actor.MailboxProducer) (to Recipient, sent hearer, ready func() hearer) {
	system, release := actorsystem.Acquire()
	t.Cleanup(release)
	sent = hearer(newHearer())
	mailbox := make(counting{sent})()
	pid, added := system.ProcessRegistry.Add(actor.NewActorProcess(mailbox), "spawning"+system.ProcessRegistry.NextId())
	require.True(t, added)
	t.Cleanup(func() { system.ProcessRegistry.Remove(pid) })
	return Recipient{System: system, PID: pid, Logger: slog.New(slog.DiscardHandler)}, sent, func() hearer {
		heard := hearer(newHearer())
		mailbox.RegisterHandlers(heard, actor.NewDefaultDispatcher(300))
		mailbox.PostSystemMessage(&actor.Started{})
		require.IsType(t, &actor.Started{}, testkit.Await(t, "the actor", heard))
		return heard
	}
}

func newHearer() chan any { return make(chan any, 100) }

// Nothing is sent to an actor that is being spawned, until it is there.
func TestAnActorThatIsBeingSpawned(t *testing.T) {
	for name, make := range map[string]func(...actor.MailboxMiddleware) actor.MailboxProducer{
		"unbounded": actor.Unbounded,
		"bounded":   func(m ...actor.MailboxMiddleware) actor.MailboxProducer { return actor.Bounded(8, m...) },
	} {
		t.Run(name, func(t *testing.T) {
			to, sent, ready := spawning(t, make)
			looks, goOn, passed := newSignal(), newSignal(), newSignal()
			go func() {
				to.pass("message", func() bool {
					looks <- struct{}{}
					<-goOn
					return true
				}, nil)
				passed <- struct{}{}
			}()
			for range 5 {
				testkit.Await(t, "a look", looks)
				require.Empty(t, sent)
				goOn <- struct{}{}
			}
			testkit.Await(t, "a look", looks)
			require.Empty(t, sent)
			heard := ready()
			close(goOn)
			testkit.Await(t, "the message's way", passed)
			require.Equal(t, "message", testkit.Await(t, "the message", heard))
		})
		t.Run(name+", watched", func(t *testing.T) {
			to, sent, ready := spawning(t, make)
			ended := newSignal()
			close(ended)
			watcher := actor.NewPID("nonhost", "watcher")
			require.False(t, to.Watch(watcher, ended))
			to.Unwatch(watcher)
			require.Empty(t, sent)
			heard := ready()
			require.True(t, to.Watch(watcher, ended))
			require.IsType(t, &actor.Watch{}, testkit.Await(t, "the message", heard))
			to.Unwatch(watcher)
			require.IsType(t, &actor.Unwatch{}, testkit.Await(t, "the message", heard))
		})
	}
}

// TestAnswersKeepTheirOrder: an actor that asked while it was being spawned and asks again once it
// is there gets both answers in their order.
func TestAnswersKeepTheirOrder(t *testing.T) {
	system, release := actorsystem.Acquire()
	defer release()
	mailbox := actor.Unbounded()() // to which to send is harmless, once the actor is there
	pid, added := system.ProcessRegistry.Add(actor.NewActorProcess(mailbox), "spawning"+system.ProcessRegistry.NextId())
	require.True(t, added)
	defer system.ProcessRegistry.Remove(pid)
	var lost atomic.Uint64
	o := NewOffice(system, slog.New(slog.DiscardHandler), weigh, &lost)
	defer o.Stop()
	sender := SenderOf(system, pid)
	early, ok := o.Reserve(sender)
	require.True(t, ok)
	require.NotNil(t, early)
	heard := hearer(newHearer())
	mailbox.RegisterHandlers(heard, actor.NewDefaultDispatcher(300))
	mailbox.PostSystemMessage(&actor.Started{})
	require.IsType(t, &actor.Started{}, testkit.Await(t, "the actor", heard))
	late, ok := o.Reserve(sender)
	require.True(t, ok)
	o.Post(sender, early, "early")
	o.Post(sender, late, "late")
	require.Equal(t, "early", testkit.Await(t, "the first answer", heard))
	require.Equal(t, "late", testkit.Await(t, "the second answer", heard))
	testkit.Until(t, "no box", func() bool { return o.Boxes() == 0 })
	none, ok := o.Reserve(sender)
	require.True(t, ok)
	require.Nil(t, none)
}

func newSignal() chan struct{} { return make(chan struct{}) }
