package storetest_test

import (
	"sync/atomic"
	"testing"

	"forge.lthn.ai/core/go-store/api"
	"forge.lthn.ai/core/go-store/internal/testkit"
	"forge.lthn.ai/core/go-store/storetest"

	"github.com/stretchr/testify/require"
)

// TestPointsAreThoseOfTheSource: a step that is new is to be named.
func TestPointsAreThoseOfTheSource(t *testing.T) {
	require.ElementsMatch(t, storetest.PointNames(t), storetest.Points())
}

func TestAtCountsFromNow(t *testing.T) {
	eachPlace(t, func(t *testing.T, options ...storetest.Option) {
		s := storetest.New(t, options...)
		require.NoError(t, s.Set("g", "k", "0"))
		var times atomic.Int64
		reached := s.At("writer.commit", 3, func(in *storetest.Store) {
			require.Same(t, s, in)
			times.Add(1)
		})
		for i := range 5 {
			require.NoError(t, s.Set("g", "k", "v"))
			if i < 2 {
				select {
				case <-reached:
					t.Fatal("too early")
				default:
				}
			}
		}
		testkit.Await(t, "the point", reached)
		require.EqualValues(t, 1, times.Load(), "once")
	})
}

func TestPanicIsAFailureThatTheStoreSurvives(t *testing.T) {
	eachPlace(t, func(t *testing.T, options ...storetest.Option) {
		s := storetest.New(t, options...)
		s.At("writer.apply", 1, storetest.Panic)
		require.ErrorIs(t, s.Set("g", "k", "v"), api.RolledBackError)
		require.NoError(t, s.Set("g", "k", "w"))
	})
}

func TestAtRefusesWhatThereIsNot(t *testing.T) {
	for _, bad := range []func(s *storetest.Store){
		func(s *storetest.Store) { s.At("writer.comit", 1, storetest.Panic) },
		func(s *storetest.Store) { s.At("writer.commit", 0, storetest.Panic) },
	} {
		require.Len(t, failuresOf(t, func(t testing.TB) { bad(storetest.New(t, storetest.InMemory())) }), 1)
	}
}

func TestPlansAreForgottenAtReopen(t *testing.T) {
	s := storetest.New(t)
	reached := s.At("writer.commit", 1, storetest.Panic)
	s.Kill()
	require.NoError(t, s.Set("g", "k", "v"))
	select {
	case <-reached:
		t.Fatal("the plan is of the life before")
	default:
	}
}

// The crash is where it was asked for: before COMMIT nothing is there, after it all is.
func TestCrashAtAPoint(t *testing.T) {
	for point, there := range map[string]bool{"writer.apply": false, "writer.commit": false, "writer.committed": true, "writer.publish": true} {
		s := storetest.New(t)
		require.NoError(t, s.Set("g", "before", "v"))
		s.At(point, 1, storetest.Crash)
		err := s.Set("g", "k", "v")
		require.Equal(t, there, err == nil, "%s: %v", point, err)
		s.Kill()
		exists, err := s.Exists("g", "k")
		require.NoError(t, err)
		require.Equal(t, there, exists, point)
		exists, err = s.Exists("g", "before")
		require.NoError(t, err)
		require.True(t, exists)
	}
}
