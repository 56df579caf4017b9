package api_test

import (
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"forge.lthn.ai/core/go-store/api"
)

// On a 32-bit processor a store runs its actors in a system of its own, which it has mended;
// one of its user is refused. What makes a store work there is run by make test-386.
func TestActorSystemsOn32Bits(t *testing.T) {
	for _, path := range []string{":memory:", newPath(t)} {
		for range 32 { // stores, whose actors have names of their own each
			store := openStore(t, path)
			require.NoError(t, store.Set("g", "k", "v"))
			requireValue(t, store, "g", "k", "v")
			require.NoError(t, store.Close())
		}
	}
	store, err := api.New(":memory:", api.WithActorSystem(newSystem(t)))
	if strconv.IntSize == 32 {
		require.ErrorIs(t, err, api.InvalidOptionError)
		require.ErrorContains(t, err, "Proto.Actor")
		return
	}
	require.NoError(t, err)
	require.NoError(t, store.Close())
}
