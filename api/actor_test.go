package api_test

import (
	"errors"
	"log/slog"
	"strconv"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/require"

	"forge.lthn.ai/core/go-store/api"
	"forge.lthn.ai/core/go-store/internal/testkit"
)

// newSystem is an actor system of the caller's own.
func newSystem(t *testing.T) *api.ActorSystem {
	t.Helper()
	system := actor.NewActorSystem(actor.WithLoggerFactory(
		func(*actor.ActorSystem) *slog.Logger { return slog.New(slog.DiscardHandler) }))
	t.Cleanup(system.Shutdown)
	return system
}

// spawnListener starts an actor that passes on the events that it receives.
func spawnListener(system *api.ActorSystem) (pid *api.PID, heard chan api.Event) {
	heard = make(chan api.Event, 1000)
	pid = system.Root.Spawn(actor.PropsFromFunc(func(c actor.Context) {
		if changed, ok := c.Message().(api.Changed); ok {
			heard <- changed.Event
		}
	}))
	return pid, heard
}

// settled returns once an actor has handled everything that was sent to it.
func settled(t *testing.T, system *api.ActorSystem, pid *api.PID) {
	t.Helper()
	require.NoError(t, system.Root.PoisonFuture(pid).Wait())
}

func TestWatchActor(t *testing.T) {
	forEachStore(t, func(t *testing.T, open func(...api.Option) *api.Store) {
		system := newSystem(t)
		store := open(api.WithActorSystem(system))
		pid, heard := spawnListener(system)
		watcher := store.WatchActor(pid, "g", "*")
		require.Nil(t, watcher.Events, "the events go to the actor")
		for i := range 100 {
			require.NoError(t, store.Set("g", "k", strconv.Itoa(i)))
			require.NoError(t, store.Set("h", "k", "of no interest"))
		}
		require.NoError(t, store.DeleteGroup("g"))
		settled(t, system, pid)
		close(heard)
		i := 0
		for event := range heard {
			if i == 100 {
				require.Equal(t, change{api.EventDeleteGroup, "g", "", ""}, changeOf(event))
			} else {
				require.Equal(t, change{api.EventSet, "g", "k", strconv.Itoa(i)}, changeOf(event))
			}
			i++
		}
		require.Equal(t, 101, i)
		require.Zero(t, watcher.Dropped())
	})
}

// A view's actor sees its namespace only, and Unwatch ends it.
func TestScopedWatchActor(t *testing.T) {
	forEachStore(t, func(t *testing.T, open func(...api.Option) *api.Store) {
		system := newSystem(t)
		store := open(api.WithActorSystem(system))
		a, ab := newScope(t, store, "a"), newScope(t, store, "ab")
		pid, heard := spawnListener(system)
		everything, single := a.WatchActor(pid, "*", "*"), a.WatchActor(pid, "g", "k")
		for _, set := range []func(group, key, value string) error{a.Set, ab.Set, store.Set} {
			require.NoError(t, set("g", "k", "v"))
		}
		a.Unwatch(everything)
		a.Unwatch(everything)
		require.NoError(t, a.Set("g", "k", "for one watcher"))
		require.NoError(t, a.Set("g", "l", "for nobody"))
		store.Unwatch(single)
		require.NoError(t, a.Set("g", "k", "for nobody"))
		settled(t, system, pid)
		close(heard)
		var values []string
		for event := range heard {
			require.Equal(t, "a:g", event.Group)
			values = append(values, event.Value)
		}
		require.Equal(t, []string{"v", "v", "for one watcher"}, values)
	})
}

// deadLetters counts the messages that found no actor.
func deadLetters(system *api.ActorSystem) (changes func() int) {
	events := make(chan struct{}, 10_000)
	system.EventStream.Subscribe(func(message any) {
		if letter, ok := message.(*actor.DeadLetterEvent); ok {
			if _, ok := letter.Message.(api.Changed); ok {
				events <- struct{}{}
			}
		}
	})
	return func() int { return len(events) }
}

// An actor that has stopped is no longer sent to.
func TestWatchingActorStops(t *testing.T) {
	forEachStore(t, func(t *testing.T, open func(...api.Option) *api.Store) {
		system := newSystem(t)
		store := open(api.WithActorSystem(system))
		pid, heard := spawnListener(system)
		watchers := []*api.Watcher{store.WatchActor(pid, "g", "*"), store.WatchActor(pid, "*", "*")}
		require.NoError(t, store.Set("g", "k", "v"))
		for range watchers {
			testkit.Await(t, "the event", heard)
		}
		lost := deadLetters(system)
		settled(t, system, pid)
		// The store hears of the death in its own time. From then on nothing is
		// sent, which a dead letter would tell before the write returns.
		require.Eventually(t, func() bool {
			before := lost()
			return store.Set("g", "k", "v") == nil && lost() == before
		}, testkit.Patience, time.Millisecond)
		before := lost()
		for range 10 {
			require.NoError(t, store.Set("g", "k", "v"))
		}
		require.Equal(t, before, lost())
		for _, watcher := range watchers {
			store.Unwatch(watcher)
		}
	})
}

// An actor that has stopped before it is registered is found out too.
func TestWatchOfStoppedActor(t *testing.T) {
	forEachStore(t, func(t *testing.T, open func(...api.Option) *api.Store) {
		system := newSystem(t)
		store := open(api.WithActorSystem(system))
		pid, _ := spawnListener(system)
		settled(t, system, pid)
		lost := deadLetters(system)
		watcher := store.WatchActor(pid, "*", "*")
		require.Eventually(t, func() bool {
			before := lost()
			return store.Set("g", "k", "v") == nil && lost() == before
		}, testkit.Patience, time.Millisecond)
		store.Unwatch(watcher)
	})
}

// An actor may write to the store that it watches.
func TestActorWritesWhatItWatches(t *testing.T) {
	forEachStore(t, func(t *testing.T, open func(...api.Option) *api.Store) {
		system := newSystem(t)
		store := open(api.WithActorSystem(system))
		done := make(chan error, 1)
		pid := system.Root.Spawn(actor.PropsFromFunc(func(c actor.Context) {
			if changed, ok := c.Message().(api.Changed); ok {
				n, err := strconv.Atoi(changed.Event.Value)
				if err == nil && n < 50 {
					err = store.Set("g", "k", strconv.Itoa(n+1))
				}
				if err != nil || n == 50 {
					done <- err
				}
			}
		}))
		store.WatchActor(pid, "g", "k")
		require.NoError(t, store.Set("g", "k", "0"))
		require.NoError(t, testkit.Await(t, "fifty writes", done))
		requireValue(t, store, "g", "k", "50")
	})
}

// A system of the caller's goes on after its stores, and holds several.
func TestForeignSystemOutlivesStores(t *testing.T) {
	system := newSystem(t)
	echo := system.Root.Spawn(actor.PropsFromFunc(func(c actor.Context) {
		if text, ok := c.Message().(string); ok {
			c.Respond(text)
		}
	}))
	first, second := openStore(t, ":memory:", api.WithActorSystem(system)), openStore(t, newPath(t), api.WithActorSystem(system))
	require.NoError(t, errors.Join(first.Set("g", "k", "1"), second.Set("g", "k", "2")))
	require.NoError(t, first.Close())
	requireValue(t, second, "g", "k", "2")
	require.NoError(t, second.Set("g", "k", "3"))
	require.NoError(t, second.Close())
	require.False(t, system.IsStopped())
	answer, err := system.Root.RequestFuture(echo, "still here", testkit.Patience).Result()
	require.NoError(t, err)
	require.Equal(t, "still here", answer)
	require.NoError(t, system.Root.PoisonFuture(echo).Wait())
}

// Stores without a system of the caller's share one; it ends with the last.
func TestStoresShareASystem(t *testing.T) {
	first, second := openStore(t, ":memory:"), openStore(t, ":memory:")
	require.NoError(t, first.Close())
	require.NoError(t, second.Set("g", "k", "v"))
	require.NoError(t, second.Close())
	third := openStore(t, ":memory:")
	require.NoError(t, third.Set("g", "k", "v"))
}
