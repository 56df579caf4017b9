package api_test

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"forge.lthn.ai/core/go-store/api"
	"forge.lthn.ai/core/go-store/internal/testkit"
)

// transactor is what transactions are begun on.
type transactor interface {
	handle
	Transaction(function func(tx *api.Transaction) error) error
	Conflicts() uint64
	Revision() (uint64, error)
	Entry(group, key string) (api.Entry, error)
}

var (
	_ transactor = (*api.Store)(nil)
	_ transactor = (*api.ScopedStore)(nil)
)

func eachTransactor(t *testing.T, test func(t *testing.T, store transactor, clock *testkit.Clock)) {
	t.Helper()
	forEachTimedHandle(t, func(t *testing.T, store handle, clock *testkit.Clock) {
		test(t, store.(transactor), clock)
	})
}

// TestTransactionSeesItsOwnWrites and the snapshot below them, in every read.
func TestTransactionSeesItsOwnWrites(t *testing.T) {
	eachTransactor(t, func(t *testing.T, store transactor, _ *testkit.Clock) {
		require.NoError(t, store.SetAll([]api.Item{
			{Group: "a", Key: "1", Value: "one"}, {Group: "a", Key: "3", Value: "three"},
			{Group: "b", Key: "1", Value: "b"}, {Group: "c", Key: "1", Value: "c"}}))
		before, err := store.Revision()
		require.NoError(t, err)
		require.NoError(t, store.Transaction(func(tx *api.Transaction) error {
			require.NoError(t, tx.Set("a", "2", "two"))
			require.NoError(t, tx.Set("a", "3", "three again"))
			require.NoError(t, tx.Set("a", "9", "gone at once"))
			require.NoError(t, tx.Delete("a", "9"))
			require.NoError(t, tx.SetWithTTL("a", "8", "expired", 0))
			require.NoError(t, tx.DeleteGroup("b"))
			require.NoError(t, tx.Set("b", "2", "anew"))
			require.NoError(t, tx.Set("d", "1", "d"))
			require.NoError(t, tx.DeletePrefix("c"))

			all, err := tx.GetAll("a")
			require.NoError(t, err)
			require.Equal(t, map[string]string{"1": "one", "2": "two", "3": "three again"}, all)
			var keys []string
			for entry, err := range tx.All("a") {
				require.NoError(t, err)
				keys = append(keys, entry.Key)
				require.NoError(t, tx.Set("a", entry.Key+"+", "written in the loop"))
			}
			require.Equal(t, []string{"1", "2", "3"}, keys)
			page, err := tx.GetPage("a", 1, 2)
			require.NoError(t, err)
			require.Equal(t, []api.KeyValue{{Key: "1+", Value: "written in the loop"}, {Key: "2", Value: "two"}}, page)
			_, err = tx.GetPage("a", -1, 2)
			require.ErrorIs(t, err, api.InvalidPageError)

			value, err := tx.Get("a", "3")
			require.NoError(t, err)
			require.Equal(t, "three again", value)
			for _, gone := range [][2]string{{"a", "9"}, {"a", "8"}, {"b", "1"}, {"c", "1"}, {"none", "1"}} {
				_, err = tx.Get(gone[0], gone[1])
				require.ErrorIs(t, err, api.NotFoundError)
				exists, err := tx.Exists(gone[0], gone[1])
				require.NoError(t, err)
				require.False(t, exists)
			}
			groups, err := tx.Groups("")
			require.NoError(t, err)
			require.Equal(t, []string{"a", "b", "d"}, groups)
			for group, want := range map[string]bool{"a": true, "b": true, "c": false, "d": true, "none": false} {
				exists, err := tx.GroupExists(group)
				require.NoError(t, err)
				require.Equal(t, want, exists, group)
			}
			count, err := tx.Count("a")
			require.NoError(t, err)
			require.Equal(t, 6, count)
			count, err = tx.CountAll("")
			require.NoError(t, err)
			require.Equal(t, 8, count)

			sum, err := tx.Increment("n", "n", 5)
			require.NoError(t, err)
			require.Equal(t, int64(5), sum)
			sum, err = tx.Increment("n", "n", -7)
			require.NoError(t, err)
			require.Equal(t, int64(-2), sum)
			_, err = tx.Increment("a", "1", 1)
			require.ErrorIs(t, err, api.NotANumberError)

			_, err = store.Get("d", "1")
			require.ErrorIs(t, err, api.NotFoundError, "nothing shows outside before the end")
			return nil
		}))
		after, err := store.Revision()
		require.NoError(t, err)
		require.Equal(t, before+1, after, "one request")
		all, err := store.GetAll("a")
		require.NoError(t, err)
		require.Equal(t, map[string]string{"1": "one", "2": "two", "3": "three again", "1+": "written in the loop",
			"2+": "written in the loop", "3+": "written in the loop"}, all)
		requireValue(t, store, "b", "2", "anew")
		requireNotFound(t, store, "b", "1")
		requireNotFound(t, store, "c", "1")
		requireValue(t, store, "n", "n", "-2")
		requireNotFound(t, store, "a", "9")
	})
}

// TestTransactionIsASnapshot: what others commit meanwhile does not show in it.
func TestTransactionIsASnapshot(t *testing.T) {
	eachTransactor(t, func(t *testing.T, store transactor, _ *testkit.Clock) {
		require.NoError(t, store.Set("g", "a", "1"))
		require.NoError(t, store.Set("g", "b", "1"))
		require.NoError(t, store.Transaction(func(tx *api.Transaction) error {
			first, err := tx.Get("g", "a")
			require.NoError(t, err)
			require.NoError(t, store.SetAll([]api.Item{{Group: "g", Key: "a", Value: "2"}, {Group: "g", Key: "b", Value: "2"}}))
			second, err := tx.Get("g", "b")
			require.NoError(t, err)
			require.Equal(t, first, second)
			all, err := tx.GetAll("g")
			require.NoError(t, err)
			require.Equal(t, map[string]string{"a": "1", "b": "1"}, all)
			return nil
		}), "it wrote nothing: there is nothing to conflict")
		require.Zero(t, store.Conflicts())
	})
}

// TestTransactionConflicts: whatever the transaction has read, present or not,
// and another caller changes meanwhile, makes it run again; nothing else does.
func TestTransactionConflicts(t *testing.T) {
	get := func(key string) func(tx *api.Transaction) error {
		return func(tx *api.Transaction) error {
			if _, err := tx.Get("g", key); !errors.Is(err, api.NotFoundError) {
				return err
			}
			return nil
		}
	}
	count := func(tx *api.Transaction) error { _, err := tx.Count("g"); return err }
	list := func(tx *api.Transaction) error { _, err := tx.GetAll("g"); return err }
	groups := func(tx *api.Transaction) error { _, err := tx.Groups("g"); return err }
	none := func(*api.Transaction) error { return nil }
	set := func(group, key string) func(transactor) error {
		return func(s transactor) error { return s.Set(group, key, "other") }
	}
	for name, c := range map[string]struct {
		read     func(*api.Transaction) error
		meddle   func(transactor) error
		conflict bool
	}{
		"a key that was read":            {get("a"), set("g", "a"), true},
		"with the same value":            {get("a"), func(s transactor) error { return s.Set("g", "a", "v") }, true},
		"a key that was not there":       {get("new"), set("g", "new"), true},
		"deleted":                        {get("a"), func(s transactor) error { return s.Delete("g", "a") }, true},
		"deleted and written again":      {get("a"), func(s transactor) error { return errors.Join(s.Delete("g", "a"), s.Set("g", "a", "v")) }, true},
		"its group deleted":              {get("a"), func(s transactor) error { return s.DeleteGroup("g") }, true},
		"another key":                    {get("a"), set("g", "b"), false},
		"a key that is only written":     {none, set("out", "key"), false},
		"a new key in a counted group":   {count, set("g", "new"), true},
		"a new key in a listed group":    {list, set("g", "new"), true},
		"a change in a listed group":     {list, set("g", "a"), true},
		"a key deleted from it":          {count, func(s transactor) error { return s.Delete("g", "b") }, true},
		"one deleted and one added":      {count, func(s transactor) error { return errors.Join(s.Delete("g", "b"), s.Set("g", "z", "")) }, true},
		"a new group under a prefix":     {groups, set("g2", "k"), true},
		"the groups of a prefix deleted": {groups, func(s transactor) error { return s.DeletePrefix("g") }, true},
		"a key of another group":         {list, set("h", "k"), false},
		"a group outside of the prefix":  {groups, set("h2", "k"), false},
	} {
		t.Run(name, func(t *testing.T) {
			eachTransactor(t, func(t *testing.T, store transactor, _ *testkit.Clock) {
				require.NoError(t, errors.Join(store.Set("g", "a", "v"), store.Set("g", "b", "v"), store.Set("h", "k", "v")))
				runs := 0
				require.NoError(t, store.Transaction(func(tx *api.Transaction) error {
					runs++
					if err := c.read(tx); err != nil {
						return err
					}
					if runs == 1 {
						require.NoError(t, c.meddle(store))
					}
					return tx.Set("out", "key", strconv.Itoa(runs))
				}))
				want := map[bool]int{false: 1, true: 2}[c.conflict]
				require.Equal(t, want, runs)
				require.Equal(t, uint64(want-1), store.Conflicts())
				requireValue(t, store, "out", "key", strconv.Itoa(want))
			})
		})
	}
}

// TestTransactionConflictsWithTime: a key that it has read expires before it
// commits, removed already or not.
func TestTransactionConflictsWithTime(t *testing.T) {
	for name, read := range map[string]func(*api.Transaction) error{
		"key":   func(tx *api.Transaction) error { _, err := tx.Exists("g", "mortal"); return err },
		"group": func(tx *api.Transaction) error { _, err := tx.Count("g"); return err },
	} {
		for _, purge := range []bool{false, true} {
			t.Run(fmt.Sprint(name, "/purged=", purge), func(t *testing.T) {
				eachTransactor(t, func(t *testing.T, store transactor, clock *testkit.Clock) {
					require.NoError(t, store.SetWithTTL("g", "mortal", "v", time.Minute))
					runs := 0
					require.NoError(t, store.Transaction(func(tx *api.Transaction) error {
						runs++
						require.NoError(t, read(tx))
						if runs == 1 {
							clock.Advance(time.Minute)
							if purge {
								_, err := store.PurgeExpired()
								require.NoError(t, err)
							}
						}
						return tx.Set("out", "key", "v")
					}))
					require.Equal(t, 2, runs)
				})
			})
		}
	}
}

func TestTransactionGivesUp(t *testing.T) {
	eachTransactor(t, func(t *testing.T, store transactor, _ *testkit.Clock) {
		runs := 0
		err := store.Transaction(func(tx *api.Transaction) error {
			runs++
			if _, err := tx.Exists("g", "k"); err != nil {
				return err
			}
			require.NoError(t, store.Set("g", "k", strconv.Itoa(runs)))
			return tx.Set("g", "k", "never")
		})
		var conflict *api.ConflictError
		require.ErrorAs(t, err, &conflict)
		require.Equal(t, 16, conflict.Attempts)
		require.Equal(t, 16, runs)
		require.Equal(t, uint64(16), store.Conflicts())
		require.ErrorContains(t, err, "store.Transaction: gave up after 16 attempts")
		requireValue(t, store, "g", "k", "16")
	})
}

// TestTransactionThatFails: what its function returns or panics with comes
// through, nothing is written, and nothing stays open.
func TestTransactionThatFails(t *testing.T) {
	eachTransactor(t, func(t *testing.T, store transactor, _ *testkit.Clock) {
		require.NoError(t, store.Set("g", "k", "v"))
		before, err := store.Revision()
		require.NoError(t, err)
		own := errors.New("the function's own")
		work := func(tx *api.Transaction) {
			_, err := tx.Get("g", "k")
			require.NoError(t, err)
			require.NoError(t, tx.Set("g", "k", "never"))
		}
		var kept *api.Transaction
		require.Equal(t, own, store.Transaction(func(tx *api.Transaction) error {
			kept = tx
			work(tx)
			return own
		}))
		require.PanicsWithValue(t, "a panic", func() {
			_ = store.Transaction(func(tx *api.Transaction) error {
				work(tx)
				panic("a panic")
			})
		})
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			_ = store.Transaction(func(tx *api.Transaction) error {
				work(tx)
				runtime.Goexit()
				return nil
			})
		}()
		testkit.Await(t, "the goroutine's end", ended)
		require.Error(t, store.Transaction(nil))
		require.NoError(t, store.Transaction(func(tx *api.Transaction) error {
			err := tx.Transaction(func(*api.Transaction) error { t.Error("a nested function ran"); return nil })
			require.ErrorIs(t, err, api.NestedTransactionError)
			return nil
		}))
		after, err := store.Revision()
		require.NoError(t, err)
		require.Equal(t, before, after)
		requireValue(t, store, "g", "k", "v")

		for name, use := range map[string]func() error{
			"Get":       func() error { _, err := kept.Get("g", "k"); return err },
			"Exists":    func() error { _, err := kept.Exists("g", "k"); return err },
			"All":       func() error { _, err := kept.GetAll("g"); return err },
			"Count":     func() error { _, err := kept.Count("g"); return err },
			"Groups":    func() error { _, err := kept.Groups(""); return err },
			"Set":       func() error { return kept.Set("g", "k", "v") },
			"Delete":    func() error { return kept.Delete("g", "k") },
			"Group":     func() error { return kept.DeleteGroup("g") },
			"Touch":     func() error { return kept.Touch("g", "k", 1) },
			"Increment": func() error { _, err := kept.Increment("g", "k", 1); return err },
		} {
			require.ErrorIs(t, use(), api.TransactionEndedError, name)
		}
	})
}

func TestTransactionKeepsTTLs(t *testing.T) {
	eachTransactor(t, func(t *testing.T, store transactor, clock *testkit.Clock) {
		require.NoError(t, store.SetWithTTL("g", "n", "1", time.Hour))
		require.NoError(t, store.SetWithTTL("g", "persisted", "v", time.Hour))
		require.NoError(t, store.Set("g", "touched", "v"))
		deadline := clock.Now().Add(time.Hour)
		require.NoError(t, store.Transaction(func(tx *api.Transaction) error {
			_, err := tx.Increment("g", "n", 1)
			require.NoError(t, err)
			require.NoError(t, tx.Persist("g", "persisted"))
			require.NoError(t, tx.Touch("g", "touched", time.Minute))
			require.NoError(t, tx.SetWithTTL("g", "new", "1", time.Minute))
			_, err = tx.Increment("g", "new", 1)
			require.NoError(t, err)
			require.ErrorIs(t, tx.Touch("g", "none", time.Minute), api.NotFoundError)
			require.ErrorIs(t, tx.Persist("g", "none"), api.NotFoundError)
			entry, err := tx.Entry("g", "n")
			require.NoError(t, err)
			require.Equal(t, api.Entry{Value: "2", ExpiresAt: time.UnixMilli(deadline.UnixMilli())}, entry)
			return nil
		}))
		for key, want := range map[string]time.Time{
			"n": deadline, "persisted": {}, "touched": clock.Now().Add(time.Minute), "new": clock.Now().Add(time.Minute),
		} {
			entry, err := store.Entry("g", key)
			require.NoError(t, err)
			require.Truef(t, want.Equal(entry.ExpiresAt), "%s expires at %v, not %v", key, entry.ExpiresAt, want)
		}
		requireValue(t, store, "g", "new", "2")
	})
}

func TestTransactionKeepsToTheQuota(t *testing.T) {
	forEachStore(t, func(t *testing.T, open func(...api.Option) *api.Store) {
		store := open()
		scope := newScope(t, store, "n", api.QuotaConfig{MaxKeys: 2})
		fill := func(keys ...string) error {
			return scope.Transaction(func(tx *api.Transaction) error {
				for _, key := range keys {
					if err := tx.Set("g", key, "v"); err != nil {
						return err
					}
				}
				return nil
			})
		}
		require.ErrorIs(t, fill("a", "b", "c"), api.QuotaExceededError)
		requireCount(t, scope, "", 0)
		require.NoError(t, fill("a", "b"))
		require.NoError(t, store.Transaction(func(tx *api.Transaction) error { return tx.Set("n:g", "c", "v") }),
			"unscoped writes are never refused")
		require.NoError(t, scope.Transaction(func(tx *api.Transaction) error {
			require.NoError(t, tx.DeleteGroup("g"))
			return tx.Set("g", "d", "v")
		}), "what it frees it may use")
		requireCount(t, scope, "", 1)
	})
}

// TestTransactionIsOneEvent for watchers: all its events have one
// revision and come together.
func TestTransactionIsOneEvent(t *testing.T) {
	eachTransactor(t, func(t *testing.T, store transactor, _ *testkit.Clock) {
		watcher := store.Watch("*", "*")
		require.NoError(t, store.Transaction(func(tx *api.Transaction) error {
			for _, key := range []string{"c", "a", "b", "a"} {
				require.NoError(t, tx.Set("g", key, "v"))
			}
			return tx.Delete("g", "never there")
		}))
		events := delivered(watcher)
		require.Len(t, events, 3, "one for each key that changed")
		for i, key := range []string{"c", "a", "b"} { // as they were called
			require.Equal(t, key, events[i].Key)
			require.Equal(t, events[0].Revision, events[i].Revision)
		}
	})
}

// TestTransactionsAreSerializable under load: money is neither made nor lost,
// every read-only transaction sees the whole of it, and of two doctors one
// stays on call (write skew).
func TestTransactionsAreSerializable(t *testing.T) {
	forEachStore(t, func(t *testing.T, open func(...api.Option) *api.Store) {
		store := open(api.WithDurability(api.DurabilityBuffered))
		const accounts, each, callers, rounds = 8, 100, 16, 30
		for i := range accounts {
			require.NoError(t, store.Set("bank", strconv.Itoa(i), strconv.Itoa(each)))
		}
		total := func(tx *api.Transaction) (sum int, err error) {
			for entry, err := range tx.All("bank") {
				if err != nil {
					return 0, err
				}
				n, err := strconv.Atoi(entry.Value)
				if err != nil {
					return 0, err
				}
				sum += n
			}
			return sum, nil
		}
		transfer := func(random *rand.Rand) error {
			from, to := strconv.Itoa(random.IntN(accounts)), strconv.Itoa(random.IntN(accounts))
			amount := int64(random.IntN(each))
			return store.Transaction(func(tx *api.Transaction) error {
				if from == to {
					return nil
				}
				left, err := tx.Increment("bank", from, -amount)
				if err != nil || left < 0 {
					return errors.Join(err, errOverdrawn)
				}
				_, err = tx.Increment("bank", to, amount)
				return err
			})
		}
		onCall := func(doctor string) error {
			return store.Transaction(func(tx *api.Transaction) error {
				n, err := tx.Count("on call")
				if err != nil || n < 2 {
					return errors.Join(err, tx.Set("on call", doctor, "back"))
				}
				return tx.Delete("on call", doctor)
			})
		}
		require.NoError(t, errors.Join(store.Set("on call", "0", ""), store.Set("on call", "1", "")))
		gaveUp := func(err error) bool { var c *api.ConflictError; return errors.As(err, &c) }
		err := together(callers, func(id int) error {
			random := rand.New(rand.NewPCG(1, uint64(id)))
			for range rounds {
				if err := transfer(random); err != nil && !errors.Is(err, errOverdrawn) && !gaveUp(err) {
					return err
				}
				if err := onCall(strconv.Itoa(id % 2)); err != nil && !gaveUp(err) {
					return err
				}
				if err := store.Transaction(func(tx *api.Transaction) error {
					sum, err := total(tx)
					if err == nil && sum != accounts*each {
						err = fmt.Errorf("the accounts hold %d", sum)
					}
					n, counting := tx.Count("on call")
					if counting == nil && n < 1 {
						counting = errors.New("nobody is on call")
					}
					return errors.Join(err, counting)
				}); err != nil {
					return err
				}
			}
			return nil
		})
		require.NoError(t, err)
	})
}

var errOverdrawn = errors.New("overdrawn")

// TestTransactionsOnHotKeysMakeProgress: 64 callers on 10 keys. Each succeeds or
// gives up, which writes nothing, and most succeed.
func TestTransactionsOnHotKeysMakeProgress(t *testing.T) {
	store := openStore(t, newPath(t), api.WithDurability(api.DurabilityBuffered))
	const callers, keys, rounds = 64, 10, 10
	var mu sync.Mutex
	succeeded, gaveUp := 0, 0
	require.NoError(t, together(callers, func(id int) error {
		random := rand.New(rand.NewPCG(2, uint64(id)))
		for range rounds {
			a := random.IntN(keys)
			b := (a + 1 + random.IntN(keys-1)) % keys
			err := store.Transaction(func(tx *api.Transaction) error {
				for _, key := range []int{a, b} {
					if _, err := tx.Increment("hot", strconv.Itoa(key), 1); err != nil {
						return err
					}
				}
				return nil
			})
			var conflict *api.ConflictError
			mu.Lock()
			switch {
			case err == nil:
				succeeded++
			case errors.As(err, &conflict):
				gaveUp++
			default:
				mu.Unlock()
				return err
			}
			mu.Unlock()
		}
		return nil
	}))
	all, err := store.GetAll("hot")
	require.NoError(t, err)
	sum := 0
	for _, value := range all {
		n, err := strconv.Atoi(value)
		require.NoError(t, err)
		sum += n
	}
	require.Equal(t, 2*succeeded, sum, "callers that gave up wrote nothing, the others once")
	require.Greater(t, succeeded, gaveUp, "%d conflicts", store.Conflicts())
	t.Logf("%d succeeded, %d gave up, %d conflicts", succeeded, gaveUp, store.Conflicts())
}

// TestTransactionAgreesWithAModel: random reads and writes within transactions
// answer as a plain map does.
func TestTransactionAgreesWithAModel(t *testing.T) {
	forEachStore(t, func(t *testing.T, open func(...api.Option) *api.Store) {
		store := open(api.WithDurability(api.DurabilityBuffered))
		random := rand.New(rand.NewPCG(3, 3))
		type place struct{ group, key string }
		committed := map[place]string{}
		groups := []string{"", "a", "ab", "b"}
		for round := range 60 {
			model := map[place]string{}
			for at, value := range committed {
				model[at] = value
			}
			abandon := random.IntN(4) == 0
			err := store.Transaction(func(tx *api.Transaction) error {
				for step := range 1 + random.IntN(30) {
					at := place{groups[random.IntN(len(groups))], strconv.Itoa(random.IntN(5))}
					switch random.IntN(8) {
					case 0, 1:
						model[at] = fmt.Sprint(round, ".", step)
						require.NoError(t, tx.Set(at.group, at.key, model[at]))
					case 2:
						delete(model, at)
						require.NoError(t, tx.Delete(at.group, at.key))
					case 3:
						if random.IntN(4) == 0 {
							for other := range model {
								if other.group == at.group {
									delete(model, other)
								}
							}
							require.NoError(t, tx.DeleteGroup(at.group))
						}
					case 4:
						value, err := tx.Get(at.group, at.key)
						want, there := model[at]
						require.Equal(t, there, err == nil, "%v", err)
						require.Equal(t, want, value)
					case 5:
						var want, got []api.KeyValue
						for other, value := range model {
							if other.group == at.group {
								want = append(want, api.KeyValue{Key: other.key, Value: value})
							}
						}
						slices.SortFunc(want, func(a, b api.KeyValue) int { return int(a.Key[0]) - int(b.Key[0]) })
						for entry, err := range tx.All(at.group) {
							require.NoError(t, err)
							got = append(got, entry)
						}
						require.Equal(t, want, got)
						n, err := tx.Count(at.group)
						require.NoError(t, err)
						require.Len(t, want, n)
					case 6:
						want := []string{}
						for _, group := range groups {
							if slices.ContainsFunc(slices.Collect(maps.Keys(model)), func(p place) bool { return p.group == group }) {
								want = append(want, group)
							}
						}
						got, err := tx.Groups("")
						require.NoError(t, err)
						require.Equal(t, want, got)
					case 7:
						n, err := tx.CountAll("")
						require.NoError(t, err)
						require.Equal(t, len(model), n)
					}
				}
				if abandon {
					return errOverdrawn
				}
				return nil
			})
			if abandon {
				require.ErrorIs(t, err, errOverdrawn)
			} else {
				require.NoError(t, err)
				committed = model
			}
			n, err := store.CountAll("")
			require.NoError(t, err)
			require.Equal(t, len(committed), n)
		}
	})
}
