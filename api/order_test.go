package api_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"forge.lthn.ai/core/go-store/api"
	"forge.lthn.ai/core/go-store/internal/testkit"
)

// TestTransactionKeepsTheOrderOfItsCalls: its events, and what its quota is judged
// by, come in the order in which it was told, not in that of the keys.
func TestTransactionKeepsTheOrderOfItsCalls(t *testing.T) {
	eachTransactor(t, func(t *testing.T, store transactor, _ *testkit.Clock) {
		require.NoError(t, store.SetAll([]api.Item{{Group: "z", Key: "z", Value: "v"}, {Group: "m", Key: "1", Value: "v"}}))
		watcher := store.Watch("*", "*")
		require.NoError(t, store.Transaction(func(tx *api.Transaction) error {
			require.NoError(t, tx.Delete("z", "z"))
			require.NoError(t, tx.Set("y", "y", "1"))
			require.NoError(t, tx.Set("m", "2", "v"))
			require.NoError(t, tx.DeleteGroup("m"))
			require.NoError(t, tx.Set("m", "3", "v"))
			require.NoError(t, tx.Set("a", "a", "1"))
			require.NoError(t, tx.Set("y", "y", "2"))
			require.NoError(t, tx.DeletePrefix("none"))
			require.NoError(t, tx.Delete("a", "a"))
			require.NoError(t, tx.Delete("a", "a"))
			require.NoError(t, tx.Set("a", "a", "3"))
			return nil
		}))
		var got []string
		for _, event := range delivered(watcher) {
			got = append(got, fmt.Sprint(event.Type, " ", event.Group[len(event.Group)-1:], event.Key, event.Value))
		}
		require.Equal(t, []string{"delete zz", "set yy2", "set m2v", "delete_group m", "set m3v", "set aa1", "delete aa", "set aa3"}, got)
	})
}

func TestTransactionQuotaInTheOrderOfItsCalls(t *testing.T) {
	forEachStore(t, func(t *testing.T, open func(...api.Option) *api.Store) {
		store := open()
		one := newScope(t, store, "one", api.QuotaConfig{MaxKeys: 1})
		require.NoError(t, one.Set("g", "z", "v"))
		require.NoError(t, one.Transaction(func(tx *api.Transaction) error {
			require.NoError(t, tx.Delete("g", "z"))
			return tx.Set("g", "a", "v")
		}))
		require.ErrorIs(t, one.Transaction(func(tx *api.Transaction) error {
			require.NoError(t, tx.Set("g", "z", "v"))
			return tx.Delete("g", "a")
		}), api.QuotaExceededError)
		two := newScope(t, store, "two", api.QuotaConfig{MaxKeys: 2})
		require.NoError(t, two.SetAll([]api.Item{{Group: "g", Key: "y"}, {Group: "g", Key: "z"}}))
		require.NoError(t, two.Transaction(func(tx *api.Transaction) error {
			require.NoError(t, tx.Delete("g", "z"))
			require.NoError(t, tx.Set("g", "a", "v"))
			require.NoError(t, tx.Delete("g", "y"))
			return tx.Set("g", "z", "v")
		}), "it fits at every call")
		groups := newScope(t, store, "groups", api.QuotaConfig{MaxGroups: 1})
		require.NoError(t, groups.Set("z", "k", "v"))
		require.NoError(t, groups.Transaction(func(tx *api.Transaction) error {
			require.NoError(t, tx.DeleteGroup("z"))
			return tx.Set("a", "k", "v")
		}))
	})
}

// TestTransactionsAgainstTheirCallsOneByOne: a transaction answers, leaves and
// refuses what the same calls would one after another, on a store of their own.
func TestTransactionsAgainstTheirCallsOneByOne(t *testing.T) {
	random := rand.New(rand.NewPCG(7, 7))
	type both interface {
		Set(group, key, value string) error
		SetWithTTL(group, key, value string, timeToLive time.Duration, options ...api.TTLOption) error
		Delete(group, key string) error
		DeleteGroup(group string) error
		DeletePrefix(prefix string) error
		Touch(group, key string, timeToLive time.Duration) error
		Persist(group, key string) error
		Increment(group, key string, delta int64) (int64, error)
		Get(group, key string) (string, error)
		GetAll(group string) (map[string]string, error)
		Groups(prefix string) ([]string, error)
		CountAll(prefix string) (int, error)
	}
	for round := range 150 {
		clock := testkit.NewClock()
		quota := api.QuotaConfig{MaxKeys: 3 + random.IntN(3), MaxGroups: random.IntN(4)}
		whole := newScope(t, openStore(t, ":memory:", api.WithClock(clock)), "n", quota)
		single := newScope(t, openStore(t, ":memory:", api.WithClock(clock)), "n", quota)
		for range 4 {
			var steps []func(on both) string
			for range random.IntN(14) {
				group, key, kind, n := string(rune('a'+random.IntN(3))), string(rune('x'+random.IntN(3))), random.IntN(12), random.IntN(5)
				steps = append(steps, func(on both) string {
					switch kind {
					case 0, 1, 2:
						return fmt.Sprint(on.Set(group, key, fmt.Sprint(n)))
					case 3:
						return fmt.Sprint(on.SetWithTTL(group, key, fmt.Sprint(n), time.Duration(n)*time.Second))
					case 4, 5:
						return fmt.Sprint(on.Delete(group, key))
					case 6:
						return fmt.Sprint(on.DeleteGroup(group))
					case 7:
						if n == 0 {
							return fmt.Sprint(on.DeletePrefix(group))
						}
						_ = on.Touch(group, key, time.Duration(n)*time.Second) // the errors' texts differ
						return ""
					case 8:
						_ = on.Persist(group, key)
						return ""
					case 9:
						sum, err := on.Increment(group, key, int64(n))
						return fmt.Sprint(sum, err)
					case 10:
						value, _ := on.Get(group, key)
						count, _ := on.CountAll("")
						return fmt.Sprint(value, count)
					default:
						all, _ := on.GetAll(group)
						groups, _ := on.Groups("")
						return fmt.Sprint(all, groups)
					}
				})
			}
			before := dumped(t, single)
			var expected []string
			refused := false
			for _, step := range steps {
				answer := step(single)
				refused = refused || len(answer) > 40 // a quota's error
				expected = append(expected, answer)
			}
			var got []string
			err := whole.Transaction(func(tx *api.Transaction) error {
				got = nil
				for _, step := range steps {
					got = append(got, step(tx))
				}
				return nil
			})
			if refused {
				require.ErrorIs(t, err, api.QuotaExceededError, "round %d: %v", round, expected)
				require.Equal(t, before, dumped(t, whole))
				break // the two have parted
			}
			require.NoError(t, err, "round %d: %v", round, expected)
			require.Equal(t, expected, got)
			require.Equal(t, dumped(t, single), dumped(t, whole))
			clock.Advance(time.Duration(random.IntN(3)) * time.Second)
		}
	}
}

func dumped(t *testing.T, store *api.ScopedStore) (rows []string) {
	t.Helper()
	for entry, err := range store.Scan(api.ScanOptions{}) {
		require.NoError(t, err)
		rows = append(rows, fmt.Sprint(entry.Group, "/", entry.Key, "=", entry.Value, " ", entry.ExpiresAt.UnixMilli()))
	}
	return rows
}
