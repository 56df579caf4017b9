package api_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"forge.lthn.ai/core/go-store/api"
	"forge.lthn.ai/core/go-store/internal/testkit"
)

func TestMaxKeys(t *testing.T) {
	forEachStore(t, func(t *testing.T, open func(...api.Option) *api.Store) {
		store := open()
		scope := newScope(t, store, "a", api.QuotaConfig{MaxKeys: 3})
		for i := range 3 {
			require.NoError(t, scope.Set("g"+strconv.Itoa(i), "k", "v"))
		}
		for _, write := range []func() error{
			func() error { return scope.Set("g0", "new", "v") },
			func() error { return scope.Set("new", "k", "v") },
			func() error { return scope.SetWithTTL("g0", "new", "v", time.Hour) },
			func() error { return scope.SetAll([]api.Item{{Group: "g0", Key: "k"}, {Group: "g0", Key: "new"}}) },
		} {
			err := write()
			require.ErrorIs(t, err, api.QuotaExceededError)
			require.ErrorContains(t, err, "store.Set")
			require.ErrorContains(t, err, "key limit (3)")
		}
		require.NoError(t, scope.Set("g0", "k", "overwritten"), "overwriting never counts")
		require.NoError(t, scope.SetWithTTL("g1", "k", "overwritten", time.Hour))
		require.NoError(t, scope.SetAll([]api.Item{{Group: "g0", Key: "k", Value: "1"}, {Group: "g2", Key: "k", Value: "2"}}))
		requireCount(t, scope, "", 3)
		requireNotFound(t, scope, "g0", "new")

		require.NoError(t, scope.Delete("g0", "k"))
		require.NoError(t, scope.Set("g0", "new", "v"), "what was deleted can be replaced")
		require.ErrorIs(t, scope.Set("g0", "k", "v"), api.QuotaExceededError)
	})
}

func TestMaxGroups(t *testing.T) {
	forEachStore(t, func(t *testing.T, open func(...api.Option) *api.Store) {
		store := open()
		scope := newScope(t, store, "a", api.QuotaConfig{MaxGroups: 2})
		require.NoError(t, scope.Set("g", "k", "v"))
		require.NoError(t, scope.Set("h", "k", "v"))
		err := scope.Set("i", "k", "v")
		require.ErrorIs(t, err, api.QuotaExceededError)
		require.ErrorContains(t, err, "group limit (2)")
		for i := range 20 {
			require.NoError(t, scope.Set("g", strconv.Itoa(i), "v"), "keys of a group that is there are unlimited")
		}
		require.ErrorIs(t, scope.SetAll([]api.Item{{Group: "g", Key: "x"}, {Group: "i", Key: "k"}}), api.QuotaExceededError)
		requireNotFound(t, scope, "g", "x")
		require.NoError(t, scope.Delete("h", "k"))
		require.NoError(t, scope.Set("i", "k", "v"), "a group goes with its last key")
		require.ErrorIs(t, scope.Set("h", "k", "v"), api.QuotaExceededError)
	})
}

func TestZeroQuotaIsUnlimited(t *testing.T) {
	forEachStore(t, func(t *testing.T, open func(...api.Option) *api.Store) {
		scope := newScope(t, open(), "a", api.QuotaConfig{})
		for i := range 200 {
			require.NoError(t, scope.Set("g"+strconv.Itoa(i), "k", "v"))
		}
		requireCount(t, scope, "", 200)
	})
}

// Everything that takes keys away gives their slots back.
func TestQuotaIsGivenBack(t *testing.T) {
	forEachStore(t, func(t *testing.T, open func(...api.Option) *api.Store) {
		for name, remove := range map[string]func(store *api.Store, scope *api.ScopedStore, clock *testkit.Clock) error{
			"DeleteGroup": func(_ *api.Store, scope *api.ScopedStore, _ *testkit.Clock) error { return scope.DeleteGroup("g") },
			"DeletePrefix": func(_ *api.Store, scope *api.ScopedStore, _ *testkit.Clock) error {
				return scope.DeletePrefix("")
			},
			"unscoped Delete": func(store *api.Store, _ *api.ScopedStore, _ *testkit.Clock) error {
				return errors.Join(store.Delete("a:g", "0"), store.Delete("a:g", "1"), store.Delete("a:g", "2"))
			},
			"unscoped DeleteGroup":  func(store *api.Store, _ *api.ScopedStore, _ *testkit.Clock) error { return store.DeleteGroup("a:g") },
			"unscoped DeletePrefix": func(store *api.Store, _ *api.ScopedStore, _ *testkit.Clock) error { return store.DeletePrefix("") },
			"PurgeExpired": func(store *api.Store, scope *api.ScopedStore, clock *testkit.Clock) error {
				for i := range 3 {
					if err := scope.SetWithTTL("g", strconv.Itoa(i), "v", time.Second); err != nil {
						return err
					}
				}
				clock.Advance(time.Second)
				_, err := store.PurgeExpired()
				return err
			},
		} {
			clock := testkit.NewClock()
			store := open(api.WithClock(clock), api.WithPurgeInterval(time.Hour))
			scope := newScope(t, store, "a", api.QuotaConfig{MaxKeys: 3, MaxGroups: 1})
			for i := range 3 {
				require.NoError(t, scope.Set("g", strconv.Itoa(i), "v"))
			}
			require.ErrorIs(t, scope.Set("g", "new", "v"), api.QuotaExceededError)
			require.NoError(t, remove(store, scope, clock), name)
			for i := range 3 {
				require.NoError(t, scope.Set("h", strconv.Itoa(i), "v"), name)
			}
			require.ErrorIs(t, scope.Set("h", "new", "v"), api.QuotaExceededError, name)
		}
	})
}

// Expired keys never count: at the limit they make room, oldest first, and only
// as many as are needed.
func TestExpiredKeysMakeRoom(t *testing.T) {
	forEachStore(t, func(t *testing.T, open func(...api.Option) *api.Store) {
		clock := testkit.NewClock()
		store := open(api.WithClock(clock), api.WithPurgeInterval(time.Hour))
		scope := newScope(t, store, "a", api.QuotaConfig{MaxKeys: 3})
		require.NoError(t, scope.SetWithTTL("g", "second", "2", 2*time.Second))
		require.NoError(t, scope.SetWithTTL("g", "first", "1", time.Second))
		require.NoError(t, scope.Set("g", "stays", "v"))
		require.NoError(t, store.SetWithTTL("b:g", "k", "not its own", time.Millisecond))
		require.ErrorIs(t, scope.Set("g", "new", "v"), api.QuotaExceededError)
		clock.Advance(2 * time.Second)
		watcher := store.Watch("*", "*")
		require.NoError(t, scope.Set("g", "new", "v"))
		require.Equal(t, []change{{api.EventExpire, "a:g", "first", "1"}, {api.EventSet, "a:g", "new", "v"}},
			changes(delivered(watcher)))
		require.NoError(t, scope.Set("g", "newer", "v"))
		require.Equal(t, []change{{api.EventExpire, "a:g", "second", "2"}, {api.EventSet, "a:g", "newer", "v"}},
			changes(delivered(watcher)))
		require.ErrorIs(t, scope.Set("g", "newest", "v"), api.QuotaExceededError)
		requireCount(t, scope, "", 3)
	})
}

// A group whose keys have all expired does not count either.
func TestExpiredGroupsMakeRoom(t *testing.T) {
	forEachStore(t, func(t *testing.T, open func(...api.Option) *api.Store) {
		clock := testkit.NewClock()
		store := open(api.WithClock(clock), api.WithPurgeInterval(time.Hour))
		scope := newScope(t, store, "a", api.QuotaConfig{MaxGroups: 2})
		for i := range 3 {
			require.NoError(t, scope.SetWithTTL("dead", strconv.Itoa(i), "v", time.Second))
		}
		require.NoError(t, scope.Set("live", "k", "v"))
		clock.Advance(time.Second)
		require.NoError(t, scope.Set("new", "k", "v"))
		require.ErrorIs(t, scope.Set("dead", "k", "v"), api.QuotaExceededError)
		require.NoError(t, scope.DeleteGroup("live"))
		require.NoError(t, scope.Set("dead", "k", "v"))
	})
}

// A write that is refused after it made some room gives that room back, and
// what it had expired for it can be expired again by the next.
func TestRefusedWriteLosesNoRoom(t *testing.T) {
	forEachStore(t, func(t *testing.T, open func(...api.Option) *api.Store) {
		clock := testkit.NewClock()
		store := open(api.WithClock(clock), api.WithPurgeInterval(time.Hour))
		scope := newScope(t, store, "a", api.QuotaConfig{MaxKeys: 2, MaxGroups: 1})
		require.NoError(t, scope.SetWithTTL("g", "dead", "v", time.Second))
		require.NoError(t, scope.Set("g", "live", "v"))
		clock.Advance(time.Second)
		require.ErrorIs(t, scope.Set("another", "k", "v"), api.QuotaExceededError, "there is room for a key, not for a group")
		require.NoError(t, scope.Set("g", "k", "v"), "one key lives, two may")
		require.ErrorIs(t, scope.Set("g", "third", "v"), api.QuotaExceededError)
	})
}

// Unscoped writes count and are never refused.
func TestUnscopedWritesCount(t *testing.T) {
	forEachStore(t, func(t *testing.T, open func(...api.Option) *api.Store) {
		store := open()
		scope := newScope(t, store, "a", api.QuotaConfig{MaxKeys: 2, MaxGroups: 2})
		require.NoError(t, scope.Set("g", "k", "v"))
		for i := range 5 {
			require.NoError(t, store.Set("a:h"+strconv.Itoa(i), "k", "v"))
			require.NoError(t, newScope(t, store, "a").Set("i"+strconv.Itoa(i), "k", "v"))
		}
		require.ErrorIs(t, scope.Set("g", "l", "v"), api.QuotaExceededError)
		require.NoError(t, scope.Set("h0", "k", "overwritten"))
		usage, err := scope.Usage()
		require.NoError(t, err)
		require.Equal(t, api.Usage{Keys: 11, Groups: 11}, usage)
	})
}

// What was in the file before counts.
func TestQuotaAfterReopen(t *testing.T) {
	path := newPath(t)
	quota := api.QuotaConfig{MaxKeys: 3, MaxGroups: 2}
	store := openStore(t, path)
	scope := newScope(t, store, "a", quota)
	require.NoError(t, scope.Set("g", "1", "v"))
	require.NoError(t, scope.Set("g", "2", "v"))
	require.NoError(t, store.Close())
	scope = newScope(t, openStore(t, path), "a", quota)
	require.NoError(t, scope.Set("h", "3", "v"))
	require.ErrorIs(t, scope.Set("h", "4", "v"), api.QuotaExceededError)
}

// The first writes under a quota wait while the namespace is counted; all of
// them are judged by the one count.
func TestFirstWritesUnderQuota(t *testing.T) {
	forEachStore(t, func(t *testing.T, open func(...api.Option) *api.Store) {
		store := open()
		fill(t, store, "a:g", 900)
		var accepted atomic.Int64
		scope := newScope(t, store, "a", api.QuotaConfig{MaxKeys: 1000})
		require.NoError(t, together(64, func(i int) error {
			for j := range 5 {
				err := scope.Set("g", fmt.Sprint("new ", i, " ", j), "v")
				if err == nil {
					accepted.Add(1)
				} else if !errors.Is(err, api.QuotaExceededError) {
					return err
				}
			}
			return nil
		}))
		require.EqualValues(t, 100, accepted.Load())
		requireCount(t, scope, "", 1000)
	})
}

// Sixty-four goroutines at a limit: never one over, and no slot is left empty.
func TestQuotaIsExact(t *testing.T) {
	const limit, callers, tries = 200, 64, 12
	forEachPath(t, func(t *testing.T, path string) {
		store := openStore(t, path)
		scope := newScope(t, store, "a", api.QuotaConfig{MaxKeys: limit, MaxGroups: 4})
		var accepted, refused atomic.Int64
		require.NoError(t, together(callers, func(i int) error {
			for j := range tries {
				err := scope.Set("g"+strconv.Itoa((i+j)%7), fmt.Sprint(i, " ", j), "v")
				switch {
				case err == nil:
					accepted.Add(1)
				case errors.Is(err, api.QuotaExceededError):
					refused.Add(1)
				default:
					return err
				}
				if j%4 == 0 {
					if keys, err := scope.CountAll(""); err != nil || keys > limit {
						return fmt.Errorf("%d keys, %w", keys, err)
					}
				}
			}
			return nil
		}))
		require.EqualValues(t, callers*tries, accepted.Load()+refused.Load())
		require.LessOrEqual(t, accepted.Load(), int64(limit))
		// Only groups that are there may still take keys: fill them up.
		groups, err := scope.Groups("")
		require.NoError(t, err)
		require.Len(t, groups, 4)
		for i := accepted.Load(); i < limit; i++ {
			require.NoError(t, scope.Set(groups[0], fmt.Sprint("rest ", i), "v"))
		}
		require.ErrorIs(t, scope.Set(groups[0], "one more", "v"), api.QuotaExceededError)
		usage, err := scope.Usage()
		require.NoError(t, err)
		require.Equal(t, api.Usage{Keys: limit, Groups: 4}, usage)
		require.NoError(t, store.Close())
		if path != ":memory:" {
			require.Equal(t, limit, query[int](t, path, `SELECT COUNT(*) FROM entries WHERE group_name GLOB 'a:*'`))
			require.Equal(t, 4, query[int](t, path, `SELECT COUNT(DISTINCT group_name) FROM entries`))
		}
	})
}

// With room for all groups exactly MaxKeys of the writes succeed.
func TestExactlyMaxKeysSucceed(t *testing.T) {
	const limit = 100
	forEachStore(t, func(t *testing.T, open func(...api.Option) *api.Store) {
		scope := newScope(t, open(), "a", api.QuotaConfig{MaxKeys: limit})
		var accepted atomic.Int64
		require.NoError(t, together(64, func(i int) error {
			for j := range 4 {
				switch err := scope.Set("g", fmt.Sprint(i, " ", j), "v"); {
				case err == nil:
					accepted.Add(1)
				case !errors.Is(err, api.QuotaExceededError):
					return err
				}
			}
			return nil
		}))
		require.EqualValues(t, limit, accepted.Load())
		requireCount(t, scope, "", limit)
	})
}

// The log is told once when four fifths of a limit are taken, and again only
// after there was more room in between.
func TestQuotaWarning(t *testing.T) {
	forEachStore(t, func(t *testing.T, open func(...api.Option) *api.Store) {
		log := newLogBook()
		store := open(log.option())
		scope := newScope(t, store, "tenant", api.QuotaConfig{MaxKeys: 10})
		warnings := func() int {
			_, err := scope.Usage() // the answer comes behind what is on its way
			require.NoError(t, err)
			return strings.Count(log.String(), "nears its quota")
		}
		for i := range 7 {
			require.NoError(t, scope.Set("g", strconv.Itoa(i), "v"))
		}
		require.Zero(t, warnings())
		for i := range 3 {
			require.NoError(t, scope.Set("g", strconv.Itoa(7+i), "v"))
			require.Equal(t, 1, warnings())
		}
		require.NoError(t, scope.DeleteGroup("g"))
		require.NoError(t, newScope(t, store, "tenant", api.QuotaConfig{MaxGroups: 1}).Set("g", "k", "v"))
		require.Equal(t, 2, warnings())
		require.Contains(t, log.String(), `"namespace":"tenant"`)
	})
}

// A log handler that panics harms no caller.
func TestPanickingLog(t *testing.T) {
	forEachStore(t, func(t *testing.T, open func(...api.Option) *api.Store) {
		store := open(api.WithLogger(slog.New(panickingHandler{slog.DiscardHandler})))
		scope := newScope(t, store, "tenant", api.QuotaConfig{MaxKeys: 1})
		require.NoError(t, scope.Set("g", "k", "v"))
		usage, err := scope.Usage()
		require.NoError(t, err)
		require.Equal(t, api.Usage{Keys: 1, Groups: 1}, usage)
		require.ErrorIs(t, scope.Set("g", "l", "v"), api.QuotaExceededError)
	})
}

type panickingHandler struct{ slog.Handler }

func (panickingHandler) Enabled(context.Context, slog.Level) bool  { return true }
func (panickingHandler) Handle(context.Context, slog.Record) error { panic("no log today") }
