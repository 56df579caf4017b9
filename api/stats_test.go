package api_test

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"forge.lthn.ai/core/go-store/api"
	"forge.lthn.ai/core/go-store/internal/testkit"
)

func TestStats(t *testing.T) {
	folder := t.TempDir()
	for name, path := range map[string]string{"file": filepath.Join(folder, "s.db"), "memory": ":memory:"} {
		t.Run(name, func(t *testing.T) {
			clock := testkit.NewClock()
			store, err := api.New(path, api.WithClock(clock), api.WithPurgeInterval(time.Hour), api.WithHistory(api.Retention{Revisions: 1}),
				api.WithOverlay(0)) // which would keep what the table lacks
			require.NoError(t, err)
			stats, err := store.Stats()
			require.NoError(t, err)
			require.Equal(t, api.Stats{OldestRevision: 1}, stats)

			fill(t, store, "g", 10)
			require.NoError(t, store.SetWithTTL("h", "k", "v", time.Second))
			require.NoError(t, store.SetWithTTL("g", "k", "v", time.Second))
			clock.Advance(time.Second)
			stats, err = store.Stats()
			require.NoError(t, err)
			revision, err := store.Revision()
			require.NoError(t, err)
			require.Equal(t, [4]int64{10, 1, 2, int64(revision)}, [4]int64{stats.Keys, stats.Groups, stats.Expired, int64(stats.Revision)})
			require.Greater(t, stats.OldestRevision, uint64(1), "the log was trimmed")
			require.LessOrEqual(t, stats.OldestRevision, revision)
			require.Positive(t, stats.LogBytes)
			require.Equal(t, clock.Now().Add(-time.Second).UnixMilli(), stats.LogBegins.UnixMilli())

			if path != ":memory:" {
				beside := openStore(t, path, api.WithReadOnly(), api.WithClock(clock))
				seen, err := beside.Stats()
				require.NoError(t, err)
				require.Equal(t, stats, seen)
				require.NoError(t, store.Close())
				discarded := openStore(t, path, api.WithClock(clock), api.WithDiscardedLog(), api.WithPurgeInterval(time.Hour))
				seen, err = discarded.Stats()
				require.NoError(t, err)
				require.Equal(t, revision+1, seen.OldestRevision)
				require.Zero(t, seen.LogBytes)
				require.True(t, seen.LogBegins.IsZero())
			}
			require.NoError(t, store.Close())
			_, err = store.Stats()
			require.ErrorIs(t, err, api.ClosedError)
		})
	}
}

func TestStatsObeysItsContext(t *testing.T) {
	store := openStore(t, newPath(t))
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := store.WithContext(ended).Stats()
	require.ErrorIs(t, err, context.Canceled)
	require.ErrorContains(t, err, "store.Stats: ")
}
