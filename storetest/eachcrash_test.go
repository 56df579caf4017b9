package storetest_test

import (
	"fmt"
	"testing"

	"forge.lthn.ai/core/go-store/api"
	"forge.lthn.ai/core/go-store/internal/testkit"
	"forge.lthn.ai/core/go-store/storetest"

	"github.com/stretchr/testify/require"
)

// A transfer of two writes loses money when the process dies between them, which shows at
// some of the points; one batch does not.
func TestEachCrash(t *testing.T) {
	prepare := func(s *storetest.Store) {
		require.NoError(t, s.SetAll([]api.Item{{Group: "accounts", Key: "ada", Value: "10"}, {Group: "accounts", Key: "bob", Value: "0"}}))
	}
	broken, runs := 0, 0
	program := func(transfer func(s *api.Store) error) func(*testing.T, *storetest.Store) {
		return func(t *testing.T, s *storetest.Store) {
			err := transfer(s.Store)
			s.Kill()
			accounts, reading := s.GetAll("accounts")
			require.NoError(t, reading)
			runs++
			switch fmt.Sprint(accounts["ada"], " ", accounts["bob"]) {
			case "10 0":
				require.Error(t, err)
			case "0 10":
			default:
				broken++
			}
		}
	}
	storetest.EachCrash(t, prepare, program(func(s *api.Store) error {
		return s.SetAll([]api.Item{{Group: "accounts", Key: "ada", Value: "0"}, {Group: "accounts", Key: "bob", Value: "10"}})
	}))
	require.Zero(t, broken)
	require.Greater(t, runs, 5)
	storetest.EachCrash(t, prepare, program(func(s *api.Store) error {
		if err := s.Set("accounts", "ada", "0"); err != nil {
			return err
		}
		return s.Set("accounts", "bob", "10")
	}))
	require.Positive(t, broken)
}

func TestSpread(t *testing.T) {
	require.Equal(t, []int{1, 2, 3}, storetest.Spread(3, 4))
	require.Equal(t, []int{1, 34, 67, 100}, storetest.Spread(100, 4))
	require.Equal(t, []int{1, 2}, storetest.Spread(2, 0))
	require.Equal(t, []int{5}, storetest.Spread(5, 1))
	require.Empty(t, storetest.Spread(0, 4))
}

// What is planned while an actor is at a point may be planned by it.
func TestAtWithinAnAction(t *testing.T) {
	s := storetest.New(t)
	second := make(chan (<-chan struct{}), 1)
	s.At("writer.begin", 1, func(s *storetest.Store) { second <- s.At("writer.committed", 1, storetest.Crash) })
	require.NoError(t, s.Set("g", "k", "v"))
	testkit.Await(t, "the second point", <-second)
	require.Error(t, s.Set("g", "l", "v"))
	s.Kill()
	keys, err := s.GetAll("g")
	require.NoError(t, err)
	require.Equal(t, map[string]string{"k": "v"}, keys)
}
