//go:build unix

package api_test

import (
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"forge.lthn.ai/core/go-store/api"
)

// TestOperationsOnAReplacedFile touch neither file, and carry nothing from one to the
// other.
func TestOperationsOnAReplacedFile(t *testing.T) {
	path, other := newPath(t), newPath(t)
	store, err := api.New(path)
	require.NoError(t, err)
	require.NoError(t, store.Set("g", "k", "ours"))
	theirs := openStore(t, other)
	require.NoError(t, theirs.Set("g", "k", "theirs"))
	require.NoError(t, theirs.Close())
	require.NoError(t, os.Rename(path, path+".ours"))
	copyFile(t, other, path)

	_, err = store.Compact(t.Context())
	require.ErrorIs(t, err, api.FileLostError)
	_, err = store.Check(t.Context())
	require.ErrorIs(t, err, api.FileLostError)
	require.ErrorIs(t, store.Backup(t.Context(), path+".backup"), api.FileLostError)
	require.NoFileExists(t, path+".backup")

	require.NoError(t, os.Rename(path+".ours", path))
	require.NoError(t, store.Health().Err)
	requireValue(t, store, "g", "k", "ours")
	require.NoError(t, store.Close())
	requireValue(t, openStore(t, path), "g", "k", "ours")
}

// TestWALOfAnotherStore is refused, and salvage leaves it out, whatever the database's
// state is.
func TestWALOfAnotherStore(t *testing.T) {
	for _, state := range []string{"killed", "closed beside a reader"} {
		t.Run(state, func(t *testing.T) {
			path, other := newPath(t), newPath(t)
			owner := startChild(t, taskServe, path)
			owner.sets(0, 20)
			if state == "killed" {
				owner.kill()
			} else {
				reader := startChild(t, taskRead, path)
				require.Equal(t, "ok", owner.tell("close"))
				reader.finish()
			}
			stranger := startChild(t, taskServe, other)
			stranger.sets(100, 110)
			stranger.kill()
			copyFile(t, other+"-wal", path+"-wal")
			require.NoError(t, os.RemoveAll(path+"-shm"))
			require.ErrorIs(t, requireRefused(t, filepath.Dir(path), path), api.StaleWALError)
			salvaged := newPath(t)
			report, err := api.Salvage(t.Context(), path, salvaged)
			require.NoError(t, err)
			require.NotEmpty(t, report.Findings, "that a WAL was left out is said")
			store := openStore(t, salvaged)
			requireNotFound(t, store, childGroup, "100")
		})
	}
}

// TestCompactBesideReaders: the file becomes smaller when they let it, and no reader takes
// that for damage.
func TestCompactBesideReaders(t *testing.T) {
	path := newPath(t)
	store := openStore(t, path, api.WithDurability(api.DurabilityBuffered))
	fill(t, store, "g", 3_000)
	reader := openStore(t, path, api.WithReadOnly())
	snapshot, err := store.Snapshot()
	require.NoError(t, err)
	require.NoError(t, store.DeleteGroup("g"))
	require.NoError(t, store.Set("g", "k", "v"))
	_, err = store.Compact(t.Context())
	require.NoError(t, err)
	require.NoError(t, store.Health().Err)
	snapshot.Close()
	_, err = store.Compact(t.Context())
	require.NoError(t, err)
	for i := range 100 {
		require.NoError(t, store.Set("g", strconv.Itoa(i), "v"))
	}
	require.NoError(t, store.Health().Err)
	require.NoError(t, reader.Health().Err)
	requireValue(t, reader, "g", "99", "v")
	require.NoError(t, store.Close())
	requireValue(t, openStore(t, path), "g", "99", "v")
}

// TestCloseInAProgressFunction ends the operation instead of waiting for itself.
func TestCloseInAProgressFunction(t *testing.T) {
	store := openStore(t, newPath(t), api.WithDurability(api.DurabilityBuffered))
	fill(t, store, "g", 2_000)
	_, err := store.Check(t.Context(), api.WithProgress(func(int64, int64) { _ = store.Close() }))
	if err != nil { // it may have been over
		require.ErrorIs(t, err, api.ClosedError)
	}
	require.ErrorIs(t, store.Set("g", "k", "v"), api.ClosedError)
}

// TestHealthDuringClose never takes what Close removes for a loss.
func TestHealthDuringClose(t *testing.T) {
	for range 10 {
		store := openStore(t, newPath(t))
		require.NoError(t, store.Set("g", "k", "v"))
		done := make(chan error)
		go func() { done <- store.Close() }()
		for closed := false; !closed; {
			select {
			case err := <-done:
				require.NoError(t, err)
				closed = true
			default:
				if err := store.Health().Err; err != nil {
					require.ErrorIs(t, err, api.ClosedError)
				}
			}
		}
	}
}

// TestBufferedStoreRecoveredByAnotherProgram is whole, and opens.
func TestBufferedStoreRecoveredByAnotherProgram(t *testing.T) {
	path := newPath(t)
	writer := startChild(t, taskBuffered, path)
	require.Equal(t, "ok", writer.tell("set 1"))
	require.Equal(t, "ok", writer.tell("fold"))
	writer.kill()
	require.Equal(t, 1, query[int](t, path, `SELECT count(*) FROM entries`))
	require.NoFileExists(t, path+"-wal")
	requireKeys(t, openStore(t, path, api.WithLockTimeout(time.Second)), 1, 2)
}
