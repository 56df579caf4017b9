package api_test

import (
	"testing"

	"forge.lthn.ai/core/go-store/api"
	"forge.lthn.ai/core/go-store/internal/testkit"
	"forge.lthn.ai/core/go-store/protocol"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/require"
)

// client is an actor that a test sends requests as, and whose messages it receives.
type client struct {
	t      testing.TB
	system *api.ActorSystem
	pid    *api.PID
	store  *api.PID
	heard  chan any
}

func newClient(t testing.TB, system *api.ActorSystem, store *api.PID, options ...actor.PropsOption) *client {
	return newClientAs(t, system, store, system.ProcessRegistry.NextId(), options...)
}

// newClientAs is a client of a name.
func newClientAs(t testing.TB, system *api.ActorSystem, store *api.PID, name string, options ...actor.PropsOption) *client {
	c := &client{t: t, system: system, store: store, heard: make(chan any, 1<<16)}
	var err error
	c.pid, err = system.Root.SpawnNamed(actor.PropsFromFunc(func(ctx actor.Context) {
		switch m := ctx.Message().(type) {
		case actor.SystemMessage, actor.AutoReceiveMessage:
		default:
			c.heard <- m
		}
	}, options...), name)
	require.NoError(t, err)
	t.Cleanup(func() {
		// The library tells the store of the end before it tells this future: told behind the
		// store's own end, it would be a dead letter.
		if _, found := system.ProcessRegistry.Get(c.pid); found {
			_ = system.Root.StopFuture(c.pid).Wait()
		}
	})
	return c
}

func (c *client) send(message any) {
	c.system.Root.RequestWithCustomSender(c.store, message, c.pid)
}

func (c *client) next() any {
	c.t.Helper()
	return testkit.Await(c.t, "an answer", c.heard)
}

// ask sends a request and waits for the next message.
func (c *client) ask(message any) any {
	c.t.Helper()
	c.send(message)
	return c.next()
}

// pidOf is the address of a store's actor.
func pidOf(t testing.TB, store interface{ PID() (*api.PID, error) }) *api.PID {
	t.Helper()
	pid, err := store.PID()
	require.NoError(t, err)
	return pid
}

func TestSetAndGetByMessage(t *testing.T) {
	forEachStore(t, func(t *testing.T, open func(...api.Option) *api.Store) {
		system := newSystem(t)
		store := open(api.WithActorSystem(system))
		c := newClient(t, system, pidOf(t, store))
		require.Equal(t, protocol.SetDone{ID: 7, Revision: 1}, c.ask(protocol.Set{ID: 7, Group: "g", Key: "k", Value: "v"}))
		require.Equal(t, protocol.GetDone{ID: 8, Value: "v", Revision: 1}, c.ask(protocol.Get{ID: 8, Group: "g", Key: "k"}))
		requireValue(t, store, "g", "k", "v")
	})
}
