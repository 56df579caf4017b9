package api_test

import (
	"context"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"forge.lthn.ai/core/go-store/api"
	"forge.lthn.ai/core/go-store/internal/testkit"
)

// WatchHealth tells the present state, every change, and ends with its context, its
// store, or its loop.
func TestWatchHealth(t *testing.T) {
	path := newPath(t)
	store := openStore(t, path)
	watch := func(ctx context.Context) (<-chan api.Health, <-chan struct{}) {
		seen, ended := make(chan api.Health, 8), make(chan struct{})
		go func() {
			defer close(ended)
			for health := range store.WithContext(ctx).WatchHealth() {
				seen <- health
			}
		}()
		require.Equal(t, api.Health{}, testkit.Await(t, "the present state", seen))
		return seen, ended
	}
	ctx, cancel := context.WithCancel(t.Context())
	seen, ended := watch(t.Context())
	_, cancelled := watch(ctx)
	cancel()
	testkit.Await(t, "the end of the context", cancelled)
	for range store.WatchHealth() {
		break
	}

	require.NoError(t, os.Rename(path, path+".away"))
	require.ErrorIs(t, store.Health().Err, api.FileLostError)
	require.ErrorIs(t, store.Set("g", "k", "v"), api.FileLostError)
	health := testkit.Await(t, "the loss", seen)
	require.ErrorIs(t, health.Err, api.FileLostError)
	require.False(t, health.Since.IsZero())
	require.NoError(t, os.Rename(path+".away", path))
	require.NoError(t, store.Health().Err)
	require.NoError(t, testkit.Await(t, "the return", seen).Err)

	require.NoError(t, store.Close())
	testkit.Await(t, "the end of the store", ended)
	for health := range store.WatchHealth() {
		t.Fatalf("a closed store has the health %v", health)
	}
	require.ErrorIs(t, store.Health().Err, api.ClosedError)
	for range (*api.Store)(nil).WatchHealth() {
		t.Fatal("a nil store has a health")
	}
}
