package api_test

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"forge.lthn.ai/core/go-store/api"
	"forge.lthn.ai/core/go-store/internal/testkit"
)

// clockAt stands at a moment.
func clockAt(at time.Time) *testkit.Clock {
	clock := testkit.NewClock()
	for now := clock.Now(); !now.Equal(at); now = clock.Now() {
		clock.Jump(at.Sub(now)) // as far as a Duration goes
	}
	return clock
}

// TestDeadlinesBeyondTheYears are refused by every way in that names one: what
// comes of microseconds that were taken for milliseconds.
func TestDeadlinesBeyondTheYears(t *testing.T) {
	forEachConditional(t, func(t *testing.T, store conditional, _ *testkit.Clock) {
		require.NoError(t, store.Set("g", "k", "v"))
		before, err := store.Revision()
		require.NoError(t, err)
		for _, at := range []time.Time{
			time.UnixMilli(1_900_000_000_000_000), time.Date(10_000, 1, 1, 0, 0, 0, 0, time.UTC),
			time.Date(0, 12, 31, 23, 59, 59, 0, time.UTC), time.Unix(math.MaxInt64/1000, 0),
			time.Unix(math.MaxInt64, 0), time.Unix(math.MinInt64, 0),
		} {
			_, err := store.Batch(new(api.Batch).Set("g", "l", "v").SetUntil("g", "k", "w", at))
			require.ErrorIs(t, err, api.InvalidDeadlineError, at)
			require.ErrorContains(t, err, "microseconds or nanoseconds perhaps taken for milliseconds")
		}
		requireRevision(t, store, before)
		for _, at := range []time.Time{time.Date(9999, 12, 31, 23, 59, 59, 999_000_000, time.UTC), time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)} {
			_, err = store.Batch(new(api.Batch).SetUntil("g", "k", "w", at))
			require.NoError(t, err)
			entry, err := store.Entry("g", "k")
			require.NoError(t, err)
			require.True(t, entry.ExpiresAt.Equal(at))
			_, err = entry.ExpiresAt.MarshalJSON()
			require.NoError(t, err)
		}
	})
}

// TestTimesToLiveBeyondTheYears: the same for what is counted from now.
func TestTimesToLiveBeyondTheYears(t *testing.T) {
	const long = math.MaxInt64 // 292 years
	forEachStore(t, func(t *testing.T, open func(...api.Option) *api.Store) {
		store := open(api.WithClock(clockAt(time.Date(9800, 1, 1, 0, 0, 0, 0, time.UTC))))
		for _, store := range []transactor{store, newScope(t, store, "tenant")} {
			conditional := store.(conditional)
			require.NoError(t, store.SetWithTTL("g", "k", "v", 100*365*24*time.Hour))
			before, err := store.Revision()
			require.NoError(t, err)
			for name, call := range map[string]func() error{
				"SetWithTTL":       func() error { return store.SetWithTTL("g", "k", "w", long) },
				"Touch":            func() error { return conditional.Touch("g", "k", long) },
				"Batch.SetWithTTL": func() error { _, err := conditional.Batch(new(api.Batch).SetWithTTL("g", "k", "w", long)); return err },
				"Batch.Touch":      func() error { _, err := conditional.Batch(new(api.Batch).Touch("g", "k", long)); return err },
				"Transaction.SetWithTTL": func() error {
					return store.Transaction(func(tx *api.Transaction) error { return tx.SetWithTTL("g", "k", "w", long) })
				},
				"Transaction.Touch": func() error {
					return store.Transaction(func(tx *api.Transaction) error { return tx.Touch("g", "k", long) })
				},
			} {
				require.ErrorIs(t, call(), api.InvalidDeadlineError, name)
			}
			require.NoError(t, store.Transaction(func(tx *api.Transaction) error {
				require.ErrorIs(t, tx.SetWithTTL("g", "k", "w", long), api.InvalidDeadlineError)
				requireInTransaction(t, tx, "g", "k", "v")
				return nil
			}), "it may go on without")
			after, err := store.Revision()
			require.NoError(t, err)
			require.Equal(t, before, after)
			requireValue(t, store, "g", "k", "v")
		}
		for _, year := range []int{-300, 0, 10_000, 300_000} {
			store := open(api.WithClock(clockAt(time.Date(year, 6, 1, 0, 0, 0, 0, time.UTC))))
			require.ErrorIs(t, store.SetWithTTL("g", "k", "v", time.Second), api.InvalidDeadlineError, year)
			require.NoError(t, store.Set("g", "k", "v"))
		}
	})
}

func requireInTransaction(t *testing.T, tx *api.Transaction, group, key, value string) {
	t.Helper()
	got, err := tx.Get(group, key)
	require.NoError(t, err)
	require.Equal(t, value, got)
}

// TestExpiryInAnyYear: a clock may show what it likes, keys live for as long as they
// were told and no longer, and are removed in the background.
func TestExpiryInAnyYear(t *testing.T) {
	for name, at := range map[string]time.Time{
		"the zero time": {}, "the Middle Ages": time.Date(1500, 1, 1, 0, 0, 0, 0, time.UTC),
		"1969": time.Date(1969, 12, 31, 23, 59, 30, 0, time.UTC), "the epoch": time.Unix(0, 0),
		"1700": time.Date(1700, 1, 1, 0, 0, 0, 0, time.UTC), "2262": time.Date(2262, 4, 11, 23, 47, 0, 0, time.UTC),
		"2300": time.Date(2300, 1, 1, 0, 0, 0, 0, time.UTC), "9998": time.Date(9998, 1, 1, 0, 0, 0, 0, time.UTC),
	} {
		t.Run(name, func(t *testing.T) {
			forEachStore(t, func(t *testing.T, open func(...api.Option) *api.Store) {
				clock := clockAt(at)
				store := open(api.WithClock(clock))
				watcher := store.Watch("g", "*")
				require.NoError(t, store.SetWithTTL("g", "dead", "v", 0))
				requireNotFound(t, store, "g", "dead")
				require.NoError(t, store.SetWithTTL("g", "long dead", "v", math.MinInt64))
				requireNotFound(t, store, "g", "long dead")
				require.NoError(t, store.SetWithTTL("g", "k", "v", time.Minute))
				require.NoError(t, store.SetWithTTL("g", "longer", "v", 2*time.Minute))
				require.NoError(t, store.SetWithTTL("other", "longest", "v", 300*24*time.Hour))
				_, err := store.Batch(new(api.Batch).SetUntil("g", "until", "v", at.Add(time.Minute)))
				require.NoError(t, err)
				for _, event := range delivered(watcher)[:2] {
					require.False(t, event.ExpiresAt.IsZero(), "it is to expire")
					require.True(t, event.Timestamp.Equal(at))
				}
				entry, err := store.Entry("g", "k")
				require.NoError(t, err)
				require.True(t, entry.ExpiresAt.Equal(at.Add(time.Minute)), entry.ExpiresAt)
				clock.Advance(time.Minute - time.Millisecond)
				requireValue(t, store, "g", "k", "v")
				requireValue(t, store, "g", "until", "v")
				require.NoError(t, store.Touch("g", "k", time.Minute))
				clock.Advance(time.Millisecond)
				requireNotFound(t, store, "g", "until")
				clock.Advance(59 * time.Second)
				requireValue(t, store, "g", "k", "v")
				requireValue(t, store, "g", "longer", "v")
				clock.Advance(2 * time.Second)
				requireCount(t, store, "g", 0)
				gone := map[string]bool{}
				for !gone["k"] || !gone["longer"] || !gone["until"] {
					if event := nextInTime(t, clock, watcher); event.Type == api.EventExpire {
						gone[event.Key] = true
					}
				}
				requireCount(t, store, "", 1)
				// What the log says is what was told, whatever the year.
				for event, err := range store.History("g", "longer") {
					require.NoError(t, err)
					if event.Type == api.EventSet {
						require.True(t, event.Timestamp.Equal(at), event.Timestamp)
						require.True(t, event.ExpiresAt.Equal(at.Add(2*time.Minute)))
					}
				}
			})
		})
	}
}

// TestClockThatComesToItself: a machine that starts in 1970, or with no time at all,
// and learns the date later.
func TestClockThatComesToItself(t *testing.T) {
	for _, at := range []time.Time{{}, time.Unix(0, 0), time.Date(2200, 1, 1, 0, 0, 0, 0, time.UTC)} {
		clock := clockAt(at)
		store := openStore(t, newPath(t), api.WithClock(clock))
		require.NoError(t, store.SetWithTTL("g", "k", "v", time.Hour))
		for now := time.Date(2301, 1, 1, 0, 0, 0, 0, time.UTC); clock.Now().Before(now); {
			clock.Jump(now.Sub(clock.Now()))
		}
		requireNotFound(t, store, "g", "k")
		_, err := store.PurgeExpired() // or the reaper, which has been told by now
		require.NoError(t, err)
		require.NoError(t, store.SetWithTTL("g", "k", "v", time.Hour))
		clock.Jump(-100 * 365 * 24 * time.Hour)
		requireValue(t, store, "g", "k", "v")
	}
}
