package api_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"forge.lthn.ai/core/go-store/api"
)

// A store knows its revision from the moment it is open, not only once its
// writer has started.
func TestRevisionRightAfterOpening(t *testing.T) {
	path := newPath(t)
	for opening := range uint64(8) {
		store, err := api.New(path)
		require.NoError(t, err)
		revision, err := store.Revision()
		require.NoError(t, err)
		require.NoError(t, store.Set("g", "k", "v"))
		require.NoError(t, store.Close())
		require.Equal(t, opening, revision)
	}
}
