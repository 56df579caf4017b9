package api_test

import (
	"fmt"
	"os"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"forge.lthn.ai/core/go-store/api"
)

func TestPersistence(t *testing.T) {
	for name, options := range map[string][]api.Option{
		"synced":   nil,
		"buffered": {api.WithDurability(api.DurabilityBuffered)},
	} {
		t.Run(name, func(t *testing.T) {
			path := newPath(t)
			store := openStore(t, path, options...)
			for i := range 300 {
				require.NoError(t, store.Set("g"+strconv.Itoa(i%3), strconv.Itoa(i), fmt.Sprint("value ", i)))
			}
			require.NoError(t, store.Delete("g0", "0"))
			require.NoError(t, store.Close())
			store = openStore(t, path, options...)
			requireNotFound(t, store, "g0", "0")
			requireCount(t, store, "", 299)
			for i := 1; i < 300; i++ {
				requireValue(t, store, "g"+strconv.Itoa(i%3), strconv.Itoa(i), fmt.Sprint("value ", i))
			}
		})
	}
}

// A store in memory is its opener's alone, and gone when it closes.
func TestMemoryIsEphemeral(t *testing.T) {
	t.Chdir(t.TempDir())
	first, second := openStore(t, ":memory:"), openStore(t, ":memory:")
	require.NoError(t, first.Set("g", "k", "v"))
	requireNotFound(t, second, "g", "k")
	require.NoError(t, first.Close())
	requireNotFound(t, openStore(t, ":memory:"), "g", "k")
	entries, err := os.ReadDir(".")
	require.NoError(t, err)
	require.Empty(t, entries, "no file was made")
}

// Watchers are not kept: they are gone with the store that they were made on.
func TestWatchersAreNotPersisted(t *testing.T) {
	path := newPath(t)
	store := openStore(t, path)
	watcher := store.Watch("*", "*")
	require.NoError(t, store.Close())
	require.NoError(t, openStore(t, path).Set("g", "k", "v"))
	require.Empty(t, delivered(watcher))
}

// While a store has it the file is in WAL mode, so that others may read it.
func TestWALMode(t *testing.T) {
	path := newPath(t)
	owner := startChild(t, taskHold, path)
	require.Equal(t, "wal", query[string](t, path, `PRAGMA journal_mode`))
	owner.finish()
}

// A process that is killed loses nothing that it was told is written, and
// leaves no lock behind.
func TestKilledProcess(t *testing.T) {
	path := newPath(t)
	writer := startChild(t, taskWrite, path)
	for i := range 200 {
		require.Equal(t, strconv.Itoa(i), writer.line())
	}
	acknowledged := 200 + len(writer.kill())
	store := openStore(t, path)
	for i := range acknowledged {
		requireValue(t, store, childGroup, strconv.Itoa(i), strconv.Itoa(i))
	}
	count, err := store.Count(childGroup)
	require.NoError(t, err)
	require.LessOrEqual(t, count, acknowledged+1, "at most the write under way comes on top")
	require.NoError(t, store.Close())
	require.Equal(t, "ok", query[string](t, path, `PRAGMA integrity_check`))
}

// Many names lead to one file: a relative path, one with dots, a link.
func TestPathsOfOneFile(t *testing.T) {
	folder := t.TempDir()
	t.Chdir(folder)
	store := openStore(t, "store.db")
	require.NoError(t, store.Set("g", "k", "v"))
	require.NoError(t, os.Symlink("store.db", "link.db"))
	for _, path := range []string{folder + "/store.db", "./../" + folder[len(folder)-3:] + "/store.db", "link.db"} {
		_, err := api.New(path)
		var locked *api.LockedError
		require.ErrorAs(t, err, &locked, path)
		require.Equal(t, os.Getpid(), locked.PID)
	}
	require.NoError(t, store.Close())
	requireValue(t, openStore(t, "link.db"), "g", "k", "v")
}
