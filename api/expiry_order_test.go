package api_test

import (
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"forge.lthn.ai/core/go-store/api"
	"forge.lthn.ai/core/go-store/internal/testkit"
)

// A batch is judged at the moment at which it begins. A key that lives then may be
// past its deadline before the batch can be seen: for every read it lives until then,
// so that nothing comes back that a caller has found gone.
func TestNothingExpiresDuringABatch(t *testing.T) {
	forEachStore(t, func(t *testing.T, open func(...api.Option) *api.Store) {
		pause, clock, armed := testkit.NewPause("writer.commit"), testkit.NewClock(), atomic.Bool{}
		store := open(api.WithClock(clock), withFailpoint(func(step string) {
			if armed.Load() {
				pause.Hook(step)
			}
		}))
		require.NoError(t, store.SetWithTTL("g", "lease", "v", time.Second))
		require.NoError(t, store.SetWithTTL("g", "other", "v", time.Second))

		resume := sync.OnceFunc(func() { close(pause.Resume) })
		defer resume()
		armed.Store(true)
		result := make(chan error, 1)
		go func() { result <- store.Persist("g", "lease") }()
		testkit.Await(t, "the commit", pause.Reached)
		clock.Jump(time.Minute)
		requireEverywhere(t, store, "lease", "other")
		resume()
		require.NoError(t, testkit.Await(t, "the call", result))
		requireEverywhere(t, store, "lease")
	})
}

// requireEverywhere demands that group g has these keys however it is read.
func requireEverywhere(t *testing.T, store *api.Store, keys ...string) {
	t.Helper()
	for _, key := range []string{"lease", "other"} {
		want := slices.Contains(keys, key)
		found, err := store.Exists("g", key)
		require.NoError(t, err)
		require.Equal(t, want, found, "Exists %s", key)
		if _, err = store.Get("g", key); want {
			require.NoError(t, err, key)
		} else {
			require.ErrorIs(t, err, api.NotFoundError, key)
		}
	}
	found, err := store.GroupExists("g")
	require.NoError(t, err)
	require.Equal(t, len(keys) > 0, found)
	for name, count := range map[string]func() (int, error){
		"Count":    func() (int, error) { return store.Count("g") },
		"CountAll": func() (int, error) { return store.CountAll("") },
		"GetAll":   func() (int, error) { all, err := store.GetAll("g"); return len(all), err },
		"GetPage":  func() (int, error) { page, err := store.GetPage("g", 0, 9); return len(page), err },
		"GetMany":  func() (int, error) { rows, err := store.GetMany("g", "lease", "other"); return len(rows), err },
		"Groups":   func() (int, error) { groups, err := store.Groups(""); return len(groups) * len(keys), err },
		"Scan": func() (n int, err error) {
			for _, err := range store.Scan(api.ScanOptions{Groups: api.Exactly("g")}) {
				if err != nil {
					return n, err
				}
				n++
			}
			return n, nil
		},
		"Snapshot": func() (int, error) {
			s, err := store.Snapshot()
			if err != nil {
				return 0, err
			}
			defer s.Close()
			return s.Count("g")
		},
		"Transaction": func() (n int, err error) {
			err = store.Transaction(func(tx *api.Transaction) error {
				n, err = tx.Count("g")
				return err
			})
			return n, err
		},
	} {
		n, err := count()
		require.NoError(t, err, name)
		require.Equal(t, len(keys), n, name)
	}
}

// What a condition was judged to be without is nowhere afterwards, even for a read
// whose time is from before.
func TestConditionRemovesWhatHasExpired(t *testing.T) {
	forEachStore(t, func(t *testing.T, open func(...api.Option) *api.Store) {
		clock := testkit.NewClock()
		store := open(api.WithClock(clock), api.WithPurgeInterval(time.Hour))
		require.NoError(t, store.SetWithTTL("g", "lease", "v", time.Second))
		watcher := store.Watch("g", "lease")
		defer store.Unwatch(watcher)
		clock.Jump(time.Minute)
		_, err := store.Batch(new(api.Batch).IfAbsent("g", "lease").Set("g", "taken", "v"))
		require.NoError(t, err)
		require.Equal(t, api.EventExpire, testkit.Await(t, "the event", watcher.Events).Type)
		stats, err := store.Stats()
		require.NoError(t, err)
		require.Zero(t, stats.Expired)
	})
}

// A key is made to stay about when it expires: once a caller has found it gone, it
// stays gone.
func TestExpiryIsLinearizable(t *testing.T) {
	forEachStore(t, func(t *testing.T, open func(...api.Option) *api.Store) {
		const life = 2 * time.Millisecond
		store := open()
		random := rand.New(rand.NewPCG(1, 2))
		for range 300 {
			began := time.Now()
			require.NoError(t, store.SetWithTTL("g", "k", "v", life))
			persisted := make(chan error, 1)
			at := began.Add(life + 200*time.Microsecond - time.Duration(random.Int64N(600_000)))
			go func() {
				for time.Now().Before(at) {
					runtime.Gosched()
				}
				persisted <- store.Persist("g", "k")
			}()
			gone, back := false, false
			for time.Since(began) < life+time.Millisecond {
				found, err := store.Exists("g", "k")
				require.NoError(t, err)
				back = back || gone && found
				gone = gone || !found
			}
			require.False(t, back, "it was gone and came back")
			err := testkit.Await(t, "the call", persisted)
			found, _ := store.Exists("g", "k")
			require.Equal(t, err == nil, found, "Persist: %v", err)
			require.False(t, gone && found)
		}
	})
}
