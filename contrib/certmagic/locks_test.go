package certmagicstore_test

import (
	"bytes"
	"context"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"forge.lthn.ai/core/go-store/api"
	certmagicstore "forge.lthn.ai/core/go-store/contrib/certmagic"
	"forge.lthn.ai/core/go-store/storetest"
)

const lease = 9 * time.Second

// inBubble runs a test in fake time, on a store that lives by it.
func inBubble(t *testing.T, test func(t *testing.T, s *storetest.Store), options ...storetest.Option) {
	t.Helper()
	options = append(options, storetest.RealClock())
	synctest.Test(t, func(t *testing.T) { test(t, storetest.New(t, options...)) })
}

func open(s *storetest.Store) *certmagicstore.Storage {
	return certmagicstore.New(s.Store, certmagicstore.Options{Lease: lease})
}

// One at a time has the lock, of many goroutines and several storages.
func TestLocksExclude(t *testing.T) {
	s := storetest.New(t)
	inside, total := 0, 0 // what the lock protects: the race detector sees whether it does
	var all sync.WaitGroup
	for range 8 {
		storage := certmagicstore.New(s.Store, certmagicstore.Options{})
		for range 2 {
			all.Go(func() {
				for range 5 {
					if !assert.NoError(t, storage.Lock(t.Context(), "obtain")) {
						return
					}
					inside++
					assert.Equal(t, 1, inside)
					total++
					inside--
					assert.NoError(t, storage.Unlock(t.Context(), "obtain"))
				}
			})
		}
	}
	all.Wait()
	require.Equal(t, 80, total)
	count, err := s.Count("certmagic:locks")
	require.NoError(t, err)
	require.Zero(t, count)
}

// A lock that is held is renewed: however long that is, no other holder gets it.
func TestHeldLocksAreRenewed(t *testing.T) {
	inBubble(t, func(t *testing.T, s *storetest.Store) {
		holder, other := open(s), open(s)
		require.NoError(t, holder.Lock(t.Context(), "l"))
		for range 100 {
			time.Sleep(lease / 2)
			held, err := other.TryLock(t.Context(), "l")
			require.NoError(t, err)
			require.False(t, held)
			held, err = holder.TryLock(t.Context(), "l")
			require.NoError(t, err)
			require.False(t, held, "nor does the holder, twice")
		}
		waited := make(chan error)
		go func() { waited <- other.Lock(t.Context(), "l") }()
		synctest.Wait()
		require.NoError(t, holder.Unlock(t.Context(), "l"))
		synctest.Wait()
		select {
		case err := <-waited:
			require.NoError(t, err)
		default:
			t.Fatal("a caller that waits has the lock as soon as it is released")
		}
		require.ErrorIs(t, holder.Unlock(t.Context(), "l"), certmagicstore.LostError)
		require.NoError(t, other.Unlock(t.Context(), "l"))
	})
}

// The lock of a process that was killed is had when its lease has run out, not before.
func TestKilledHolder(t *testing.T) {
	inBubble(t, func(t *testing.T, s *storetest.Store) {
		require.NoError(t, open(s).Lock(t.Context(), "l"))
		begun := time.Now()
		s.Kill()
		next := open(s)
		held, err := next.TryLock(t.Context(), "l")
		require.NoError(t, err)
		require.False(t, held)
		require.NoError(t, next.Lock(t.Context(), "l"))
		require.GreaterOrEqual(t, time.Since(begun), lease)
		require.Less(t, time.Since(begun), lease+time.Second)
		require.NoError(t, next.Unlock(t.Context(), "l"))
	})
}

// Its end is not put off until the row is purged, and is that of the last renewal.
func TestKilledHolderBeforeThePurge(t *testing.T) {
	inBubble(t, func(t *testing.T, s *storetest.Store) {
		require.NoError(t, open(s).Lock(t.Context(), "l"))
		s.Kill()
		next, waited := open(s), make(chan error)
		go func() { waited <- next.Lock(t.Context(), "l") }()
		time.Sleep(lease / 2)
		require.NoError(t, s.Touch("certmagic:locks", "l", time.Minute))
		renewed := time.Now()
		require.NoError(t, <-waited)
		require.Equal(t, time.Minute, time.Since(renewed))
		require.NoError(t, next.Unlock(t.Context(), "l"))
	}, storetest.With(api.WithPurgeInterval(time.Hour)))
}

// A store may have a clock of its own, far behind the machine's: it is that one which counts.
func TestStoreWithAnEarlierClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		clock := storetest.NewClock()
		clock.Jump(-50 * 365 * 24 * time.Hour) // the bubble begins in 2000
		s := storetest.New(t, storetest.WithClock(clock), storetest.With(api.WithPurgeInterval(time.Hour)))
		require.NoError(t, open(s).Lock(t.Context(), "l"))
		s.Kill()
		next, waited := open(s), make(chan error)
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Hour)
		defer cancel()
		go func() { waited <- next.Lock(ctx, "l") }()
		time.Sleep(2 * lease)
		synctest.Wait()
		select {
		case err := <-waited:
			t.Fatal("the lease has not ended by the store's clock", err)
		default:
		}
		s.Advance(lease)
		begun := time.Now()
		require.NoError(t, <-waited)
		require.LessOrEqual(t, time.Since(begun), 100*time.Millisecond)
		require.NoError(t, next.Unlock(t.Context(), "l"))
	})
}

func TestLostLocks(t *testing.T) {
	inBubble(t, func(t *testing.T, s *storetest.Store) {
		var log bytes.Buffer
		holder := certmagicstore.New(s.Store, certmagicstore.Options{Lease: lease, Logger: slog.New(slog.NewTextHandler(&log, nil))})
		require.NoError(t, holder.Lock(t.Context(), "l"))
		other := open(s)
		waited := make(chan error)
		go func() { waited <- other.Lock(t.Context(), "l") }()
		synctest.Wait()
		require.NoError(t, s.DeleteGroup("certmagic:locks"))
		require.NoError(t, <-waited)
		time.Sleep(lease)
		synctest.Wait()
		require.Contains(t, log.String(), "a lock was lost")
		require.ErrorIs(t, holder.RenewLockLease(t.Context(), "l", time.Hour), certmagicstore.LostError)
		require.ErrorIs(t, holder.Unlock(t.Context(), "l"), certmagicstore.LostError)
		held, err := holder.TryLock(t.Context(), "l")
		require.NoError(t, err)
		require.False(t, held, "it is the other's, and was not taken away")
		require.NoError(t, other.Unlock(t.Context(), "l"))
	})
}

// A disk that fails for less than a lease costs no lock; one that fails for longer does, and
// the holder is told.
func TestRenewalsFail(t *testing.T) {
	inBubble(t, func(t *testing.T, s *storetest.Store) {
		holder, other := open(s), open(s)
		require.NoError(t, holder.Lock(t.Context(), "l"))
		heal := s.Fault(storetest.DiskFull)
		time.Sleep(lease / 2)
		heal()
		time.Sleep(10 * lease)
		held, err := other.TryLock(t.Context(), "l")
		require.NoError(t, err)
		require.False(t, held)
		heal = s.Fault(storetest.DiskFull)
		time.Sleep(2 * lease)
		require.ErrorIs(t, other.Lock(t.Context(), "l"), api.DegradedError, "a store that can't write has no lock")
		heal()
		time.Sleep(time.Minute) // the store is well again
		require.NoError(t, other.Lock(t.Context(), "l"))
		require.ErrorIs(t, holder.Unlock(t.Context(), "l"), certmagicstore.LostError)
		require.NoError(t, other.Unlock(t.Context(), "l"))
	})
}

// A lease has the length of the options, whatever certmagic asks for: it asks for days.
func TestRenewLockLease(t *testing.T) {
	inBubble(t, func(t *testing.T, s *storetest.Store) {
		holder := open(s)
		require.ErrorIs(t, holder.RenewLockLease(t.Context(), "l", time.Hour), certmagicstore.LostError)
		require.NoError(t, holder.Lock(t.Context(), "l"))
		for _, length := range []time.Duration{30 * 24 * time.Hour, time.Hour, time.Second, -time.Hour} {
			time.Sleep(time.Second) // between the renewals
			require.NoError(t, holder.RenewLockLease(t.Context(), "l", length))
			entry, err := s.Entry("certmagic:locks", "l")
			require.NoError(t, err)
			require.Equal(t, lease, time.Until(entry.ExpiresAt))
		}
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		require.ErrorIs(t, holder.RenewLockLease(ended, "l", time.Hour), context.Canceled)
		require.NoError(t, holder.Unlock(ended, "l"))
		held, err := open(s).TryLock(t.Context(), "l")
		require.NoError(t, err)
		require.True(t, held)
	})
}

// A holder that asked for a long lease and was killed keeps others from the lock no longer.
func TestKilledHolderThatRenewed(t *testing.T) {
	inBubble(t, func(t *testing.T, s *storetest.Store) {
		holder := open(s)
		require.NoError(t, holder.Lock(t.Context(), "l"))
		require.NoError(t, holder.RenewLockLease(t.Context(), "l", 30*24*time.Hour))
		begun := time.Now()
		s.Kill()
		next := open(s)
		require.NoError(t, next.Lock(t.Context(), "l"))
		require.GreaterOrEqual(t, time.Since(begun), lease)
		require.Less(t, time.Since(begun), lease+time.Second)
		require.NoError(t, next.Unlock(t.Context(), "l"))
	})
}

// A caller's wait is ended by the context and by the store; a lock that is held then ends with
// the store, its goroutine too: else synctest and goleak would find it.
func TestWaitsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, err := api.New(":memory:")
		require.NoError(t, err)
		holder := certmagicstore.New(store, certmagicstore.Options{Lease: lease})
		for _, name := range []string{"", "*", "\x00", "\xff", "a/b", "l"} {
			require.NoError(t, holder.Lock(t.Context(), name))
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			require.ErrorIs(t, holder.Lock(ctx, name), context.DeadlineExceeded)
			cancel()
		}
		waited := make(chan error)
		go func() { waited <- holder.Lock(t.Context(), "l") }()
		synctest.Wait()
		require.NoError(t, store.Close())
		require.ErrorIs(t, <-waited, api.ClosedError)
		require.ErrorIs(t, holder.Unlock(t.Context(), "l"), api.ClosedError)
	})
}
