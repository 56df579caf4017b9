package storetest_test

import (
	"testing"
	"testing/synctest"
	"time"

	"forge.lthn.ai/core/go-store/api"
	"forge.lthn.ai/core/go-store/internal/testkit"
	"forge.lthn.ai/core/go-store/storetest"

	"github.com/stretchr/testify/require"
)

// recovers waits until the store takes writes again, which after several faults it does by
// its clock.
func recovers(t *testing.T, s *storetest.Store) {
	t.Helper()
	testkit.Until(t, "the recovery", func() bool {
		s.Advance(time.Second)
		return s.Set("g", "recovered", "v") == nil
	})
}

func TestFaultsThatRefuseWriting(t *testing.T) {
	for _, fault := range []storetest.Fault{
		storetest.DiskFull, storetest.WritesFail, storetest.TornWrites, storetest.SyncFails, storetest.ReadOnlyDisk,
		storetest.DiskFull.OnLog(), storetest.WritesFail.OnLog(),
	} {
		t.Run(fault.String(), func(t *testing.T) {
			s := storetest.New(t)
			require.NoError(t, s.Set("g", "k", "before"))
			heal := s.Fault(fault)
			for range 3 {
				require.ErrorIs(t, s.Set("g", "k", "after"), api.DegradedError)
			}
			require.ErrorIs(t, s.Health().Err, api.DegradedError)
			value, err := s.Get("g", "k")
			require.NoError(t, err)
			require.Equal(t, "before", value)
			heal()
			heal()
			recovers(t, s)
			s.Kill()
			value, err = s.Get("g", "k")
			require.NoError(t, err)
			require.Equal(t, "before", value)
		})
	}
}

func TestOnceAndAfter(t *testing.T) {
	s := storetest.New(t)
	s.Fault(storetest.WritesFail.OnLog().Once())
	require.ErrorIs(t, s.Set("g", "k", "v"), api.DegradedError)
	require.NoError(t, s.Set("g", "k", "v"), "the first batch after a fault is an attempt at once")
	heal := s.Fault(storetest.SyncFails.OnLog().After(2))
	require.NoError(t, s.Set("g", "k", "1"))
	require.NoError(t, s.Set("g", "k", "2"))
	require.ErrorIs(t, s.Set("g", "k", "3"), api.DegradedError)
	heal()
	recovers(t, s)
	require.Equal(t, "SyncFails.OnLog().After(2)", storetest.SyncFails.OnLog().After(2).String())
	require.Equal(t, "SyncFails.OnDatabase().Once()", storetest.SyncFails.OnDatabase().Once().String())
}

func TestFaultOfTheDatabaseIsNotOfTheLog(t *testing.T) {
	s := storetest.New(t)
	heal := s.Fault(storetest.WritesFail.OnDatabase())
	require.NoError(t, s.Set("g", "k", "v"), "commits go to the log")
	heal()
}

func TestReadsFail(t *testing.T) {
	s := storetest.New(t, storetest.With(api.WithReadCache(0)))
	require.NoError(t, s.Set("g", "k", "v"))
	require.NoError(t, s.Reopen())
	heal := s.Fault(storetest.ReadsFail)
	_, err := s.Get("g", "k")
	require.Error(t, err)
	require.NotErrorIs(t, err, api.NotFoundError)
	heal()
	_, err = s.Get("g", "k")
	require.NoError(t, err)
}

func TestSlowDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := storetest.New(t, storetest.RealClock())
		heal := s.Fault(storetest.SlowDisk(time.Minute))
		require.Contains(t, storetest.SlowDisk(time.Minute).String(), "1m0s")
		began := time.Now()
		require.NoError(t, s.Set("g", "k", "v"))
		require.GreaterOrEqual(t, time.Since(began), time.Minute)
		heal()
		time.Sleep(2 * time.Second)
	})
}

func TestFaultsAddUp(t *testing.T) {
	s := storetest.New(t)
	healSyncs, healWrites := s.Fault(storetest.SyncFails), s.Fault(storetest.DiskFull)
	require.Error(t, s.Set("g", "k", "v"))
	healWrites()
	s.Advance(time.Second)
	require.Error(t, s.Set("g", "k", "v"))
	healSyncs()
	recovers(t, s)
}

func TestNoFault(t *testing.T) {
	s := storetest.New(t)
	for _, none := range []storetest.Fault{{}, storetest.Fault{}.Once(), storetest.Fault{}.OnLog().After(1)} {
		defer s.Fault(none)()
	}
	require.NoError(t, s.Set("g", "k", "v"))
}
