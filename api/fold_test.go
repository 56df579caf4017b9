package api_test

import (
	"context"
	"database/sql"
	"fmt"
	"testing"

	"forge.lthn.ai/core/go-store/api"

	"github.com/stretchr/testify/require"
)

// Fold returns once the table that other programs read has all that was written before it,
// while others go on writing.
func TestFoldWaitsForTheTable(t *testing.T) {
	path := newPath(t)
	store, err := api.New(path, api.WithOverlay(1<<20))
	require.NoError(t, err)
	t.Cleanup(func() { _ = store.Close() })
	other, err := sql.Open("sqlite", path)
	require.NoError(t, err)
	t.Cleanup(func() { _ = other.Close() })
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		for i := 0; ; i++ {
			if ctx.Err() != nil {
				ended <- nil
				return
			}
			if err := store.Set("beside", fmt.Sprint(i%100), "v"); err != nil {
				ended <- err
				return
			}
		}
	}()
	for i := range 20 {
		require.NoError(t, store.Set("g", "k", fmt.Sprint(i)))
		require.NoError(t, store.Fold(t.Context()))
		var value string
		require.NoError(t, other.QueryRow("SELECT entry_value FROM entries WHERE group_name = 'g'").Scan(&value))
		require.Equal(t, fmt.Sprint(i), value)
	}
	cancel()
	require.NoError(t, <-ended)
	require.NoError(t, store.Close())
	require.ErrorIs(t, store.Fold(t.Context()), api.ClosedError)

	direct := openStore(t, newPath(t))
	require.NoError(t, direct.Set("g", "k", "v"))
	require.NoError(t, direct.Fold(t.Context()))
	require.Zero(t, direct.Health().Unfolded)
	require.NoError(t, openStore(t, ":memory:").Fold(t.Context()))
	require.NoError(t, direct.Close())
	reader, err := api.New(path, api.WithReadOnly())
	require.NoError(t, err)
	require.ErrorIs(t, reader.Fold(t.Context()), api.ReadOnlyError)
	require.NoError(t, reader.Close())
	require.ErrorIs(t, (*api.Store)(nil).Fold(t.Context()), api.NilStoreError)
}
