package api_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
	"unsafe"

	"github.com/stretchr/testify/require"

	"forge.lthn.ai/core/go-store/api"
	"forge.lthn.ai/core/go-store/internal/testkit"
)

// TestWritesInFrontOfManyExpiredRows: whatever has expired where a write goes, it is
// not refused. All expired rows have their events, with their last values, before
// those of the write, which is one whole as ever.
func TestWritesInFrontOfManyExpiredRows(t *testing.T) {
	type shape struct{ rows, bytes int }
	writes := map[string]func(store conditional, keys []string) error{
		"DeleteGroup":  func(store conditional, _ []string) error { return store.DeleteGroup("g") },
		"DeletePrefix": func(store conditional, _ []string) error { return store.DeletePrefix("") },
		"Batch": func(store conditional, keys []string) error {
			batch := new(api.Batch)
			for _, key := range keys {
				batch.Delete("g", key)
			}
			_, err := store.Batch(batch.Delete("g", "live").Set("h", "k", "v"))
			return err
		},
		"Transaction": func(store conditional, _ []string) error {
			return store.(transactor).Transaction(func(tx *api.Transaction) error {
				if _, err := tx.Count("g"); err != nil {
					return err
				}
				return tx.DeleteGroup("g")
			})
		},
		"SetAll": func(store conditional, keys []string) error {
			var items []api.Item
			for _, key := range keys {
				items = append(items, api.Item{Group: "g", Key: key, Value: "new"})
			}
			return store.SetAll(items)
		},
	}
	for name, write := range writes {
		for _, size := range []shape{{5000, 10}, {3, 4 << 20}} {
			t.Run(fmt.Sprint(name, size), func(t *testing.T) {
				t.Parallel()
				forEachStore(t, func(t *testing.T, open func(...api.Option) *api.Store) {
					clock := testkit.NewClock()
					store := open(api.WithClock(clock), api.WithPurgeInterval(24*time.Hour), api.WithWatchBuffer(20_000), api.WithDurability(api.DurabilityBuffered))
					var keys []string
					batch := new(api.Batch)
					for i := range size.rows {
						keys = append(keys, fmt.Sprintf("%06d", i))
						batch.SetWithTTL("g", keys[i], strings.Repeat(keys[i][5:], size.bytes), time.Minute)
						if batch.Len() == 1000 || size.bytes > 10 {
							_, err := store.Batch(batch)
							require.NoError(t, err)
							batch.Reset()
						}
					}
					require.NoError(t, store.Set("g", "live", "v"))
					clock.Jump(time.Hour)
					watcher := store.Watch("*", "*")
					before, err := store.Revision()
					require.NoError(t, err)
					require.NoError(t, write(store, keys))
					events := delivered(watcher)
					require.Zero(t, watcher.Dropped())
					require.Greater(t, events[len(events)-1].Revision, before+1, "the rows went in commits of their own")
					expired := map[string]string{}
					n := 0
					for ; n < len(events) && events[n].Type == api.EventExpire; n++ {
						expired[events[n].Key] = events[n].Value
					}
					require.Len(t, expired, size.rows)
					for _, key := range keys {
						require.True(t, expired[key] == strings.Repeat(key[5:], size.bytes), "its last value")
					}
					for _, event := range events[n:] {
						require.NotEqual(t, api.EventExpire, event.Type)
						require.Equal(t, events[len(events)-1].Revision, event.Revision)
					}
					require.NotEmpty(t, events[n:])
					if name == "SetAll" {
						requireCount(t, store, "g", size.rows+1)
					} else {
						requireCount(t, store, "g", 0)
					}
				})
			})
		}
	}
}

// TestDeleteOfMoreThanALogRecord was refused: 144 MiB that have expired.
func TestDeleteOfMoreThanALogRecord(t *testing.T) {
	clock := testkit.NewClock()
	store := openStore(t, newPath(t), api.WithClock(clock), api.WithPurgeInterval(24*time.Hour), api.WithDurability(api.DurabilityBuffered))
	value := strings.Repeat("v", 16<<20-100)
	for i := range 9 {
		require.NoError(t, store.SetWithTTL("g", fmt.Sprint(i), value, time.Minute))
	}
	require.NoError(t, store.Set("g", "live", "v"))
	clock.Jump(time.Hour)
	require.NoError(t, store.DeleteGroup("g"))
	stats, err := store.Stats()
	require.NoError(t, err)
	require.Zero(t, stats.Keys+stats.Expired)
}

// TestQuotaInFrontOfManyExpiredRows: a batch that needs the room of many expired
// rows of its namespace gets it.
func TestQuotaInFrontOfManyExpiredRows(t *testing.T) {
	forEachStore(t, func(t *testing.T, open func(...api.Option) *api.Store) {
		clock := testkit.NewClock()
		scope := newScope(t, open(api.WithClock(clock), api.WithPurgeInterval(24*time.Hour), api.WithDurability(api.DurabilityBuffered)), "n", api.QuotaConfig{MaxKeys: 10})
		value := strings.Repeat("v", 2<<20)
		for i := range 10 {
			require.NoError(t, scope.SetWithTTL("old", fmt.Sprint(i), value, time.Minute))
		}
		clock.Jump(time.Hour)
		var items []api.Item
		for i := range 10 {
			items = append(items, api.Item{Group: "new", Key: fmt.Sprint(i), Value: "v"})
		}
		require.NoError(t, scope.SetAll(items))
		requireCount(t, scope, "", 10)
		require.ErrorIs(t, scope.Set("new", "one more", "v"), api.QuotaExceededError)
	})
}

// TestDeletesBesideManyExpiredRows of others: they are left, and the group's own are
// expired, wherever they are looked for.
func TestDeletesBesideManyExpiredRows(t *testing.T) {
	for _, others := range []int{0, 63, 64, 65, 300} {
		forEachStore(t, func(t *testing.T, open func(...api.Option) *api.Store) {
			clock := testkit.NewClock()
			store := open(api.WithClock(clock), api.WithPurgeInterval(24*time.Hour), api.WithWatchBuffer(1000))
			batch := new(api.Batch)
			for i := range others {
				batch.SetWithTTL("others", fmt.Sprint(i), "v", time.Second)
			}
			for _, group := range []string{"ga", "gb", "h"} {
				batch.Set(group, "live", "v").SetWithTTL(group, "a", "v", time.Second).SetWithTTL(group, "z", "v", time.Second)
			}
			batch.SetWithTTL("gdead", "k", "v", time.Second)
			_, err := store.Batch(batch)
			require.NoError(t, err)
			clock.Jump(time.Minute)
			ga, gb, gdead, h := store.Watch("ga", "*"), store.Watch("gb", "*"), store.Watch("gdead", "*"), store.Watch("h", "*")
			requireCount(t, store, "g", 2)
			requireCount(t, store, "h", 1)
			requireCount(t, store, "others", 0)
			requireCount(t, store, "", 3)
			require.NoError(t, store.DeleteGroup("h"))
			require.ElementsMatch(t, []change{{api.EventExpire, "h", "a", "v"}, {api.EventExpire, "h", "z", "v"},
				{api.EventDeleteGroup, "h", "", ""}}, changes(delivered(h)))
			require.NoError(t, store.DeletePrefix("g"))
			require.ElementsMatch(t, []change{{api.EventExpire, "ga", "a", "v"}, {api.EventExpire, "ga", "z", "v"},
				{api.EventExpire, "gb", "a", "v"}, {api.EventExpire, "gb", "z", "v"}, {api.EventExpire, "gdead", "k", "v"},
				{api.EventDeleteGroup, "ga", "", ""}, {api.EventDeleteGroup, "gb", "", ""}},
				changes(slices.Concat(delivered(ga), delivered(gb), delivered(gdead))))
		})
	}
}

// TestEntriesOverTodaysLimits can be read, touched, expired and removed.
func TestEntriesOverTodaysLimits(t *testing.T) {
	group, key, value := strings.Repeat("g", 300), strings.Repeat("k", 300), strings.Repeat("v", 3000)
	remove := map[string]func(store *api.Store, clock *testkit.Clock) error{
		"Delete":           func(store *api.Store, _ *testkit.Clock) error { return store.Delete(group, key) },
		"DeleteGroup":      func(store *api.Store, _ *testkit.Clock) error { return store.DeleteGroup(group) },
		"DeletePrefix":     func(store *api.Store, _ *testkit.Clock) error { return store.DeletePrefix(group[:200]) },
		"CompareAndDelete": func(store *api.Store, _ *testkit.Clock) error { return store.CompareAndDelete(group, key, 1) },
		"Batch": func(store *api.Store, _ *testkit.Clock) error {
			_, err := store.Batch(new(api.Batch).IfPresent(group, key).Delete(group, key).Set("g", "k", "v"))
			return err
		},
		"Batch of a group": func(store *api.Store, _ *testkit.Clock) error {
			_, err := store.Batch(new(api.Batch).DeleteGroup(group).DeletePrefix(group[:200]))
			return err
		},
		"Transaction": func(store *api.Store, _ *testkit.Clock) error {
			return store.Transaction(func(tx *api.Transaction) error {
				if got, err := tx.Get(group, key); err != nil || got != value {
					return fmt.Errorf("%.10s: %w", got, err)
				}
				if err := tx.Touch(group, key, time.Hour); err != nil {
					return err
				}
				return tx.Delete(group, key)
			})
		},
		"Transaction of a group": func(store *api.Store, _ *testkit.Clock) error {
			return store.Transaction(func(tx *api.Transaction) error { return tx.DeleteGroup(group) })
		},
		"PurgeExpired": func(store *api.Store, clock *testkit.Clock) error {
			if err := store.Touch(group, key, time.Second); err != nil {
				return err
			}
			clock.Jump(time.Minute)
			_, err := store.PurgeExpired()
			return err
		},
		"Transaction that touches": func(store *api.Store, clock *testkit.Clock) error {
			err := store.Transaction(func(tx *api.Transaction) error { return tx.Touch(group, key, time.Second) })
			clock.Jump(time.Minute)
			return err
		},
		"reaper": func(store *api.Store, clock *testkit.Clock) error {
			_, err := store.Batch(new(api.Batch).Touch(group, key, time.Second))
			clock.Advance(time.Minute)
			return err
		},
	}
	for name, remove := range remove {
		t.Run(name, func(t *testing.T) {
			path, clock := newPath(t), testkit.NewClock()
			store, err := api.New(path, api.WithClock(clock))
			require.NoError(t, err)
			require.NoError(t, store.Set(group, key, value))
			require.NoError(t, store.Close())
			store = openStore(t, path, api.WithClock(clock), api.WithSizeLimits(api.SizeLimits{Group: 10, Key: 10, Value: 10, Commit: 30}))
			requireValue(t, store, group, key, value)
			require.ErrorIs(t, store.Set(group, key, "v"), api.TooLargeError)
			require.NoError(t, remove(store, clock))
			requireNotFound(t, store, group, key)
			requireCount(t, store, group, 0)
		})
	}
}

// TestManyTouchesOfALargeValue are refused before they fill the memory.
func TestManyTouchesOfALargeValue(t *testing.T) {
	store := openStore(t, ":memory:")
	require.NoError(t, store.Set("g", "k", strings.Repeat("v", 8<<20)))
	batch := new(api.Batch)
	for i := range 200 {
		batch.Touch("g", "k", time.Duration(i+1)*time.Hour)
	}
	_, err := store.Batch(batch)
	require.ErrorIs(t, err, api.TooLargeError)
	require.ErrorContains(t, err, "do it in parts")
	require.NoError(t, store.Touch("g", "k", time.Hour))
}

// TestTouchesThatAlternate between large values share each, and are refused as soon as
// those of one.
func TestTouchesThatAlternate(t *testing.T) {
	forEachStore(t, func(t *testing.T, open func(...api.Option) *api.Store) {
		store := open(api.WithDurability(api.DurabilityBuffered))
		for key := range 2 {
			require.NoError(t, store.Set("g", fmt.Sprint(key), strings.Repeat(fmt.Sprint(key), 8<<20)))
		}
		touches := func(n int) *api.Batch {
			batch := new(api.Batch)
			for i := range n {
				batch.Touch("g", fmt.Sprint(i%2), time.Duration(i+1)*time.Hour)
			}
			return batch
		}
		_, err := store.Batch(touches(15))
		require.ErrorIs(t, err, api.TooLargeError)
		require.ErrorContains(t, err, "do it in parts")
		watcher := store.Watch("g", "*")
		_, err = store.Batch(touches(8))
		require.NoError(t, err)
		events := delivered(watcher)
		require.Len(t, events, 8)
		for i, event := range events {
			require.True(t, event.Value == strings.Repeat(event.Key, 8<<20))
			require.True(t, unsafe.StringData(event.Value) == unsafe.StringData(events[i%2].Value), "the value is held once")
		}
	})
}

// TestTouchesOfManyValues: under larger limits a request may touch more at once.
func TestTouchesOfManyValues(t *testing.T) {
	store := openStore(t, ":memory:", api.WithSizeLimits(api.SizeLimits{Commit: 96 << 20}))
	batch := new(api.Batch)
	for key := range 10 {
		require.NoError(t, store.Set("g", fmt.Sprint(key), strings.Repeat("v", 8<<20)))
		batch.Touch("g", fmt.Sprint(key), time.Hour)
	}
	_, err := store.Batch(batch)
	require.NoError(t, err)
}
