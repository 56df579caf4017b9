package outbox

import (
	"log/slog"
	"sync"
	"testing"

	"forge.lthn.ai/core/go-store/internal/testkit"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/require"
)

// crossing is a receiver's process that lets a second lane watch it between the moment
// that the first one decides to watch it no more and the moment that it says so.
type crossing struct {
	mu struct {
		sync.Mutex
		watched bool
	}
	leaving chan struct{} // capacity 1: an Unwatch has come
	gate    chan struct{} // it is held until this is closed
}

func (c *crossing) SendUserMessage(*actor.PID, any) {}
func (c *crossing) Stop(*actor.PID)                 {}

func (c *crossing) SendSystemMessage(_ *actor.PID, message any) {
	if _, ok := message.(*actor.Unwatch); ok {
		select {
		case c.leaving <- struct{}{}:
			<-c.gate
		default:
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	switch message.(type) {
	case *actor.Watch:
		c.mu.watched = true
	case *actor.Unwatch:
		c.mu.watched = false
	}
}

// quietSystem is an actor system for the length of a test.
func quietSystem(t *testing.T) *actor.ActorSystem {
	system := actor.NewActorSystem(actor.WithLoggerFactory(func(*actor.ActorSystem) *slog.Logger { return slog.New(slog.DiscardHandler) }))
	t.Cleanup(system.Shutdown)
	return system
}

// TestWatchesDoNotCross: one lane leaves a receiver while another one comes to it.
func TestWatchesDoNotCross(t *testing.T) {
	system := quietSystem(t)
	c := &crossing{leaving: make(chan struct{}, 1), gate: make(chan struct{})}
	pid, _ := system.ProcessRegistry.Add(c, "crossing")
	o := &Outbox{system: system, self: actor.NewPID(system.Address(), "self"), ctx: t.Context()}
	o.options.Logger, o.mu.watched = slog.New(slog.DiscardHandler), make(map[string]*watched)
	o.options.Resolve = func(string) (*actor.PID, error) { return pid, nil }
	first, second := newLane(o, "first"), newLane(o, "second")
	_, err := first.resolve()
	require.NoError(t, err)
	left, came := make(chan struct{}), make(chan struct{})
	go func() { defer close(left); first.forget() }()
	testkit.Await(t, "the first leaves", c.leaving)
	go func() { defer close(came); _, _ = second.resolve() }()
	// The second has come, or waits for the first.
	testkit.Until(t, "the second comes", func() bool {
		select {
		case <-came:
			return true
		default:
			o.mu.Lock()
			defer o.mu.Unlock()
			return o.mu.watched[pid.String()].users == 2
		}
	})
	close(c.gate)
	testkit.Await(t, "the first has left", left)
	testkit.Await(t, "the second has come", came)
	c.mu.Lock()
	require.True(t, c.mu.watched, "the second is told of the end")
	c.mu.Unlock()
	second.forget()
	require.False(t, c.mu.watched)
	require.Empty(t, o.mu.watched)
}
