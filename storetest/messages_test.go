package storetest_test

import (
	"fmt"
	"strconv"
	"testing"
	"time"

	"forge.lthn.ai/core/go-store/api"
	"forge.lthn.ai/core/go-store/protocol"
	"forge.lthn.ai/core/go-store/storetest"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/require"
)

// sender is a counter that never waits: it asks for the number, and writes what it makes
// of the answer. With exact it says which revision it has seen, and begins anew if that is
// not the key's any more.
func sender(exact bool) func(m *storetest.Member) *actor.Props {
	return func(m *storetest.Member) *actor.Props {
		var last uint64
		store, err := m.World.Store.PID()
		if err != nil {
			m.World.Errorf("%v", err)
		}
		ask := func(ctx actor.Context) {
			last++
			ctx.Request(store, protocol.Get{ID: last, Group: "counters", Key: "n"})
		}
		return actor.PropsFromFunc(func(ctx actor.Context) {
			switch message := ctx.Message().(type) {
			case increment:
				ask(ctx)
			case protocol.GetDone:
				n, _ := strconv.Atoi(message.Value)
				last++
				if exact {
					ctx.Request(store, protocol.CompareAndSet{ID: last, Group: "counters", Key: "n", Value: strconv.Itoa(n + 1), Revision: message.Revision})
				} else {
					ctx.Request(store, protocol.Set{ID: last, Group: "counters", Key: "n", Value: strconv.Itoa(n + 1)})
				}
			case protocol.CompareAndSetDone:
				if message.Err != nil {
					ask(ctx)
				}
			}
		})
	}
}

// The race of actors that only send messages is found as well, and the same order comes
// again, answers of the store included.
func TestRunOfActorsThatSendMessages(t *testing.T) {
	run := func(exact bool, seed uint64) storetest.Result {
		return storetest.Play(t, seed, storetest.Actors{"one": sender(exact), "two": sender(exact), "three": sender(exact)},
			countTo("one", "two", "three"), storetest.InMemory())
	}
	found := 0
	for seed := range uint64(8) {
		require.Empty(t, run(true, seed).Failures)
		first, again := run(false, seed), run(false, seed)
		require.Equal(t, first.Trace, again.Trace, "seed %d", seed)
		require.Equal(t, first.Failures, again.Failures)
		found += len(first.Failures)
	}
	require.Positive(t, found)
}

// A subscription, a session that expires, and its store on disk: the events come by the
// bubble's time, in the same order each time.
func TestRunOfSubscribers(t *testing.T) {
	listener := func(m *storetest.Member) *actor.Props {
		return actor.PropsFromFunc(func(ctx actor.Context) {
			switch message := ctx.Message().(type) {
			case *actor.Started:
				pid, err := m.World.Store.PID()
				if err != nil {
					m.World.Errorf("%v", err)
					return
				}
				ctx.Request(pid, protocol.Subscribe{ID: 1, Credits: 10, Options: api.SubscribeOptions{
					Filters: []api.Filter{{Group: api.Exactly("sessions")}}}})
			case protocol.Event:
				if err := m.Store.Set("heard", m.Name+message.Event.Key, message.Event.Type.String()); err != nil {
					m.World.Errorf("%v", err)
				}
			}
		})
	}
	actors := storetest.Actors{"a": listener, "b": listener}
	drive := func(w *storetest.World) {
		w.Settle()
		require.NoError(w, w.Store.SetWithTTL("sessions", "ada", "token", time.Hour))
		w.Advance(2 * time.Hour)
		heard, err := w.Store.GetAll("heard")
		require.NoError(w, err)
		require.Equal(w, "expire", heard["aada"], fmt.Sprint(heard))
		require.Equal(w, "expire", heard["bada"])
	}
	var traces [2][]string
	for i := range traces {
		r := storetest.Play(t, 3, actors, drive)
		require.Empty(t, r.Failures)
		traces[i] = r.Trace
	}
	require.Equal(t, traces[0], traces[1])
}
