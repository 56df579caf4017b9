package api_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"forge.lthn.ai/core/go-store/api"
	"forge.lthn.ai/core/go-store/internal/testkit"
)

// TestAcknowledgedWritesAreCommitted: whenever the writer fails, before COMMIT, within
// it or behind it, a call that returned no error has written, and one that was rolled
// back has not.
func TestAcknowledgedWritesAreCommitted(t *testing.T) {
	forEachPath(t, func(t *testing.T, path string) {
		faults := testkit.NewFaults()
		store := openStore(t, path, withFailpoint(faults.Hook))
		for i, step := range []string{"writer.begin", "writer.apply", "writer.seal", "writer.commit", "cache.commit", "cache.committed", "writer.committed", "writer.publish"} {
			key := fmt.Sprint("k", i)
			faults.Plan(step, 1)
			err := store.Set("g", key, "v")
			require.Equal(t, step, testkit.Await(t, step, faults.Done()))
			found, reading := store.Exists("g", key)
			require.NoError(t, reading)
			switch {
			case err == nil:
				require.True(t, found, "%s: it was acknowledged", step)
			case errors.Is(err, api.RolledBackError):
				require.False(t, found, "%s: it was rolled back", step)
			default:
				require.ErrorIs(t, err, api.UnknownOutcomeError, step)
			}
		}
	})
}

// refusedBatch writes a key and then can't do the rest.
func refusedBatch(t *testing.T, store interface {
	Batch(*api.Batch) (uint64, error)
}) {
	t.Helper()
	_, err := store.Batch(new(api.Batch).Set("g", "half", "v").Increment("g", "text", 1))
	require.ErrorIs(t, err, api.NotANumberError)
}

// TestRefusedRequestsWriteNothing: a request that fails half-way has written nothing,
// neither alone nor beside others of its commit.
func TestRefusedRequestsWriteNothing(t *testing.T) {
	forEachStore(t, func(t *testing.T, open func(...api.Option) *api.Store) {
		store := open()
		require.NoError(t, store.Set("g", "text", "no number"))
		refusedBatch(t, store)
		requireNotFound(t, store, "g", "half")
		require.NoError(t, store.Set("g", "next", "v"))
		requireNotFound(t, store, "g", "half")
		all, err := store.GetAll("g")
		require.NoError(t, err)
		require.Equal(t, map[string]string{"text": "no number", "next": "v"}, all)
	})
}

// TestRefusedRequestsTakeNoRoom: what a request has booked to its namespace before it
// failed is taken back.
func TestRefusedRequestsTakeNoRoom(t *testing.T) {
	forEachStore(t, func(t *testing.T, open func(...api.Option) *api.Store) {
		scope := newScope(t, open(), "n", api.QuotaConfig{MaxKeys: 3})
		require.NoError(t, scope.Set("g", "text", "no number"))
		refusedBatch(t, scope)
		refusedBatch(t, scope)
		usage, err := scope.Usage()
		require.NoError(t, err)
		require.Equal(t, api.Usage{Keys: 1, Groups: 1}, usage)
		require.NoError(t, scope.Set("g", "b", "v"))
		require.NoError(t, scope.Set("g", "c", "v"))
		require.ErrorIs(t, scope.Set("g", "d", "v"), api.QuotaExceededError)
	})
}

// TestRefusedRequestsHaveNoEvents: watchers, callbacks and the log know nothing of a
// request that failed.
func TestRefusedRequestsHaveNoEvents(t *testing.T) {
	forEachStore(t, func(t *testing.T, open func(...api.Option) *api.Store) {
		store := open()
		require.NoError(t, store.Set("g", "text", "no number"))
		watcher := store.Watch("*", "*")
		var called []api.Event
		defer store.OnChange(func(e api.Event) { called = append(called, e) })()
		refusedBatch(t, store)
		require.Empty(t, delivered(watcher))
		require.NoError(t, store.Set("g", "next", "v"))
		want := []change{{api.EventSet, "g", "next", "v"}}
		require.Equal(t, want, changes(delivered(watcher)))
		require.Equal(t, want, changes(called))
		var logged []api.Event
		for event, err := range store.History("g", "half") {
			require.NoError(t, err)
			logged = append(logged, event)
		}
		require.Empty(t, logged)
		revision, err := store.Revision()
		require.NoError(t, err)
		require.EqualValues(t, 2, revision)
	})
}
