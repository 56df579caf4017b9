package api_test

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"forge.lthn.ai/core/go-store/api"
	"forge.lthn.ai/core/go-store/internal/testkit"
)

// A key is there until the millisecond of its deadline, whether or not its row
// has been removed.
func TestExpiry(t *testing.T) {
	forEachTimedHandle(t, func(t *testing.T, store handle, clock *testkit.Clock) {
		require.NoError(t, store.SetWithTTL("g", "k", "a b", time.Second))
		require.NoError(t, store.SetWithTTL("h", "k", "v", time.Hour))
		require.NoError(t, store.Set("g", "stays", "v"))
		clock.Advance(time.Second - time.Millisecond)
		requireValue(t, store, "g", "k", "a b")
		count, err := store.Count("g")
		require.NoError(t, err)
		require.Equal(t, 2, count)

		clock.Advance(time.Millisecond)
		requireNotFound(t, store, "g", "k")
		requireValue(t, store, "g", "stays", "v")
		requireValue(t, store, "h", "k", "v")
	})
}

// No way of reading shows an expired key.
func TestExpiredIsNowhere(t *testing.T) {
	forEachTimedHandle(t, func(t *testing.T, store handle, clock *testkit.Clock) {
		require.NoError(t, store.SetWithTTL("mixed", "dead", "v", time.Second))
		require.NoError(t, store.Set("mixed", "live", "v"))
		require.NoError(t, store.SetWithTTL("mixed", "later", "v", time.Minute))
		require.NoError(t, store.SetWithTTL("gone", "dead", "v", time.Second))
		clock.Advance(time.Second)

		for _, group := range []string{"mixed", "gone"} {
			requireNotFound(t, store, group, "dead")
			_, err := store.GetSplit(group, "dead", ",")
			require.ErrorIs(t, err, api.NotFoundError)
			_, err = store.GetFields(group, "dead")
			require.ErrorIs(t, err, api.NotFoundError)
			exists, err := store.Exists(group, "dead")
			require.NoError(t, err)
			require.False(t, exists)
			exists, err = store.GroupExists(group)
			require.NoError(t, err)
			require.Equal(t, group == "mixed", exists)
		}
		for group, want := range map[string][]string{"mixed": {"later", "live"}, "gone": nil} {
			count, err := store.Count(group)
			require.NoError(t, err)
			require.Equal(t, len(want), count)
			all, err := store.GetAll(group)
			require.NoError(t, err)
			require.Len(t, all, len(want))
			var keys []string
			for entry, err := range store.All(group) {
				require.NoError(t, err)
				keys = append(keys, entry.Key)
			}
			require.Equal(t, want, keys)
			page, err := store.GetPage(group, 0, 10)
			require.NoError(t, err)
			require.Len(t, page, len(want))
			rendered, err := store.Render("{{ range $key, $_ := . }}{{ $key }} {{ end }}", group)
			require.NoError(t, err)
			require.NotContains(t, rendered, "dead")
		}
		page, err := store.GetPage("mixed", 1, 10)
		require.NoError(t, err)
		require.Equal(t, []api.KeyValue{{Key: "live", Value: "v"}}, page, "an offset counts live keys only")
		requireCount(t, store, "", 2)
		requireGroups(t, store, "", []string{"mixed"})
	}, api.WithPurgeInterval(time.Hour))
}

func TestWritesOverTTL(t *testing.T) {
	forEachTimedHandle(t, func(t *testing.T, store handle, clock *testkit.Clock) {
		require.NoError(t, store.SetWithTTL("g", "cleared", "1", time.Second))
		require.NoError(t, store.Set("g", "cleared", "2"))
		require.NoError(t, store.SetWithTTL("g", "cleared by all", "1", time.Second))
		require.NoError(t, store.SetAll([]api.Item{{Group: "g", Key: "cleared by all", Value: "2"}}))
		require.NoError(t, store.SetWithTTL("g", "prolonged", "1", time.Second))
		require.NoError(t, store.SetWithTTL("g", "prolonged", "2", time.Minute))
		require.NoError(t, store.SetWithTTL("g", "shortened", "1", time.Hour))
		require.NoError(t, store.SetWithTTL("g", "shortened", "2", time.Second))
		require.NoError(t, store.Set("g", "gets one", "1"))
		require.NoError(t, store.SetWithTTL("g", "gets one", "2", time.Second))
		for _, key := range []string{"cleared", "cleared by all", "prolonged", "shortened", "gets one"} {
			requireValue(t, store, "g", key, "2")
		}
		clock.Advance(time.Second)
		requireValue(t, store, "g", "cleared", "2")
		requireValue(t, store, "g", "cleared by all", "2")
		requireValue(t, store, "g", "prolonged", "2")
		requireNotFound(t, store, "g", "shortened")
		requireNotFound(t, store, "g", "gets one")

		require.NoError(t, store.Set("g", "shortened", "3"))
		require.NoError(t, store.SetWithTTL("g", "gets one", "3", time.Minute))
		requireValue(t, store, "g", "shortened", "3")
		requireValue(t, store, "g", "gets one", "3")
		clock.Advance(24 * time.Hour)
		requireValue(t, store, "g", "shortened", "3")
		requireNotFound(t, store, "g", "gets one")
		requireNotFound(t, store, "g", "prolonged")
	})
}

// A time to live of zero or less, or of less than the clock's unit, makes a
// key that has expired already. A time to live of three centuries is no overflow.
func TestExtremeTTLs(t *testing.T) {
	forEachTimedHandle(t, func(t *testing.T, store handle, clock *testkit.Clock) {
		watcher := store.Watch("*", "*")
		for _, ttl := range []time.Duration{0, -1, -time.Hour, math.MinInt64, time.Nanosecond, time.Microsecond} {
			require.NoError(t, store.Set("g", "k", "live"))
			require.NoError(t, store.SetWithTTL("g", "k", "dead", ttl))
			requireNotFound(t, store, "g", "k")
			requireCount(t, store, "", 0)
			_, err := store.PurgeExpired() // unless the background, for which it is overdue, was first
			require.NoError(t, err)
			for _, want := range []string{"set live", "set dead", "expire dead"} {
				event := next(t, watcher)
				require.Equal(t, want, event.Type.String()+" "+event.Value, "%v", ttl)
			}
		}
		require.NoError(t, store.SetWithTTL("g", "k", "v", math.MaxInt64))
		clock.Advance(100 * 365 * 24 * time.Hour)
		requireValue(t, store, "g", "k", "v")
	}, api.WithPurgeInterval(time.Hour))
}

// PurgeExpired counts the rows that it removes itself: the background leaves
// them alone for a while.
func TestPurgeExpired(t *testing.T) {
	forEachTimedHandle(t, func(t *testing.T, store handle, clock *testkit.Clock) {
		const dead = 600 // more than two chunks
		for i := range dead {
			require.NoError(t, store.SetWithTTL("g"+strconv.Itoa(i%7), strconv.Itoa(i), "v", time.Second))
		}
		require.NoError(t, store.Set("g0", "live", "v"))
		require.NoError(t, store.SetWithTTL("g0", "later", "v", time.Minute))
		removed, err := store.PurgeExpired()
		require.NoError(t, err)
		require.Zero(t, removed)
		clock.Advance(time.Second + time.Millisecond)
		removed, err = store.PurgeExpired()
		require.NoError(t, err)
		require.EqualValues(t, dead, removed)
		removed, err = store.PurgeExpired()
		require.NoError(t, err)
		require.Zero(t, removed)
		requireGroups(t, store, "", []string{"g0"})
		requireCount(t, store, "", 2)
	})
}

func TestPurgeExpiredKeepsToItsNamespace(t *testing.T) {
	forEachStore(t, func(t *testing.T, open func(...api.Option) *api.Store) {
		clock := testkit.NewClock()
		store := open(api.WithClock(clock), api.WithPurgeInterval(time.Hour))
		for _, group := range []string{"a:g", "a:h", "ab:g", "a", "b:g"} {
			require.NoError(t, store.SetWithTTL(group, "k", "v", time.Second))
		}
		clock.Advance(time.Second)
		removed, err := newScope(t, store, "a").PurgeExpired()
		require.NoError(t, err)
		require.EqualValues(t, 2, removed)
		removed, err = store.PurgeExpired()
		require.NoError(t, err)
		require.EqualValues(t, 3, removed)
	})
}

// The background removes expired rows by itself, each with an event that
// carries the last value, in the order of their deadlines.
func TestBackgroundPurge(t *testing.T) {
	forEachStore(t, func(t *testing.T, open func(...api.Option) *api.Store) {
		clock := testkit.NewClock()
		store := open(api.WithClock(clock), api.WithWatchBuffer(1000), api.WithPurgeInterval(time.Second))
		const dead = 300 // more than one chunk
		want := []string{}
		for i := range dead {
			require.NoError(t, store.SetWithTTL("g", strconv.Itoa(i), fmt.Sprint("last ", i), time.Duration(dead-i)*time.Millisecond))
			want = append(want, fmt.Sprint("last ", dead-1-i))
		}
		watcher := store.Watch("g", "*")
		awaitTimer(t, clock, time.Second+time.Millisecond)
		clock.Advance(time.Second) // all have expired, none is due
		clock.Advance(time.Millisecond)
		got := []string{}
		for range dead {
			event := next(t, watcher)
			require.Equal(t, api.EventExpire, event.Type)
			require.True(t, event.Timestamp.Equal(clock.Now()))
			got = append(got, event.Value)
		}
		require.Equal(t, want, got)
		removed, err := store.PurgeExpired()
		require.NoError(t, err)
		require.Zero(t, removed, "nothing is left to remove")
	})
}

// The interval is how long after its deadline a row is left alone: an explicit
// purge comes first within it.
func TestPurgeInterval(t *testing.T) {
	forEachStore(t, func(t *testing.T, open func(...api.Option) *api.Store) {
		clock := testkit.NewClock()
		store := open(api.WithClock(clock), api.WithPurgeInterval(5*time.Minute))
		watcher := store.Watch("*", "*")
		require.NoError(t, store.SetWithTTL("g", "k", "v", time.Second))
		require.Len(t, delivered(watcher), 1)
		// The reaper looks at the clock at least once a minute.
		for range 5 {
			clock.Advance(time.Minute)
			requireNotFound(t, store, "g", "k")
		}
		removed, err := store.PurgeExpired()
		require.NoError(t, err)
		require.EqualValues(t, 1, removed)
		require.Equal(t, []change{{api.EventExpire, "g", "k", "v"}}, changes(delivered(watcher)))

		require.NoError(t, store.SetWithTTL("g", "k", "w", time.Second))
		require.Len(t, delivered(watcher), 1)
		began := clock.Now()
		require.Equal(t, change{api.EventExpire, "g", "k", "w"}, changeOf(nextInTime(t, clock, watcher)))
		require.GreaterOrEqual(t, clock.Now().Sub(began), time.Second+5*time.Minute)
	})
}

// A write that comes after a key has expired, and before its row is removed,
// must never be taken for the expired row.
func TestPurgeSparesFreshWrites(t *testing.T) {
	forEachStore(t, func(t *testing.T, open func(...api.Option) *api.Store) {
		clock := testkit.NewClock()
		store := open(api.WithClock(clock), api.WithWatchBuffer(10_000))
		marker := store.Watch("marker", "*")
		for round := range 50 {
			for i := range 10 {
				require.NoError(t, store.SetWithTTL("g", strconv.Itoa(i), "old", 100*time.Millisecond))
			}
			require.NoError(t, store.SetWithTTL("marker", "k", strconv.Itoa(round), 100*time.Millisecond))
			next(t, marker)
			awaitTimer(t, clock, 200*time.Millisecond)
			clock.Advance(200 * time.Millisecond) // the background purge begins now
			require.NoError(t, together(10, func(i int) error { return store.Set("g", strconv.Itoa(i), strconv.Itoa(round)) }))
			require.Equal(t, api.EventExpire, nextInTime(t, clock, marker).Type) // it has passed the marker
			for i := range 10 {
				requireValue(t, store, "g", strconv.Itoa(i), strconv.Itoa(round))
			}
		}
	})
}

func TestConcurrentTTL(t *testing.T) {
	forEachTimedHandle(t, func(t *testing.T, store handle, clock *testkit.Clock) {
		require.NoError(t, together(10, func(i int) error {
			for j := range 100 {
				key := fmt.Sprint(i, "-", j)
				var err error
				switch j % 4 {
				case 0:
					err = store.SetWithTTL("g", key, "v", time.Millisecond)
				case 1:
					err = store.SetWithTTL("g", key, "v", time.Hour)
				case 2:
					_, err = store.Count("g")
				default:
					_, err = store.PurgeExpired()
				}
				if err != nil {
					return err
				}
				clock.Advance(time.Millisecond)
			}
			return nil
		}))
		clock.Advance(time.Second)
		count, err := store.Count("g")
		require.NoError(t, err)
		require.Equal(t, 10*25, count)
		clock.Advance(time.Hour)
		requireCount(t, store, "", 0)
	})
}

// Deadlines are kept in the file: what expires while the store is closed has
// expired when it is opened again, and is removed in the background.
func TestTTLPersists(t *testing.T) {
	clock, path := testkit.NewClock(), newPath(t)
	store := openStore(t, path, api.WithClock(clock))
	require.NoError(t, store.SetWithTTL("g", "short", "v", time.Minute))
	require.NoError(t, store.SetWithTTL("g", "long", "v", time.Hour))
	require.NoError(t, store.Close())
	require.EqualValues(t, clock.Now().Add(time.Minute).UnixMilli(),
		query[int64](t, path, `SELECT expires_at FROM entries WHERE entry_key = 'short'`))

	clock.Advance(time.Minute)
	store = openStore(t, path, api.WithClock(clock), api.WithPurgeInterval(time.Second))
	watcher := store.Watch("*", "*")
	requireNotFound(t, store, "g", "short")
	requireValue(t, store, "g", "long", "v")
	require.Equal(t, change{api.EventExpire, "g", "short", "v"}, changeOf(nextInTime(t, clock, watcher)))
	require.Equal(t, change{api.EventExpire, "g", "long", "v"}, changeOf(nextInTime(t, clock, watcher)))
}

// When the machine's clock is set back the store's stands still: what has
// expired stays so, and what is written now is not older than what was.
func TestClockSetBack(t *testing.T) {
	forEachTimedHandle(t, func(t *testing.T, store handle, clock *testkit.Clock) {
		watcher := store.Watch("*", "*")
		require.NoError(t, store.SetWithTTL("g", "k", "v", time.Second))
		clock.Advance(time.Minute)
		requireNotFound(t, store, "g", "k")
		clock.Jump(-24 * time.Hour)
		requireNotFound(t, store, "g", "k")
		requireCount(t, store, "", 0)
		require.NoError(t, store.SetWithTTL("g", "l", "v", time.Second))
		requireValue(t, store, "g", "l", "v")
		events := delivered(watcher)
		require.True(t, slices.IsSortedFunc(events, func(a, b api.Event) int { return a.Timestamp.Compare(b.Timestamp) }))
		clock.Jump(24*time.Hour + time.Second)
		requireNotFound(t, store, "g", "l")
	})
}

// When it is set forward, what it jumped over has expired, though no timer has
// fired; the read that finds out has the row removed.
func TestClockSetForward(t *testing.T) {
	forEachStore(t, func(t *testing.T, open func(...api.Option) *api.Store) {
		clock := testkit.NewClock()
		store := open(api.WithClock(clock))
		watcher := store.Watch("*", "*")
		require.NoError(t, store.SetWithTTL("g", "k", "v", time.Hour))
		require.Equal(t, api.EventSet, next(t, watcher).Type)
		clock.Jump(2 * time.Hour)
		requireNotFound(t, store, "g", "k")
		requireCount(t, store, "", 0)
		require.Equal(t, api.EventExpire, next(t, watcher).Type, "without another tick of the clock")
	})
}

// With the machine's clock, in a bubble where time passes only while every goroutine
// waits: the defaults end to end.
func TestExpiryInRealTime(t *testing.T) {
	forEachPath(t, func(t *testing.T, path string) {
		synctest.Test(t, func(t *testing.T) {
			store, err := api.New(path)
			require.NoError(t, err)
			watcher := store.Watch("*", "*")
			begin := time.Now()
			require.NoError(t, store.SetWithTTL("g", "k", "v", 10*time.Second))
			require.Equal(t, api.EventSet, (<-watcher.Events).Type)
			time.Sleep(10*time.Second - time.Millisecond)
			requireValue(t, store, "g", "k", "v")
			time.Sleep(time.Millisecond)
			requireNotFound(t, store, "g", "k")
			event := <-watcher.Events
			require.Equal(t, change{api.EventExpire, "g", "k", "v"}, changeOf(event))
			require.Equal(t, 10*time.Second+100*time.Millisecond, time.Since(begin), "the default purge interval")
			require.NoError(t, store.Close())
			time.Sleep(2 * time.Second) // the actor system's throttle is on its way out
		})
		// What a bubble has used must be of use outside of it, and vice versa.
		store := openStore(t, ":memory:")
		require.NoError(t, store.Set("g", "k", "v"))
	})
}
