package api_test

import (
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"forge.lthn.ai/core/go-store/api"
	"forge.lthn.ai/core/go-store/internal/testkit"
)

func TestEventTypeString(t *testing.T) {
	for eventType, want := range map[api.EventType]string{
		api.EventSet: "set", api.EventDelete: "delete", api.EventDeleteGroup: "delete_group",
		api.EventExpire: "expire", 4: "unknown", -1: "unknown",
	} {
		require.Equal(t, want, eventType.String())
	}
}

// What each mutation says, to a watcher of everything.
func TestEventFields(t *testing.T) {
	forEachStore(t, func(t *testing.T, open func(...api.Option) *api.Store) {
		clock := testkit.NewClock()
		store := open(api.WithClock(clock))
		scope := newScope(t, store, "tenant")
		watcher := store.Watch("*", "*")
		for _, step := range []struct {
			name string
			do   func() error
			want []change
		}{
			{"set", func() error { return store.Set("g", "k", "v") }, []change{{api.EventSet, "g", "k", "v"}}},
			{"set the same", func() error { return store.Set("g", "k", "v") }, []change{{api.EventSet, "g", "k", "v"}}},
			{"set with TTL", func() error { return store.SetWithTTL("g", "t", "w", time.Hour) },
				[]change{{api.EventSet, "g", "t", "w"}}},
			{"set all", func() error {
				return store.SetAll([]api.Item{{Group: "h", Key: "k", Value: "1"}, {Group: "g", Key: "l", Value: "2"}})
			}, []change{{api.EventSet, "h", "k", "1"}, {api.EventSet, "g", "l", "2"}}},
			{"set all of nothing", func() error { return store.SetAll(nil) }, []change{}},
			{"delete", func() error { return store.Delete("g", "k") }, []change{{api.EventDelete, "g", "k", ""}}},
			{"delete again", func() error { return store.Delete("g", "k") }, []change{}},
			{"delete group", func() error { return store.DeleteGroup("g") }, []change{{api.EventDeleteGroup, "g", "", ""}}},
			{"delete group again", func() error { return store.DeleteGroup("g") }, []change{}},
			{"delete prefix of nothing", func() error { return store.DeletePrefix("g") }, []change{}},
			{"scoped set", func() error { return scope.Set("b", "k", "v") }, []change{{api.EventSet, "tenant:b", "k", "v"}}},
			{"scoped set with TTL", func() error { return scope.SetWithTTL("a", "k", "v", time.Hour) },
				[]change{{api.EventSet, "tenant:a", "k", "v"}}},
			{"scoped set all", func() error { return scope.SetAll([]api.Item{{Group: "a", Key: "l", Value: "v"}}) },
				[]change{{api.EventSet, "tenant:a", "l", "v"}}},
			{"scoped delete", func() error { return scope.Delete("a", "l") }, []change{{api.EventDelete, "tenant:a", "l", ""}}},
			{"scoped delete prefix", func() error { return scope.DeletePrefix("") },
				[]change{{api.EventDeleteGroup, "tenant:a", "", ""}, {api.EventDeleteGroup, "tenant:b", "", ""}}},
			{"scoped delete group", func() error { return scope.DeleteGroup("a") }, []change{}},
			{"delete prefix", func() error { return store.DeletePrefix("") }, []change{{api.EventDeleteGroup, "h", "", ""}}},
		} {
			clock.Advance(time.Millisecond)
			require.NoError(t, step.do(), step.name)
			events := delivered(watcher)
			require.Equal(t, step.want, changes(events), step.name)
			for _, event := range events {
				require.True(t, event.Timestamp.Equal(clock.Now()), step.name)
			}
		}
		require.Zero(t, watcher.Dropped())
	})
}

// A mutation that meets an expired row expires it first, in order; to delete
// one is not to change anything else.
func TestMutationsExpireFirst(t *testing.T) {
	forEachStore(t, func(t *testing.T, open func(...api.Option) *api.Store) {
		clock := testkit.NewClock()
		store := open(api.WithClock(clock), api.WithPurgeInterval(time.Hour))
		watcher := store.Watch("*", "*")
		expired := change{api.EventExpire, "g", "k", "old"}
		for _, step := range []struct {
			name string
			do   func() error
			want []change
		}{
			{"set", func() error { return store.Set("g", "k", "new") }, []change{expired, {api.EventSet, "g", "k", "new"}}},
			{"set with TTL", func() error { return store.SetWithTTL("g", "k", "new", time.Second) },
				[]change{expired, {api.EventSet, "g", "k", "new"}}},
			{"set all", func() error { return store.SetAll([]api.Item{{Group: "g", Key: "k", Value: "new"}}) },
				[]change{expired, {api.EventSet, "g", "k", "new"}}},
			{"delete", func() error { return store.Delete("g", "k") }, []change{expired}},
			{"delete group", func() error { return store.DeleteGroup("g") }, []change{expired}},
			{"delete prefix", func() error { return store.DeletePrefix("") }, []change{expired}},
			{"another key", func() error { return store.Set("g", "l", "new") }, []change{{api.EventSet, "g", "l", "new"}}},
			{"delete group with a live key", func() error { return store.DeleteGroup("g") },
				[]change{expired, {api.EventDeleteGroup, "g", "", ""}}},
		} {
			if step.name != "delete group with a live key" {
				require.NoError(t, store.Set("g", "k", "live"))
				require.NoError(t, store.SetWithTTL("g", "k", "old", time.Second))
			}
			clock.Advance(time.Second)
			delivered(watcher)
			require.NoError(t, step.do(), step.name)
			require.Equal(t, step.want, changes(delivered(watcher)), step.name)
		}
	})
}

// What was refused never happened: not even the expiry that it began with.
func TestNoEventsForRefusedWrites(t *testing.T) {
	forEachStore(t, func(t *testing.T, open func(...api.Option) *api.Store) {
		clock := testkit.NewClock()
		store := open(api.WithClock(clock), api.WithPurgeInterval(time.Hour))
		scope := newScope(t, store, "tenant", api.QuotaConfig{MaxKeys: 2})
		require.NoError(t, scope.SetWithTTL("g", "dead", "v", time.Second))
		require.NoError(t, scope.Set("g", "live", "v"))
		clock.Advance(time.Second)
		watcher := store.Watch("*", "*")
		require.ErrorIs(t, scope.SetAll([]api.Item{
			{Group: "g", Key: "dead", Value: "anew"}, {Group: "g", Key: "live", Value: "anew"}, {Group: "g", Key: "third", Value: "v"},
		}), api.QuotaExceededError)
		require.Empty(t, delivered(watcher))
		requireValue(t, store, "tenant:g", "live", "v")
		requireNotFound(t, store, "tenant:g", "dead")
		removed, err := store.PurgeExpired()
		require.NoError(t, err)
		require.EqualValues(t, 1, removed, "the expired row is back")
		require.Equal(t, []change{{api.EventExpire, "tenant:g", "dead", "v"}}, changes(delivered(watcher)))
	})
}

// A full channel loses events, the writer does not wait, and the count of what
// was lost is exact.
func TestSlowWatcher(t *testing.T) {
	forEachStore(t, func(t *testing.T, open func(...api.Option) *api.Store) {
		store := open()
		slow, fast := store.Watch("g", "*"), store.Watch("g", "*")
		require.Equal(t, 16, cap(slow.Events))
		received := 0
		for i := range 32 {
			require.NoError(t, store.Set("g", "k", strconv.Itoa(i)))
			received += len(delivered(fast))
		}
		require.Equal(t, 32, received)
		require.Zero(t, fast.Dropped())
		require.EqualValues(t, 16, slow.Dropped())
		events := delivered(slow)
		require.Len(t, events, 16)
		require.Equal(t, "0", events[0].Value, "the oldest are kept")
		require.Equal(t, "15", events[15].Value)
		require.NoError(t, store.Set("g", "k", "later"))
		require.Len(t, delivered(slow), 1, "with room again events come again")
		require.EqualValues(t, 16, slow.Dropped())
	})
}

func TestSlowWatcherOfMany(t *testing.T) {
	forEachStore(t, func(t *testing.T, open func(...api.Option) *api.Store) {
		store := open(api.WithWatchBuffer(5))
		watcher := store.Watch("*", "*")
		require.NoError(t, together(64, func(i int) error {
			return store.SetAll([]api.Item{{Group: "g", Key: strconv.Itoa(i)}, {Group: "h", Key: strconv.Itoa(i)}})
		}))
		require.Len(t, delivered(watcher), 5)
		require.EqualValues(t, 128-5, watcher.Dropped())
	})
}

// When a write returns its event is in the channel, however many write.
func TestEventsComeBeforeTheWriteReturns(t *testing.T) {
	forEachStore(t, func(t *testing.T, open func(...api.Option) *api.Store) {
		store := open()
		require.NoError(t, together(64, func(i int) error {
			own, key := store.Watch("g", strconv.Itoa(i)), strconv.Itoa(i)
			for j := range 20 {
				value := strconv.Itoa(j)
				if err := store.Set("g", key, value); err != nil {
					return err
				}
				select {
				case event := <-own.Events:
					if event.Key != key || event.Value != value {
						return fmt.Errorf("watcher of %s after %s: %+v", key, value, event)
					}
				default:
					return fmt.Errorf("no event of %s was there when its write returned", key)
				}
			}
			store.Unwatch(own)
			return nil
		}))
	})
}

// All watchers see one order, in which each caller's and each key's writes
// stand in theirs.
func TestEventOrder(t *testing.T) {
	forEachStore(t, func(t *testing.T, open func(...api.Option) *api.Store) {
		const callers, writes, keys = 64, 25, 8
		store := open(api.WithWatchBuffer(callers * writes))
		watchers := []*api.Watcher{store.Watch("*", "*"), store.Watch("g", "*"), store.Watch("*", "*")}
		single := store.Watch("g", "3")
		require.NoError(t, together(callers, func(i int) error {
			for j := range writes {
				if err := store.Set("g", strconv.Itoa((i+j)%keys), fmt.Sprint(i, " ", j)); err != nil {
					return err
				}
			}
			return nil
		}))
		events := delivered(watchers[0])
		require.Len(t, events, callers*writes)
		for _, other := range watchers[1:] {
			require.Equal(t, events, delivered(other))
		}
		last := map[string]string{}
		var ofKey3 []api.Event
		done := make([]int, callers) // writes seen of each caller
		for i, event := range events {
			var caller, number int
			_, err := fmt.Sscan(event.Value, &caller, &number)
			require.NoError(t, err)
			require.Equal(t, done[caller], number, "caller %d", caller)
			done[caller]++
			last[event.Key] = event.Value
			if event.Key == "3" {
				ofKey3 = append(ofKey3, event)
			}
			if i > 0 {
				require.False(t, event.Timestamp.Before(events[i-1].Timestamp))
			}
		}
		require.Equal(t, ofKey3, delivered(single))
		for key, value := range last {
			requireValue(t, store, "g", key, value)
		}
	})
}
