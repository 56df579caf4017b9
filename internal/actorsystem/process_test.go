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
	for name, mailbox := range map[string]actor.MailboxProducer{"bounded": actor.Bounded(4), "dropping": actor.BoundedDropping(4)} {
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
