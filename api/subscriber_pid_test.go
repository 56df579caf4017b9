package api_test

import (
	"fmt"
	"math"
	"testing"
	"time"

	"forge.lthn.ai/core/go-store/api"
	"forge.lthn.ai/core/go-store/internal/testkit"
	"forge.lthn.ai/core/go-store/protocol"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/require"
)

// event is the next message, which must be one.
func (c *client) event() api.Event {
	c.t.Helper()
	message := c.next()
	event, ok := message.(protocol.Event)
	require.True(c.t, ok, "%#v", message)
	return event.Event
}

// settle returns once the store's actor has handled what was sent to it.
func (c *client) settle() {
	c.t.Helper()
	other := newClient(c.t, c.system, c.store)
	other.ask(protocol.Get{Group: "settle", Key: "k"})
}

// Events come in the order of commits, never more of them than there are credits.
func TestEventsByCredit(t *testing.T) {
	forEachAddressed(t, func(t *testing.T, store addressed, c *client) {
		prefix := ""
		if scoped, ok := store.(*api.ScopedStore); ok {
			prefix = scoped.Namespace() + ":"
		}
		done[protocol.Subscribed](c, protocol.Subscribe{ID: 5, Credits: 2, Options: api.SubscribeOptions{
			Filters: []api.Filter{{Group: api.Exactly("g")}}, Buffer: 4}})
		const events = 1000
		for i := range events {
			require.NoError(t, store.Set("g", "k", fmt.Sprint(i)))
			require.NoError(t, store.Set("h", "k", "of no interest"))
		}
		seen, last := 0, uint64(0)
		credits := 2
		for seen < events {
			for range credits {
				event := c.event()
				require.Equal(t, prefix+"g", event.Group)
				require.Equal(t, fmt.Sprint(seen), event.Value)
				require.Greater(t, event.Revision, last)
				last, seen = event.Revision, seen+1
			}
			c.settle()
			require.Empty(t, c.heard, "more events than credits")
			credits = min(1+seen%37, events-seen)
			if credits > 0 {
				c.send(protocol.Credit{ID: 5, N: credits})
			}
		}
		require.NoError(t, c.ask(protocol.Unsubscribe{ID: 5}).(protocol.SubscriptionEnded).Err)
		require.NoError(t, store.Set("g", "k", "after the end"))
		c.settle()
		require.Empty(t, c.heard)
	})
}

// The start points and slow policies are those of Subscribe.
func TestSubscribeOptionsByMessage(t *testing.T) {
	system := newQuiet(t)
	store := openStore(t, ":memory:", api.WithActorSystem(system.ActorSystem))
	pid := pidOf(t, store)
	for i := range 3 {
		require.NoError(t, store.Set("g", fmt.Sprint(i), "v"))
	}
	from := newClient(t, system.ActorSystem, pid)
	done[protocol.Subscribed](from, protocol.Subscribe{ID: 1, Credits: 10, Options: api.SubscribeOptions{From: 2}})
	require.EqualValues(t, 2, from.event().Revision)
	require.EqualValues(t, 3, from.event().Revision)

	state := newClient(t, system.ActorSystem, pid)
	done[protocol.Subscribed](state, protocol.Subscribe{ID: 1, Credits: 10, Options: api.SubscribeOptions{State: true}})
	for i := range 3 {
		require.Equal(t, fmt.Sprint(i), state.event().Key)
	}
	require.Equal(t, api.EventSynced, state.event().Type)

	slow := func(policy api.SlowPolicy, over func(*client) bool) {
		c := newClient(t, system.ActorSystem, pid)
		done[protocol.Subscribed](c, protocol.Subscribe{ID: 1, Options: api.SubscribeOptions{Slow: policy, Buffer: 1}})
		for { // until it had caught up with the log before
			for i := range 10 {
				require.NoError(t, store.Set("slow", "k", fmt.Sprint(i)))
			}
			c.send(protocol.Credit{ID: 1, N: 10})
			for range 10 {
				if over(c) {
					return
				}
			}
		}
	}
	slow(api.SlowSkip, func(c *client) bool { return c.event().Type == api.EventGap })
	slow(api.SlowEnd, func(c *client) bool {
		ended, ok := c.next().(protocol.SubscriptionEnded)
		if ok {
			require.ErrorIs(t, ended.Err, api.SlowConsumerError)
			require.ErrorContains(t, ended.Err, "store.Subscribe: ")
		}
		return ok
	})
	bad := newClient(t, system.ActorSystem, pid)
	require.ErrorIs(t, bad.ask(protocol.Subscribe{ID: 1, Options: api.SubscribeOptions{State: true, From: 1}}).(protocol.Subscribed).Err, api.InvalidOptionError)
	require.ErrorIs(t, bad.ask(protocol.Subscribe{ID: 1, Credits: -1}).(protocol.Subscribed).Err, api.InvalidOptionError)
	require.ErrorIs(t, bad.ask(protocol.Subscribe{ID: 1, Credits: protocol.MaxCredits + 1}).(protocol.Subscribed).Err, api.InvalidOptionError)
	done[protocol.Subscribed](bad, protocol.Subscribe{ID: 1, Options: api.SubscribeOptions{From: 1 << 40}})
	var future *api.FutureRevisionError
	require.ErrorAs(t, bad.next().(protocol.SubscriptionEnded).Err, &future)
	done[protocol.Subscribed](bad, protocol.Subscribe{ID: 1}) // the ID is free again
}

// A subscription that is being ended can't be ended once more: each request has its answer.
func TestUnsubscribeTwice(t *testing.T) {
	system := newQuiet(t)
	store := openStore(t, ":memory:", api.WithActorSystem(system.ActorSystem))
	c := newClient(t, system.ActorSystem, pidOf(t, store))
	for id := range uint64(20) {
		done[protocol.Subscribed](c, protocol.Subscribe{ID: id})
		c.send(protocol.Unsubscribe{ID: id})
		c.send(protocol.Unsubscribe{ID: id})
		ended, failed := 0, 0
		for range 2 {
			switch answer := c.next().(type) {
			case protocol.SubscriptionEnded:
				require.NoError(t, answer.Err)
				ended++
			case protocol.Failed:
				require.ErrorIs(t, answer.Err, api.NotSubscribedError)
				failed++
			}
		}
		require.Equal(t, []int{1, 1}, []int{ended, failed})
	}
}

// Credits and ends for subscriptions that there are not, or too many of them.
func TestCreditsThatAreWrong(t *testing.T) {
	system := newQuiet(t)
	store := openStore(t, ":memory:", api.WithActorSystem(system.ActorSystem))
	c := newClient(t, system.ActorSystem, pidOf(t, store))
	for _, request := range []any{protocol.Credit{ID: 1, N: 1}, protocol.Unsubscribe{ID: 1}} {
		require.ErrorIs(t, c.ask(request).(protocol.Failed).Err, api.NotSubscribedError)
	}
	done[protocol.Subscribed](c, protocol.Subscribe{ID: 1, Credits: 5})
	other := newClient(t, system.ActorSystem, c.store)
	require.ErrorIs(t, other.ask(protocol.Unsubscribe{ID: 1}).(protocol.Failed).Err, api.NotSubscribedError, "it is another's")
	require.ErrorIs(t, c.ask(protocol.Subscribe{ID: 1}).(protocol.Failed).Err, api.DuplicateIDError)
	for _, n := range []int{0, -1, protocol.MaxCredits, protocol.MaxCredits + 1, math.MaxInt} {
		failed := c.ask(protocol.Credit{ID: 1, N: n}).(protocol.Failed)
		require.ErrorIs(t, failed.Err, api.InvalidOptionError)
		require.EqualValues(t, 1, failed.ID)
	}
	require.NoError(t, store.Set("g", "k", "v"))
	require.Equal(t, "v", c.event().Value)
}

// A subscriber that stops is found out; nothing of the store's is left with it, or is a
// dead letter.
func TestSubscriberThatStops(t *testing.T) {
	system := newQuiet(t)
	store := openStore(t, ":memory:", api.WithActorSystem(system.ActorSystem))
	pid := pidOf(t, store)
	for _, credits := range []int{0, 1000} { // it waits for credits, or for events
		c := newClient(t, system.ActorSystem, pid)
		done[protocol.Subscribed](c, protocol.Subscribe{ID: 1, Credits: credits})
		done[protocol.Subscribed](c, protocol.Subscribe{ID: 2, Credits: credits, Options: api.SubscribeOptions{Filters: []api.Filter{{Group: api.Exactly("h")}}}})
		require.NoError(t, store.Set("g", "k", secret))
		require.NoError(t, system.Root.StopFuture(c.pid).Wait())
		for range 10 {
			require.NoError(t, store.Set("g", "k", secret))
		}
	}
	c := newClient(t, system.ActorSystem, pid)
	done[protocol.Subscribed](c, protocol.Subscribe{ID: 1, Credits: 1})
	require.NoError(t, c.ask(protocol.Unsubscribe{ID: 1}).(protocol.SubscriptionEnded).Err)
	require.NoError(t, store.Close())
	require.NoError(t, system.Root.StopFuture(c.pid).Wait()) // would tell a store that is gone
}

// Another actor under the name of one that has stopped has subscriptions of its own.
func TestSubscriberWithTheNameOfAnother(t *testing.T) {
	system := newQuiet(t)
	store := openStore(t, ":memory:", api.WithActorSystem(system.ActorSystem))
	pid := pidOf(t, store)
	for i := range 50 {
		heard := make(chan any, 100)
		named, err := system.Root.SpawnNamed(actor.PropsFromFunc(func(ctx actor.Context) {
			if _, life := ctx.Message().(actor.SystemMessage); !life {
				heard <- ctx.Message()
			}
		}), "named")
		require.NoError(t, err)
		system.Root.RequestWithCustomSender(pid, protocol.Subscribe{ID: 1, Credits: 10}, named)
		require.Equal(t, protocol.Subscribed{ID: 1}, testkit.Await(t, "the subscription", heard))
		require.NoError(t, store.Set("g", "k", fmt.Sprint(i)))
		event, ok := testkit.Await(t, "the event", heard).(protocol.Event)
		require.True(t, ok)
		require.Equal(t, fmt.Sprint(i), event.Event.Value)
		require.NoError(t, system.Root.StopFuture(named).Wait())
	}
}

// A subscriber that takes nothing costs others nothing.
func TestSubscriberThatBlocks(t *testing.T) {
	for name, options := range map[string][]actor.PropsOption{
		"bounded":      {actor.WithMailbox(actor.Bounded(4))},
		"dropping":     {actor.WithMailbox(actor.BoundedDropping(8))},
		"synchronised": {actor.WithDispatcher(actor.NewSynchronizedDispatcher(300))},
	} {
		t.Run(name, func(t *testing.T) {
			system := newSystem(t)
			store := openStore(t, ":memory:", api.WithActorSystem(system))
			goOn, heard := make(chan struct{}), make(chan string, 1000)
			stuck := system.Root.Spawn(actor.PropsFromFunc(func(ctx actor.Context) {
				switch m := ctx.Message().(type) {
				case protocol.Subscribed:
					heard <- "subscribed"
				case protocol.Event:
					<-goOn
					heard <- m.Event.Value
				}
			}, options...))
			c := newClient(t, system, pidOf(t, store))
			system.Root.RequestWithCustomSender(c.store, protocol.Subscribe{ID: 1, Credits: 1000}, stuck)
			require.Equal(t, "subscribed", testkit.Await(t, "the subscription", heard))
			require.NoError(t, store.Set("g", "k", "first"))
			for i := range 500 {
				done[protocol.SetDone](c, protocol.Set{Group: "g", Key: "k", Value: fmt.Sprint(i)})
			}
			if name == "synchronised" { // Close must not wait for it
				testkit.Within(t, "Close", func() { require.NoError(t, store.Close()) })
				close(goOn)
				return
			}
			close(goOn)
			for i := 0; i < 500; {
				if value := testkit.Await(t, "an event", heard); value != "first" {
					require.Equal(t, fmt.Sprint(i), value)
					i++
				}
			}
		})
	}
}

// The end of the store is the end of its subscriptions, told to each.
func TestCloseEndsSubscriptions(t *testing.T) {
	forEachAddressed(t, func(t *testing.T, store addressed, c *client) {
		done[protocol.Subscribed](c, protocol.Subscribe{ID: 1, Credits: 0})
		done[protocol.Subscribed](c, protocol.Subscribe{ID: 2, Credits: 10, Options: api.SubscribeOptions{Progress: time.Minute}})
		require.NoError(t, store.Set("g", "k", "v"))
		require.EqualValues(t, 2, c.next().(protocol.Event).ID)
		if s, ok := store.(*api.Store); ok {
			require.NoError(t, s.Close())
			ended := map[uint64]error{}
			for range 2 {
				end := c.next().(protocol.SubscriptionEnded)
				ended[end.ID] = end.Err
			}
			require.EqualError(t, ended[1], "store.Subscribe: store is closed")
			require.EqualError(t, ended[2], "store.Subscribe: store is closed")
		}
	})
}
