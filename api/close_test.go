package api_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"forge.lthn.ai/core/go-store/api"
	"forge.lthn.ai/core/go-store/internal/testkit"
)

func TestUseAfterClose(t *testing.T) {
	forEachStore(t, func(t *testing.T, open func(...api.Option) *api.Store) {
		store := open()
		scope := newScope(t, store, "tenant", api.QuotaConfig{MaxKeys: 1})
		limited := store.WithContext(t.Context())
		require.NoError(t, store.Set("g", "k", "v"))
		watcher := store.Watch("*", "*")
		unregister := store.OnChange(func(api.Event) { t.Error("nothing can change any more") })
		require.NoError(t, store.Close())

		for what, closed := range map[string]handle{"store": store, "scope": scope, "with context": limited} {
			for name, call := range mutations(closed) {
				require.ErrorIs(t, call(), api.ClosedError, "%s: %s", what, name)
			}
			for name, call := range reads(closed) {
				require.ErrorIs(t, call(), api.ClosedError, "%s: %s", what, name)
			}
			for _, late := range []*api.Watcher{closed.Watch("g", "k"), closed.Watch("*", "*"), closed.WatchActor(nil, "g", "k")} {
				_, open := <-late.Events
				require.False(t, open, "%s: the channel of a watcher is closed", what)
				require.Zero(t, late.Dropped())
				closed.Unwatch(late)
			}
			closed.Unwatch(watcher)
			closed.OnChange(func(api.Event) {})()
			require.Zero(t, closed.InFlight())
			require.Zero(t, closed.CallbackOverflow())
		}
		_, err := store.Usage("tenant")
		require.ErrorIs(t, err, api.ClosedError)
		_, err = scope.Usage()
		require.ErrorIs(t, err, api.ClosedError)
		unregister()

		// Views can still be made; they are as closed as the store.
		late := newScope(t, store, "late")
		require.Equal(t, "late", late.Namespace())
		require.ErrorIs(t, late.Set("g", "k", "v"), api.ClosedError)
	})
}

func TestClosedErrorsSayWhichCall(t *testing.T) {
	store := openStore(t, ":memory:")
	require.NoError(t, store.Close())
	for name, call := range mutations(store) {
		require.EqualError(t, call(), "store."+name+": store is closed")
	}
	_, err := store.Get("g", "k")
	require.EqualError(t, err, "store.Get: g/k: store is closed")
	_, err = store.GetAll("g")
	require.EqualError(t, err, "store.All: store is closed")
}

func TestDoubleClose(t *testing.T) {
	forEachStore(t, func(t *testing.T, open func(...api.Option) *api.Store) {
		store := open()
		require.NoError(t, store.Set("g", "k", "v"))
		require.NoError(t, store.Close())
		require.NoError(t, store.Close())
		require.NoError(t, store.WithContext(t.Context()).Close())

		store = open()
		require.NoError(t, together(8, func(int) error { return store.Close() }))
		require.ErrorIs(t, store.Set("g", "k", "v"), api.ClosedError)
	})
}

// After a clean Close there is one plain file, and the lock that is left in
// place; only its owner may read either.
func TestPlainFileAfterClose(t *testing.T) {
	path := newPath(t)
	store := openStore(t, path)
	fill(t, store, "g", 500)
	for _, err := range store.All("g") { // a scan that is left in the middle
		require.NoError(t, err)
		break
	}
	_, err := os.Stat(path + "-wal")
	require.NoError(t, err, "while it is open it has a log")
	require.NoError(t, store.Close())
	entries, err := os.ReadDir(filepath.Dir(path))
	require.NoError(t, err)
	var names []string
	for _, entry := range entries {
		names = append(names, entry.Name())
		info, err := entry.Info()
		require.NoError(t, err)
		requirePrivate(t, info)
	}
	require.Equal(t, []string{"store.db", "store.db-lock"}, names)
	owner, err := os.ReadFile(path + "-lock")
	require.NoError(t, err)
	require.Equal(t, "closed\n", string(owner), "no process has it")
	require.Equal(t, "ok", query[string](t, path, `PRAGMA integrity_check`))
	require.Equal(t, 500, query[int](t, path, `SELECT COUNT(*) FROM entries`))
}

// Close under load: every call returns, with success or with an error that says
// how it ended, and what was acknowledged is there when the store is opened
// again.
func TestCloseUnderLoad(t *testing.T) {
	for round := range 5 {
		path := newPath(t)
		store := openStore(t, path, api.WithMaxInFlight(8), api.WithReaders(2))
		fill(t, store, "scanned", 400)
		quota := newScope(t, store, "tenant", api.QuotaConfig{MaxKeys: 1_000_000})
		var acknowledged sync.Map
		warm := make(chan struct{}, 64)
		callers := make(chan error, 1)
		go func() {
			callers <- together(32, func(i int) error {
				for j := 0; ; j++ {
					key := fmt.Sprint(i, "-", j)
					err := closingCall(store, quota, i, key)
					if err == nil && i%4 < 2 {
						acknowledged.Store(key, i%4 == 0)
					}
					if j == 3 {
						warm <- struct{}{}
					}
					switch {
					case err == nil:
					case errors.Is(err, api.ClosedError) && !errors.Is(err, api.UnknownOutcomeError):
						return nil
					default:
						return err
					}
				}
			})
		}()
		for range 32 {
			testkit.Await(t, "a caller", warm)
		}
		closed := make(chan error, 1)
		go func() { closed <- store.Close() }()
		require.NoError(t, testkit.Await(t, "Close", closed))
		require.NoError(t, testkit.Await(t, "the callers", callers))

		store = openStore(t, path)
		found := 0
		acknowledged.Range(func(key, plain any) bool {
			group := "tenant:g"
			if plain.(bool) {
				group = "g"
			}
			requireValue(t, store, group, key.(string), "v")
			found++
			return true
		})
		require.Greater(t, found, 32, "round %d", round)
		require.NoError(t, store.Close())
	}
}

// closingCall is one of four kinds of call.
func closingCall(store *api.Store, quota *api.ScopedStore, i int, key string) error {
	switch i % 4 {
	case 0:
		return store.Set("g", key, "v")
	case 1:
		return quota.Set("g", key, "v")
	case 2:
		watcher := store.Watch("g", "*")
		defer store.Unwatch(watcher)
		_, err := store.Get("scanned", "000")
		return err
	default:
		for _, err := range store.All("scanned") {
			if err != nil {
				return err
			}
		}
		_, err := store.Usage("tenant")
		return err
	}
}

// A caller that waits for admission when the store closes is told so; one that was
// admitted gets an answer, and its write is there.
func TestCloseWhileWaitingForAdmission(t *testing.T) {
	path := newPath(t)
	pause := testkit.NewPause("writer.commit")
	store := openStore(t, path, withFailpoint(pause.Hook), api.WithMaxInFlight(1))
	admitted, waiting, closed := make(chan error, 1), make(chan error, 3), make(chan error, 1)
	go func() { admitted <- store.Set("g", "admitted", "v") }()
	testkit.Await(t, "the commit", pause.Reached)
	for i := range 3 {
		go func() { waiting <- store.Set("g", strconv.Itoa(i), "v") }()
	}
	go func() { closed <- store.Close() }()
	for range 3 {
		require.ErrorIs(t, testkit.Await(t, "a waiting call", waiting), api.ClosedError)
	}
	require.Empty(t, closed, "Close answers the calls in flight first")
	close(pause.Resume)
	require.NoError(t, testkit.Await(t, "the admitted call", admitted))
	require.NoError(t, testkit.Await(t, "Close", closed))
	store = openStore(t, path)
	requireValue(t, store, "g", "admitted", "v")
	requireCount(t, store, "", 1)
}

// Opened and closed again and again, with work in between, nothing is left
// behind; TestMain looks for goroutines at the end.
func TestReopenManyTimes(t *testing.T) {
	path := newPath(t)
	for i := range 30 {
		store := openStore(t, path)
		requireCount(t, store, "", i)
		require.NoError(t, store.Set("g", strconv.Itoa(i), "v"))
		require.NoError(t, store.Close())
	}
}
