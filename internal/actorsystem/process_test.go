package actorsystem_test

import (
	"testing"

	"forge.lthn.ai/core/go-store/internal/actorsystem"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/require"
)

// silent is middleware of a mailbox.
type silent struct{}

func (silent) MailboxStarted()     {}
func (silent) MessagePosted(any)   {}
func (silent) MessageReceived(any) {}
func (silent) MailboxEmpty()       {}

// own is a dispatcher, a mailbox and a process that a user has made.
type own struct{ actor.Mailbox }

func (own) Schedule(f func())                     { f() }
func (own) Throughput() int                       { return 1 }
func (own) SendUserMessage(*actor.PID, any)       {}
func (own) SendSystemMessage(*actor.PID, any)     {}
func (own) Stop(*actor.PID)                       {}
func boxed(m actor.Mailbox) actor.MailboxProducer { return func() actor.Mailbox { return own{m} } }

// trusted is a mailbox that was vouched for.
type trusted struct{ actor.Mailbox }

// TestPrompt: only what can be seen to be harmless is.
func TestPrompt(t *testing.T) {
	system, release := actorsystem.Acquire()
	defer release()
	spawn := func(t *testing.T, options ...actor.PropsOption) actor.Process {
		t.Helper()
		pid := system.Root.Spawn(actor.PropsFromFunc(func(actor.Context) {}, options...))
		t.Cleanup(func() { require.NoError(t, system.Root.StopFuture(pid).Wait()) })
		process, found := system.ProcessRegistry.Get(pid)
		require.True(t, found)
		return process
	}
	for name, options := range map[string][]actor.PropsOption{
		"default":   nil,
		"unbounded": {actor.WithMailbox(actor.Unbounded())},
		"lock-free": {actor.WithMailbox(actor.UnboundedLockfree()), actor.WithDispatcher(actor.NewDefaultDispatcher(7))},
	} {
		process := spawn(t, options...)
		require.True(t, actorsystem.Prompt(process), name)
		require.Nil(t, actorsystem.Room(process), name)
	}
	for name, options := range map[string][]actor.PropsOption{
		"synchronised": {actor.WithDispatcher(actor.NewSynchronizedDispatcher(10))},
		"dispatcher":   {actor.WithDispatcher(own{})},
		"middleware":   {actor.WithMailbox(actor.Unbounded(silent{}))},
		"mailbox":      {actor.WithMailbox(boxed(actor.Unbounded()()))},
		"priority":     {actor.WithMailbox(actor.UnboundedPriority())},
	} {
		process := spawn(t, options...)
		require.False(t, actorsystem.Prompt(process), name)
		require.Nil(t, actorsystem.Room(process), name)
	}
	for name, mailbox := range map[string]actor.MailboxProducer{"bounded": actor.Bounded(4), "dropping": actor.BoundedDropping(4),
		"of one": actor.Bounded(1), "of one, dropping": actor.BoundedDropping(1)} {
		process := spawn(t, actor.WithMailbox(mailbox))
		require.False(t, actorsystem.Prompt(process), name)
		room := actorsystem.Room(process)
		require.NotNil(t, room, name)
		require.True(t, room(), name)
	}
	vouched := spawn(t, actor.WithMailbox(func() actor.Mailbox { return &trusted{actor.Unbounded()()} }))
	actorsystem.Vouch(&trusted{})
	require.True(t, actorsystem.Prompt(vouched))
	require.False(t, actorsystem.Prompt(own{}))
	require.Nil(t, actorsystem.Room(own{}))
	require.False(t, actorsystem.Prompt(system.DeadLetter))
	require.False(t, actorsystem.Prompt(nil))
}

// TestAnActorThatIsBeingSpawned takes nothing yet, though its name is known.
func TestAnActorThatIsBeingSpawned(t *testing.T) {
	for name, producer := range map[string]actor.MailboxProducer{
		"unbounded": actor.Unbounded(), "lock-free": actor.UnboundedLockfree(), "bounded": actor.Bounded(4), "priority": actor.UnboundedPriority(),
	} {
		mailbox := producer()
		process := actor.NewActorProcess(mailbox)
		require.False(t, actorsystem.Ready(process), name)
		require.False(t, actorsystem.Prompt(process), name)
		mailbox.RegisterHandlers(new(hearer), actor.NewDefaultDispatcher(1))
		require.True(t, actorsystem.Ready(process), name)
	}
	require.True(t, actorsystem.Ready(own{}))
	require.True(t, actorsystem.Ready(nil))
	require.True(t, actorsystem.Ready(actor.NewActorProcess(own{})))
}

// hearer is what a mailbox hands its messages to.
type hearer struct{ heard []any }

func (h *hearer) InvokeSystemMessage(m any) { h.heard = append(h.heard, m) }
func (h *hearer) InvokeUserMessage(m any)   { h.heard = append(h.heard, m) }
func (h *hearer) EscalateFailure(_, m any)  { h.heard = append(h.heard, m) }

// TestAMailboxOfOursThatIsNotReady: what comes by name while its actor is being spawned waits
// for Started.
func TestAMailboxOfOursThatIsNotReady(t *testing.T) {
	var h hearer
	mailbox := new(actorsystem.Mailbox)
	mailbox.PostUserMessage("early")
	mailbox.RegisterHandlers(&h, actor.NewSynchronizedDispatcher(1))
	mailbox.PostSystemMessage("started")
	mailbox.PostUserMessage("later")
	require.Equal(t, []any{"started", "early", "later"}, h.heard)
}
