package storetest_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"forge.lthn.ai/core/go-store/api"
	"forge.lthn.ai/core/go-store/internal/testkit"
	"forge.lthn.ai/core/go-store/storetest"

	"github.com/stretchr/testify/require"
)

// eachPlace runs a test with a store on disk and with one in memory.
func eachPlace(t *testing.T, test func(t *testing.T, options ...storetest.Option)) {
	t.Run("file", func(t *testing.T) { test(t) })
	t.Run("memory", func(t *testing.T) { test(t, storetest.InMemory()) })
}

func TestStoreOnAFakeClock(t *testing.T) {
	eachPlace(t, func(t *testing.T, options ...storetest.Option) {
		s := storetest.New(t, options...)
		watcher := s.Watch("sessions", "*")
		require.NoError(t, s.SetWithTTL("sessions", "ada", "token", time.Hour))
		s.Advance(time.Hour - time.Millisecond)
		value, err := s.Get("sessions", "ada")
		require.NoError(t, err)
		require.Equal(t, "token", value)
		s.Advance(time.Millisecond)
		_, err = s.Get("sessions", "ada")
		require.ErrorIs(t, err, api.NotFoundError)
		s.Advance(time.Second)
		require.Equal(t, api.EventSet, testkit.Await(t, "the event", watcher.Events).Type)
		require.Equal(t, api.EventExpire, testkit.Await(t, "the expiry", watcher.Events).Type)

		require.NoError(t, s.SetWithTTL("sessions", "bob", "token", time.Hour))
		s.Jump(2 * time.Hour)
		_, err = s.Get("sessions", "bob")
		require.ErrorIs(t, err, api.NotFoundError)
	})
}

func TestStoresMayShareAClock(t *testing.T) {
	clock := storetest.NewClock()
	a, b := storetest.New(t, storetest.WithClock(clock)), storetest.New(t, storetest.WithClock(clock), storetest.InMemory())
	require.Same(t, clock, a.Clock())
	for _, s := range []*storetest.Store{a, b} {
		require.NoError(t, s.SetWithTTL("g", "k", "v", time.Minute))
	}
	clock.Advance(time.Minute)
	for _, s := range []*storetest.Store{a, b} {
		_, err := s.Get("g", "k")
		require.ErrorIs(t, err, api.NotFoundError)
	}
}

func TestStoreInABubble(t *testing.T) {
	eachPlace(t, func(t *testing.T, options ...storetest.Option) {
		synctest.Test(t, func(t *testing.T) {
			s := storetest.New(t, append(options, storetest.RealClock())...)
			require.NoError(t, s.SetWithTTL("g", "k", "v", time.Hour))
			time.Sleep(time.Hour)
			_, err := s.Get("g", "k")
			require.ErrorIs(t, err, api.NotFoundError)
			time.Sleep(2 * time.Second)
		})
	})
}

func TestFileAndOptions(t *testing.T) {
	path := filepath.Join(t.TempDir(), "my.db")
	t.Run("first", func(t *testing.T) {
		s := storetest.New(t, storetest.File(path))
		require.NoError(t, s.Set("g", "k", "v"))
		require.Equal(t, filepath.Base(path), filepath.Base(s.Path()))
	})
	t.Run("second", func(t *testing.T) {
		s := storetest.New(t, storetest.File(path), storetest.With(api.WithReadOnly()))
		value, err := s.Get("g", "k")
		require.NoError(t, err)
		require.Equal(t, "v", value)
		require.ErrorIs(t, s.Set("g", "k", "v"), api.ReadOnlyError)
	})
}

func TestNewFailsTheTestWhereItCannotOpen(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store.db")
	require.NoError(t, os.WriteFile(path, []byte("this is no database, as everybody can see"), 0o600))
	failures := failuresOf(t, func(t testing.TB) { storetest.New(t, storetest.File(path)) })
	require.Len(t, failures, 1)
	require.Contains(t, failures[0], "not an SQLite database")
	failures = failuresOf(t, func(t testing.TB) {
		storetest.New(t, storetest.File(filepath.Join(path+"-new", "store.db")))
	})
	require.Len(t, failures, 1)
}

func TestWhatIsNotOfAStoreInMemory(t *testing.T) {
	for name, test := range map[string]func(s *storetest.Store){
		"a store in memory has no disk": func(s *storetest.Store) { s.Fault(storetest.DiskFull) },
	} {
		failures := failuresOf(t, func(t testing.TB) { test(storetest.New(t, storetest.InMemory())) })
		require.Len(t, failures, 1)
		require.Contains(t, failures[0], name)
	}
}

func TestAdvanceNeedsAFakeClock(t *testing.T) {
	for _, move := range []func(s *storetest.Store){
		func(s *storetest.Store) { s.Advance(time.Second) }, func(s *storetest.Store) { s.Jump(time.Second) },
	} {
		failures := failuresOf(t, func(t testing.TB) { move(storetest.New(t, storetest.RealClock(), storetest.InMemory())) })
		require.Len(t, failures, 1)
		require.Contains(t, failures[0], "the machine's clock")
	}
}

// A store that has lost its file can't write, which the test has not asked for.
func TestStoreThatIsLeftDegradedFailsTheTest(t *testing.T) {
	for _, allowed := range []bool{false, true} {
		failures := failuresOf(t, func(inner testing.TB) {
			var options []storetest.Option
			if allowed {
				options = append(options, storetest.AllowDegraded())
			}
			s := storetest.New(inner, options...)
			require.NoError(t, s.Set("g", "k", "v"))
			require.NoError(t, os.Rename(s.Path(), s.Path()+".away"))
		})
		if allowed {
			require.Empty(t, failures)
			continue
		}
		require.Len(t, failures, 1)
		require.Contains(t, failures[0], "unable to write")
	}
}

// A test that has the disk fail may leave it so, and need not wait for the store.
func TestFaultsThatAreLeftAreHealed(t *testing.T) {
	for _, fault := range []storetest.Fault{storetest.DiskFull, storetest.SyncFails, storetest.WritesFail, storetest.ReadOnlyDisk} {
		require.Empty(t, failuresOf(t, func(inner testing.TB) {
			s := storetest.New(inner)
			require.NoError(t, s.Set("g", "k", "v"))
			heal := s.Fault(fault)
			require.ErrorIs(t, s.Set("g", "k", "w"), api.DegradedError, fault)
			if fault.String() == "SyncFails" {
				heal()
			}
		}), fault)
	}
}

// The goroutines of this store are counted, and of no other.
func TestGoroutinesLeftBehindFailTheTest(t *testing.T) {
	defer storetest.HurryLeaks()()
	release := make(chan struct{})
	var other *storetest.Store
	failures := failuresOf(t, func(inner testing.TB) {
		other = storetest.New(t) // goes on
		s := storetest.New(inner, storetest.InMemory())
		storetest.LeaveGoroutine(s, release)
	})
	close(release)
	require.Len(t, failures, 1)
	require.Contains(t, failures[0], "goroutines behind")
	require.NoError(t, other.Set("g", "k", "v"))
}

func TestUserMayClose(t *testing.T) {
	eachPlace(t, func(t *testing.T, options ...storetest.Option) {
		require.NoError(t, storetest.New(t, options...).Close())
	})
}

// Many tests at a time, each with a disk of its own.
func TestInParallel(t *testing.T) {
	for i := range 4 {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			t.Parallel()
			s := storetest.New(t)
			heal := func() {}
			if i%2 == 0 {
				heal = s.Fault(storetest.DiskFull)
			}
			for n := range 20 {
				err := s.Set("g", fmt.Sprint(n), "v")
				if i%2 == 0 {
					require.ErrorIs(t, err, api.DegradedError)
				} else {
					require.NoError(t, err)
				}
			}
			heal()
			s.Kill()
			count, err := s.Count("g")
			require.NoError(t, err)
			require.Equal(t, 20*(i%2), count)
		})
	}
}
