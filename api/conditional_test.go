package api_test

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"forge.lthn.ai/core/go-store/api"
	"forge.lthn.ai/core/go-store/internal/testkit"
)

// conditional is what a store and a view of a namespace can do by revisions.
type conditional interface {
	handle
	Revision() (uint64, error)
	Entry(group, key string) (api.Entry, error)
	SetIfAbsent(group, key, value string) (uint64, error)
	CompareAndSet(group, key, value string, revision uint64) (uint64, error)
	CompareAndDelete(group, key string, revision uint64) error
	Touch(group, key string, timeToLive time.Duration) error
	Persist(group, key string) error
	Increment(group, key string, delta int64) (int64, error)
	Batch(batch *api.Batch) (uint64, error)
}

var (
	_ conditional = (*api.Store)(nil)
	_ conditional = (*api.ScopedStore)(nil)
)

func forEachConditional(t *testing.T, test func(t *testing.T, store conditional, clock *testkit.Clock)) {
	t.Helper()
	forEachTimedHandle(t, func(t *testing.T, store handle, clock *testkit.Clock) {
		test(t, store.(conditional), clock)
	}, api.WithPurgeInterval(24*time.Hour)) // dead rows stay: reads must not see them
}

// mismatch is the current revision that a refused write was told.
func mismatch(t testing.TB, err error) (current uint64) {
	t.Helper()
	var wrong *api.RevisionMismatchError
	require.ErrorAs(t, err, &wrong)
	return wrong.Current
}

func requireEntry(t testing.TB, store conditional, key, value string, revision uint64, expires time.Time) {
	t.Helper()
	entry, err := store.Entry("g", key)
	require.NoError(t, err)
	require.Equal(t, value, entry.Value)
	require.Equal(t, revision, entry.Revision)
	require.True(t, expires.Equal(entry.ExpiresAt), "%v, not %v", entry.ExpiresAt, expires)
}

func TestSetIfAbsent(t *testing.T) {
	forEachConditional(t, func(t *testing.T, store conditional, clock *testkit.Clock) {
		first, err := store.SetIfAbsent("g", "k", "one")
		require.NoError(t, err)
		requireRevision(t, store, first)
		_, err = store.SetIfAbsent("g", "k", "two")
		require.Equal(t, first, mismatch(t, err))
		require.ErrorContains(t, err, "store.SetIfAbsent: ")
		require.ErrorContains(t, err, fmt.Sprintf("g/k: revision %d, expected absent", first))
		requireRevision(t, store, first) // nothing was written
		requireEntry(t, store, "k", "one", first, time.Time{})

		require.NoError(t, store.SetWithTTL("g", "mortal", "one", time.Second))
		clock.Advance(time.Second)
		again, err := store.SetIfAbsent("g", "mortal", "two")
		require.NoError(t, err, "an expired key is absent")
		requireEntry(t, store, "mortal", "two", again, time.Time{})
		require.NoError(t, store.Delete("g", "k"))
		_, err = store.SetIfAbsent("g", "k", "three")
		require.NoError(t, err)
	})
}

func TestCompareAndSet(t *testing.T) {
	forEachConditional(t, func(t *testing.T, store conditional, clock *testkit.Clock) {
		first, err := store.CompareAndSet("g", "k", "one", 0)
		require.NoError(t, err, "0 stands for absent")
		second, err := store.CompareAndSet("g", "k", "two", first)
		require.NoError(t, err)
		require.Equal(t, first+1, second)
		for _, wrong := range []uint64{0, first, second + 1, math.MaxInt64, math.MaxUint64 - 1} {
			_, err = store.CompareAndSet("g", "k", "three", wrong)
			require.Equal(t, second, mismatch(t, err))
			require.ErrorContains(t, err, "store.CompareAndSet: ")
		}
		requireEntry(t, store, "k", "two", second, time.Time{})

		require.NoError(t, store.SetWithTTL("g", "k", "mortal", time.Second))
		entry, err := store.Entry("g", "k")
		require.NoError(t, err)
		third, err := store.CompareAndSet("g", "k", "for ever", entry.Revision)
		require.NoError(t, err)
		clock.Advance(time.Minute)
		requireEntry(t, store, "k", "for ever", third, time.Time{}) // the TTL is cleared

		require.NoError(t, store.SetWithTTL("g", "k", "mortal", time.Second))
		entry, err = store.Entry("g", "k")
		require.NoError(t, err)
		clock.Advance(time.Second)
		_, err = store.CompareAndSet("g", "k", "late", entry.Revision)
		require.Zero(t, mismatch(t, err), "an expired key is absent")
		_, err = store.CompareAndSet("g", "k", "anew", 0)
		require.NoError(t, err)
	})
}

func TestCompareAndDelete(t *testing.T) {
	forEachConditional(t, func(t *testing.T, store conditional, clock *testkit.Clock) {
		first, err := store.SetIfAbsent("g", "k", "v")
		require.NoError(t, err)
		for _, wrong := range []uint64{0, first + 1} {
			require.Equal(t, first, mismatch(t, store.CompareAndDelete("g", "k", wrong)))
		}
		requireValue(t, store, "g", "k", "v")
		require.NoError(t, store.CompareAndDelete("g", "k", first))
		requireNotFound(t, store, "g", "k")
		requireRevision(t, store, first+1)
		require.Zero(t, mismatch(t, store.CompareAndDelete("g", "k", first)), "it is gone")
		require.NoError(t, store.CompareAndDelete("g", "k", 0), "nothing to delete, as expected")
		requireRevision(t, store, first+1)

		require.NoError(t, store.SetWithTTL("g", "k", "v", time.Second))
		entry, err := store.Entry("g", "k")
		require.NoError(t, err)
		clock.Advance(time.Second)
		require.Zero(t, mismatch(t, store.CompareAndDelete("g", "k", entry.Revision)))
	})
}

func TestTouchAndPersist(t *testing.T) {
	forEachConditional(t, func(t *testing.T, store conditional, clock *testkit.Clock) {
		for what, call := range map[string]func(key string) error{
			"Touch":   func(key string) error { return store.Touch("g", key, time.Hour) },
			"Persist": func(key string) error { return store.Persist("g", key) },
		} {
			require.NoError(t, store.SetWithTTL("g", "dead", "v", time.Second))
			clock.Advance(time.Second)
			before, err := store.Revision()
			require.NoError(t, err)
			for _, key := range []string{"nobody", "dead"} {
				err := call(key)
				require.ErrorIs(t, err, api.NotFoundError)
				require.ErrorContains(t, err, "store."+what+": ")
				requireNotFound(t, store, "g", key)
			}
			requireRevision(t, store, before)
		}
		require.NoError(t, store.Set("g", "k", "v"))
		base, err := store.Revision()
		require.NoError(t, err)
		require.NoError(t, store.Persist("g", "k"))
		requireRevision(t, store, base) // it never expired: nothing changes
		require.NoError(t, store.Touch("g", "k", time.Minute))
		requireEntry(t, store, "k", "v", base+1, clock.Now().Add(time.Minute))
		require.NoError(t, store.Touch("g", "k", time.Minute)) // the same millisecond
		requireRevision(t, store, base+1)
		require.NoError(t, store.Touch("g", "k", time.Second)) // sooner than before
		requireEntry(t, store, "k", "v", base+2, clock.Now().Add(time.Second))
		require.NoError(t, store.Persist("g", "k"))
		requireEntry(t, store, "k", "v", base+3, time.Time{})
		clock.Advance(time.Hour)
		requireValue(t, store, "g", "k", "v")

		for _, ttl := range []time.Duration{0, -time.Second, math.MinInt64} {
			require.NoError(t, store.Set("g", "k", "v"))
			require.NoError(t, store.Touch("g", "k", ttl))
			requireNotFound(t, store, "g", "k")
			_, err := store.Entry("g", "k")
			require.ErrorIs(t, err, api.NotFoundError)
		}
		require.NoError(t, store.Set("g", "k", "v"))
		require.NoError(t, store.Touch("g", "k", math.MaxInt64))
		requireValue(t, store, "g", "k", "v")
	})
}

// A Touch is told as what it is: a write of the same value with a new deadline.
func TestEventsOfConditionalWrites(t *testing.T) {
	clock := testkit.NewClock()
	store := openStore(t, ":memory:", api.WithClock(clock), api.WithPurgeInterval(24*time.Hour))
	watcher := store.Watch("g", "*")
	_, err := store.SetIfAbsent("g", "k", "v")
	require.NoError(t, err)
	require.NoError(t, store.Touch("g", "k", time.Minute))
	_, err = store.Increment("g", "n", 3)
	require.NoError(t, err)
	require.NoError(t, store.Persist("g", "k"))
	_, err = store.SetIfAbsent("g", "k", "refused")
	require.Error(t, err)
	require.NoError(t, store.CompareAndDelete("g", "k", 4))
	require.NoError(t, store.CompareAndDelete("g", "k", 0))
	events := delivered(watcher)
	require.Equal(t, []change{{api.EventSet, "g", "k", "v"}, {api.EventSet, "g", "k", "v"}, {api.EventSet, "g", "n", "3"},
		{api.EventSet, "g", "k", "v"}, {api.EventDelete, "g", "k", ""}}, changes(events))
	for i, event := range events {
		require.Equal(t, uint64(i+1), event.Revision)
		if i == 1 {
			require.True(t, event.ExpiresAt.Equal(clock.Now().Add(time.Minute)))
		} else {
			require.Zero(t, event.ExpiresAt)
		}
	}
}

func TestIncrement(t *testing.T) {
	forEachConditional(t, func(t *testing.T, store conditional, clock *testkit.Clock) {
		for _, c := range []struct{ delta, sum int64 }{{5, 5}, {-7, -2}, {0, -2}, {math.MaxInt64, math.MaxInt64 - 2}, {2, math.MaxInt64}} {
			sum, err := store.Increment("g", "n", c.delta)
			require.NoError(t, err)
			require.Equal(t, c.sum, sum)
			requireValue(t, store, "g", "n", strconv.FormatInt(c.sum, 10))
		}
		before, err := store.Revision()
		require.NoError(t, err)
		_, err = store.Increment("g", "n", 1)
		require.ErrorIs(t, err, api.NotANumberError)
		for _, value := range []string{"+5", " 5", "0x5", "", "5\n", "05", "9223372036854775808"} {
			require.NoError(t, store.Set("g", "text", value))
			before++
			_, err = store.Increment("g", "text", 1)
			require.ErrorIs(t, err, api.NotANumberError, "%q", value)
			require.ErrorContains(t, err, "store.Increment: ")
			requireValue(t, store, "g", "text", value)
		}
		requireRevision(t, store, before)
		sum, err := store.Increment("g", "lowest", math.MinInt64)
		require.NoError(t, err)
		require.Equal(t, int64(math.MinInt64), sum)
		_, err = store.Increment("g", "lowest", -1)
		require.ErrorIs(t, err, api.NotANumberError)

		require.NoError(t, store.SetWithTTL("g", "mortal", "1", time.Minute))
		expires := clock.Now().Add(time.Minute)
		clock.Advance(30 * time.Second)
		_, err = store.Increment("g", "mortal", 1)
		require.NoError(t, err)
		revision, err := store.Revision()
		require.NoError(t, err)
		requireEntry(t, store, "mortal", "2", revision, expires) // it keeps its TTL
		clock.Advance(30 * time.Second)
		sum, err = store.Increment("g", "mortal", 1)
		require.NoError(t, err)
		require.Equal(t, int64(1), sum, "an expired key counts as 0")
		requireEntry(t, store, "mortal", "1", revision+1, time.Time{})
	})
}

// Of many callers that find a key absent one sets it.
func TestSetIfAbsentHasOneWinner(t *testing.T) {
	forEachStore(t, func(t *testing.T, open func(...api.Option) *api.Store) {
		store := open(api.WithDurability(api.DurabilityBuffered))
		for round := range 5 {
			key := strconv.Itoa(round)
			var winner atomic.Int64
			var won atomic.Uint64
			require.NoError(t, together(64, func(i int) error {
				revision, err := store.SetIfAbsent("g", key, strconv.Itoa(i))
				var wrong *api.RevisionMismatchError
				switch {
				case err == nil && won.Swap(revision) != 0:
					return fmt.Errorf("%d has won too", i)
				case err == nil:
					winner.Store(int64(i))
				case !errors.As(err, &wrong) || wrong.Current == 0:
					return err
				}
				return nil
			}))
			requireEntry(t, store, key, strconv.FormatInt(winner.Load(), 10), won.Load(), time.Time{})
		}
	})
}

// Counting by CompareAndSet in a loop, and by Increment, loses nothing.
func TestConcurrentCounters(t *testing.T) {
	forEachStore(t, func(t *testing.T, open func(...api.Option) *api.Store) {
		store := open(api.WithDurability(api.DurabilityBuffered))
		const callers, each = 16, 10
		require.NoError(t, together(callers, func(int) error {
			for range each {
				if _, err := store.Increment("g", "incremented", 1); err != nil {
					return err
				}
				if err := countUp(store); err != nil {
					return err
				}
			}
			return nil
		}))
		requireValue(t, store, "g", "incremented", strconv.Itoa(callers*each))
		requireValue(t, store, "g", "compared", strconv.Itoa(callers*each))
		requireRevision(t, store, 2*callers*each) // refused writes have none
	})
}

// countUp adds 1 as a caller without Increment would.
func countUp(store *api.Store) error {
	for {
		entry, err := store.Entry("g", "compared")
		if err != nil && !errors.Is(err, api.NotFoundError) {
			return err
		}
		count, _ := strconv.Atoi(entry.Value) // 0 for none
		_, err = store.CompareAndSet("g", "compared", strconv.Itoa(count+1), entry.Revision)
		var wrong *api.RevisionMismatchError
		if !errors.As(err, &wrong) {
			return err
		}
	}
}

// TestConditionalModel: many goroutines, each on keys of its own and with a
// model of them, do whatever there is; between rounds time passes.
func TestConditionalModel(t *testing.T) {
	forEachConditional(t, func(t *testing.T, store conditional, clock *testkit.Clock) {
		const callers = 8
		models := make([]*revisionModel, callers)
		for i := range models {
			models[i] = &revisionModel{store: store, clock: clock, group: fmt.Sprint("group ", i),
				random: rand.New(rand.NewPCG(uint64(i), 11)), keys: map[string]api.Entry{}}
		}
		for range 5 {
			require.NoError(t, together(callers, func(i int) error {
				for range 40 {
					if err := models[i].step(); err != nil {
						return err
					}
				}
				return nil
			}))
			clock.Advance(time.Duration(models[0].random.IntN(2000)) * time.Millisecond)
		}
		var all []string
		for _, m := range models {
			all = append(all, m.met...)
		}
		slices.Sort(all)
		require.Len(t, slices.Compact(all), 13, "both outcomes of every call but Increment were met")
	})
}
