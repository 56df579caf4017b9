package storetest_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"forge.lthn.ai/core/go-store/api"
	"forge.lthn.ai/core/go-store/storetest"

	"github.com/stretchr/testify/require"
)

func TestKillKeepsWhatWasAcknowledged(t *testing.T) {
	for _, durability := range []api.Durability{api.DurabilitySync, api.DurabilityBuffered} {
		s := storetest.New(t, storetest.With(api.WithDurability(durability)))
		watcher := s.Watch("*", "*")
		for i := range 30 {
			require.NoError(t, s.Set("g", fmt.Sprint(i), "v"))
			if i%10 == 9 {
				before := s.Store
				s.Kill()
				require.ErrorIs(t, before.Set("g", "k", "v"), api.ClosedError)
				for range watcher.Events { // its end
				}
				watcher = s.Watch("*", "*")
			}
		}
		count, err := s.Count("g")
		require.NoError(t, err)
		require.Equal(t, 30, count)
		revision, err := s.Revision()
		require.NoError(t, err)
		require.Equal(t, uint64(30), revision)
	}
}

func TestKillEmptiesAStoreInMemory(t *testing.T) {
	s := storetest.New(t, storetest.InMemory())
	for _, end := range []func(){s.Kill, func() { s.PowerLoss(1) }, func() { require.NoError(t, s.Reopen()) }} {
		require.NoError(t, s.Set("g", "k", "v"))
		end()
		_, err := s.Get("g", "k")
		require.ErrorIs(t, err, api.NotFoundError)
	}
}

// The time of the store goes on over a kill.
func TestKillLeavesTheClock(t *testing.T) {
	s := storetest.New(t)
	require.NoError(t, s.SetWithTTL("g", "k", "v", time.Hour))
	s.Advance(30 * time.Minute)
	s.Kill()
	_, err := s.Get("g", "k")
	require.NoError(t, err)
	s.Advance(30 * time.Minute)
	_, err = s.Get("g", "k")
	require.ErrorIs(t, err, api.NotFoundError)
}

// Nothing reaches the disk after the crash: neither what is written then nor what Close
// would tidy up.
func TestCrashEndsWriting(t *testing.T) {
	s := storetest.New(t)
	require.NoError(t, s.Set("g", "before", "v"))
	s.Crash()
	require.Error(t, s.Set("g", "after", "v"))
	require.NoError(t, s.Reopen())
	keys, err := s.GetAll("g")
	require.NoError(t, err)
	require.Equal(t, map[string]string{"before": "v"}, keys)
	require.NoError(t, s.Set("g", "again", "v"), "it lives on")
}

// Callers that are at it when the process dies: what they were told is there.
func TestKillUnderLoad(t *testing.T) {
	for round := range 5 {
		s := storetest.New(t)
		store := s.Store
		var mu sync.Mutex
		acknowledged := 0
		var callers sync.WaitGroup
		reached := s.At("writer.commit", 5+round, storetest.Crash)
		for caller := range 4 {
			callers.Go(func() {
				for i := range 50 {
					if store.Set("g", fmt.Sprint(caller, " ", i), "v") != nil {
						return
					}
					mu.Lock()
					acknowledged++
					mu.Unlock()
				}
			})
		}
		<-reached
		callers.Wait()
		s.Kill()
		count, err := s.Count("g")
		require.NoError(t, err)
		require.GreaterOrEqual(t, count, acknowledged)
		require.LessOrEqual(t, count, acknowledged+4)
	}
}

func TestReopenIsARestart(t *testing.T) {
	s := storetest.New(t)
	require.NoError(t, s.Set("g", "k", "v"))
	require.NoError(t, s.Reopen())
	value, err := s.Get("g", "k")
	require.NoError(t, err)
	require.Equal(t, "v", value)
}

// What was synced is there after every power cut; what was not is there after some.
func TestPowerLoss(t *testing.T) {
	const writes = 20
	for durability, most := range map[api.Durability]int{api.DurabilitySync: writes, api.DurabilityBuffered: writes - 1} {
		least := writes
		for seed := range uint64(6) {
			s := storetest.New(t, storetest.With(api.WithDurability(durability)))
			for i := range writes {
				require.NoError(t, s.Set("g", fmt.Sprintf("%03d", i), "v"))
			}
			s.PowerLoss(seed)
			keys, err := s.GetAll("g")
			require.NoError(t, err)
			for i := range len(keys) {
				require.Contains(t, keys, fmt.Sprintf("%03d", i), "the first ones, in order")
			}
			least = min(least, len(keys))
			require.NoError(t, s.Set("g", "again", "v"))
			s.PowerLoss(seed + 1)
			report, err := s.Check(t.Context())
			require.NoError(t, err)
			require.True(t, report.Whole())
		}
		require.LessOrEqual(t, least, most)
		if durability == api.DurabilitySync {
			require.Equal(t, writes, least)
		}
	}
}

func TestSameSeedSamePowerLoss(t *testing.T) {
	lose := func(seed uint64) int {
		s := storetest.New(t, storetest.With(api.WithDurability(api.DurabilityBuffered), api.WithReaders(2)))
		for i := range 40 {
			require.NoError(t, s.Set("g", fmt.Sprint(i), "v"))
		}
		s.PowerLoss(seed)
		count, err := s.Count("g")
		require.NoError(t, err)
		return count
	}
	for seed := range uint64(3) {
		require.Equal(t, lose(seed), lose(seed), "seed %d", seed)
	}
}

func TestKillReportsWhatCannotBeOpened(t *testing.T) {
	failures := failuresOf(t, func(inner testing.TB) {
		s := storetest.New(inner, storetest.AllowDegraded())
		require.NoError(t, s.Set("g", "k", "v"))
		s.Fault(storetest.ReadsFail)
		s.Kill()
	})
	require.Len(t, failures, 1)
	require.Contains(t, failures[0], "after a kill")
}
