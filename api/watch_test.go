package api_test

import (
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"forge.lthn.ai/core/go-store/api"
	"forge.lthn.ai/core/go-store/internal/testkit"
)

func TestWatchOfOneKey(t *testing.T) {
	forEachHandle(t, func(t *testing.T, store handle) {
		watcher, twin := store.Watch("g", "k"), store.Watch("g", "k")
		require.NoError(t, store.Set("g", "k", "v"))
		require.NoError(t, store.Set("g", "other", "v"))
		require.NoError(t, store.Set("h", "k", "v"))
		require.NoError(t, store.Delete("g", "k"))
		events := delivered(watcher)
		require.Len(t, events, 2)
		require.Equal(t, api.EventSet, events[0].Type)
		require.Equal(t, api.EventDelete, events[1].Type)
		require.Equal(t, events, delivered(twin), "watchers of the same are independent")
	})
}

// The deletion of a group is news for watchers of all its keys or of the key
// "", not for those of a single key.
func TestWatchersOfDeletedGroups(t *testing.T) {
	forEachHandle(t, func(t *testing.T, store handle) {
		require.NoError(t, store.Set("g", "k", "v"))
		require.NoError(t, store.Set("g", "", "v"))
		single, empty := store.Watch("g", "k"), store.Watch("g", "")
		group, other := store.Watch("g", "*"), store.Watch("h", "*")
		everyEmpty, everything := store.Watch("*", ""), store.Watch("*", "*")
		require.NoError(t, store.DeleteGroup("g"))
		for _, watcher := range []*api.Watcher{empty, group, everyEmpty, everything} {
			events := delivered(watcher)
			require.Len(t, events, 1)
			require.Equal(t, api.EventDeleteGroup, events[0].Type)
			require.True(t, strings.HasSuffix(events[0].Group, "g"))
			require.Empty(t, events[0].Key)
		}
		require.Empty(t, delivered(single))
		require.Empty(t, delivered(other))
	})
}

// A view's watcher sees its namespace only, and full names.
func TestScopedWatch(t *testing.T) {
	forEachStore(t, func(t *testing.T, open func(...api.Option) *api.Store) {
		store := open()
		a, ab := newScope(t, store, "a"), newScope(t, store, "ab")
		everything, group, key, oneKey := a.Watch("*", "*"), a.Watch("g", "*"), a.Watch("g", "k"), a.Watch("*", "k")
		for _, set := range []func(group, key, value string) error{a.Set, ab.Set, store.Set} {
			require.NoError(t, set("g", "k", "v"))
			require.NoError(t, set("h", "l", "v"))
		}
		require.NoError(t, store.Set("a", "k", "a group, no namespace"))
		require.NoError(t, store.Set("a:g", "k", "past the view"))
		in := func(group, key, value string) change { return change{api.EventSet, group, key, value} }
		require.Equal(t, []change{in("a:g", "k", "v"), in("a:h", "l", "v"), in("a:g", "k", "past the view")},
			changes(delivered(everything)))
		require.Equal(t, []change{in("a:g", "k", "v"), in("a:g", "k", "past the view")}, changes(delivered(group)))
		require.Equal(t, []change{in("a:g", "k", "v"), in("a:g", "k", "past the view")}, changes(delivered(key)))
		require.Equal(t, []change{in("a:g", "k", "v"), in("a:g", "k", "past the view")}, changes(delivered(oneKey)))
		a.Unwatch(everything)
		require.NoError(t, a.Set("g", "k", "v"))
		require.Empty(t, delivered(everything))
	})
}

// matches is what Watch promises, read off its documentation.
func matches(group, key string, event api.Event) bool {
	return (group == "*" || group == event.Group) && (key == "*" || key == event.Key)
}

// Every watcher gets what its pattern says of a random history, no more and no
// less, names that look like wildcards included.
func TestWatchPatterns(t *testing.T) {
	names := []string{"*", "", "a", "b", "t:a", "t:*", "t:", ":a", "**"}
	forEachStore(t, func(t *testing.T, open func(...api.Option) *api.Store) {
		random := rand.New(rand.NewPCG(1, 2))
		clock := testkit.NewClock()
		store := open(api.WithClock(clock), api.WithWatchBuffer(10_000), api.WithPurgeInterval(time.Hour))
		everything := store.Watch("*", "*")
		watchers := map[[2]string]*api.Watcher{}
		for _, group := range names {
			for _, key := range names {
				watchers[[2]string{group, key}] = store.Watch(group, key)
			}
		}
		name := func() string { return names[random.IntN(len(names))] }
		for range 1000 {
			var err error
			switch random.IntN(12) {
			case 0:
				err = store.DeleteGroup(name())
			case 1:
				err = store.Delete(name(), name())
			case 2:
				err = store.SetWithTTL(name(), name(), "v", time.Duration(random.IntN(3))*time.Second)
			case 3:
				clock.Advance(time.Second)
			case 4:
				_, err = store.PurgeExpired()
			default:
				err = store.Set(name(), name(), strconv.Itoa(random.Int()))
			}
			require.NoError(t, err)
		}
		all := delivered(everything)
		require.Greater(t, len(all), 700)
		for pattern, watcher := range watchers {
			want := []change{}
			for _, event := range all {
				if matches(pattern[0], pattern[1], event) {
					want = append(want, changeOf(event))
				}
			}
			require.Equal(t, want, changes(delivered(watcher)), "%q", pattern)
		}
	})
}

func TestUnwatch(t *testing.T) {
	forEachHandle(t, func(t *testing.T, store handle) {
		watcher, other := store.Watch("g", "*"), store.Watch("g", "*")
		require.NoError(t, store.Set("g", "k", "before"))
		store.Unwatch(watcher)
		require.NoError(t, store.Set("g", "k", "after"))
		event, open := <-watcher.Events
		require.True(t, open, "what was in the channel can still be received")
		require.Equal(t, "before", event.Value)
		_, open = <-watcher.Events
		require.False(t, open)
		store.Unwatch(watcher)
		store.Unwatch(nil)
		store.Unwatch(new(api.Watcher))
		require.Len(t, delivered(other), 2)
	})
}

// A watcher of one store given to another is no reason for either to stumble.
func TestUnwatchOfAnotherStore(t *testing.T) {
	forEachStore(t, func(t *testing.T, open func(...api.Option) *api.Store) {
		mine, other := open(), open()
		watcher := other.Watch("g", "*")
		mine.Unwatch(watcher)
		late := mine.Watch("g", "*")
		require.NoError(t, mine.Set("g", "k", "v"))
		require.Len(t, delivered(late), 1, "the store that was asked still tells its own watchers")
		require.NoError(t, other.Set("g", "k", "v"))
		require.Len(t, delivered(watcher), 1, "the other's watcher is still watching")
	})
}

// Watchers come and go while others write; those that stay miss nothing.
func TestConcurrentWatching(t *testing.T) {
	forEachStore(t, func(t *testing.T, open func(...api.Option) *api.Store) {
		const writers, writes = 10, 50
		store := open(api.WithWatchBuffer(writers * writes))
		stays := store.Watch("*", "*")
		require.NoError(t, together(2*writers, func(i int) error {
			for j := range writes {
				if i < writers {
					if err := store.Set("g", strconv.Itoa(i), strconv.Itoa(j)); err != nil {
						return err
					}
					continue
				}
				watcher := store.Watch([]string{"g", "*"}[j%2], []string{strconv.Itoa(i - writers), "*"}[i%2])
				for range delivered(watcher) {
				}
				store.Unwatch(watcher)
			}
			return nil
		}))
		require.Len(t, delivered(stays), writers*writes)
		require.Zero(t, stays.Dropped())
	})
}

// Close closes the watchers; what is in their channels stays there.
func TestCloseEndsWatchers(t *testing.T) {
	forEachStore(t, func(t *testing.T, open func(...api.Option) *api.Store) {
		store := open()
		watchers := []*api.Watcher{store.Watch("g", "k"), store.Watch("*", "*"), newScope(t, store, "a").Watch("*", "*")}
		require.NoError(t, store.Set("g", "k", "v"))
		require.NoError(t, store.Close())
		for i, want := range []int{1, 1, 0} {
			events := 0
			for range watchers[i].Events {
				events++
			}
			require.Equal(t, want, events)
			store.Unwatch(watchers[i])
		}
	})
}
