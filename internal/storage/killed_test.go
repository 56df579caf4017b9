package storage

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// A checkpoint moves pages in their order, the first one first: that may name tables
// by then that lie on pages still to come. A kill between any two of them leaves a
// store that opens, with everything.
func TestKilledWithinACheckpoint(t *testing.T) {
	path := temporary(t)
	d := open(t, path)
	pinned, err := d.Snapshot(background) // keeps it all in the WAL
	require.NoError(t, err)
	_, err = pinned.Count(background, everything, 0)
	require.NoError(t, err)
	require.NoError(t, write(d, numbered("g", 500)...))
	_, err = d.Compact(background, nil) // the tables come to lie on other pages
	require.NoError(t, err)
	require.NoError(t, write(d, numbered("g", 1000)...))
	read := func(suffix string) []byte {
		content, err := os.ReadFile(path + suffix)
		require.NoError(t, err)
		return content
	}
	before, wal, lock := read(""), read(walSuffix), read(lockSuffix)
	pinned.Close()
	require.NoError(t, fileOf(d).Checkpoint())
	after := read("")
	require.NoError(t, d.Close())
	require.Less(t, len(before), len(after)/2)

	image := func(t *testing.T, database, wal []byte) string {
		t.Helper()
		path := filepath.Join(t.TempDir(), "killed.db")
		for suffix, content := range map[string][]byte{"": database, walSuffix: wal, lockSuffix: lock} {
			require.NoError(t, os.WriteFile(path+suffix, content, 0o600))
		}
		return path
	}
	for n := 0; n <= len(after); n += filePageSize {
		database := append(after[:n:n], before[min(n, len(before)):]...)
		d, err := Open(Config{Path: image(t, database, wal)})
		require.NoError(t, err, "%d pages were moved, of %d; the file had %d", n/filePageSize, len(after)/filePageSize, len(before)/filePageSize)
		require.Len(t, content0(t, d), 1000, n)
		require.Empty(t, check(t, d).Findings, n)
		require.NoError(t, d.Close())
	}
}
