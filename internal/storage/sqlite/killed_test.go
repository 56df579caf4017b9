package sqlite

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"forge.lthn.ai/core/go-store/internal/storage/ownership"
	"forge.lthn.ai/core/go-store/internal/testkit/report"
	"forge.lthn.ai/core/go-store/kv"

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
	before, wal, lock := read(""), read(ownership.WALSuffix), read(ownership.LockSuffix)
	copy(lock, strings.Repeat("0", lockNumber)) // no process: readers would wait for this process
	pinned.Close()
	require.NoError(t, fileOf(d).Checkpoint())
	after := read("")
	require.NoError(t, d.Close())
	require.Less(t, len(before), len(after)/2)

	image := func(t *testing.T, database, wal []byte) string {
		t.Helper()
		path := filepath.Join(t.TempDir(), "killed.db")
		for suffix, content := range map[string][]byte{"": database, ownership.WALSuffix: wal, ownership.LockSuffix: lock} {
			require.NoError(t, os.WriteFile(path+suffix, content, 0o600))
		}
		return path
	}
	for n := 0; n <= len(after); n += filePageSize * report.Rounds(4, 1, 1) {
		database := append(after[:n:n], before[min(n, len(before)):]...)
		path := image(t, database, wal)
		_, err := Open(Config{Path: path, ReadOnly: true})
		require.ErrorIs(t, err, kv.UnrecoveredError, n)
		d, err := Open(Config{Path: path, Events: decodeLog})
		require.NoError(t, err, "%d pages were moved, of %d; the file had %d", n/filePageSize, len(after)/filePageSize, len(before)/filePageSize)
		require.Len(t, content0(t, d), 1000, n)
		require.Empty(t, check(t, d).Findings, n)
		require.NoError(t, d.Close())
	}
	// Where the first page says that the table of the store's identity lies, any other page may
	// have lain before, with rows that can be read as if they were that table's.
	meta := filePageSize * (metaPage(t, image(t, after, nil)) - 1)
	for n := filePageSize; n < len(after); n += filePageSize {
		database := slices.Clone(after)
		copy(database[meta:][:filePageSize], after[n:])
		d, err := Open(Config{Path: image(t, database, wal), Events: decodeLog})
		require.NoError(t, err, "page %d lay there", n/filePageSize+1)
		require.Len(t, content0(t, d), 1000, n)
		require.NoError(t, d.Close())
	}
}

// metaPage is the root of store_meta in the file itself.
func metaPage(t *testing.T, path string) int {
	t.Helper()
	conn, err := openStill(path)
	require.NoError(t, err)
	defer func() { require.NoError(t, conn.Close()) }()
	root, err := queryInt(conn, "SELECT rootpage FROM sqlite_schema WHERE name = 'store_meta'")
	require.NoError(t, err)
	return int(root)
}

// killedCopy is what lies in the files now, under another name, as if the process had
// been killed. The WAL comes first: a checkpoint may move it meanwhile.
func killedCopy(t *testing.T, path string) (killed string) {
	t.Helper()
	killed = filepath.Join(t.TempDir(), "killed.db")
	for _, suffix := range []string{ownership.WALSuffix, "", ownership.LockSuffix} {
		content, err := os.ReadFile(path + suffix)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(killed+suffix, content, 0o600))
	}
	return killed
}

// A revision that was rolled back is not acknowledged by a later commit that has none:
// the store that was killed then would open no more.
func TestKilledAfterACommitWithoutARevision(t *testing.T) {
	d := open(t, temporary(t))
	require.NoError(t, write(d, row("g", "k", "v")))
	w := d.Writer()
	require.NoError(t, w.Begin())
	require.NoError(t, w.AppendLog(kv.LogRow{First: 1, Last: 1, At: 1, Record: []byte("record")}, 6))
	require.NoError(t, w.Rollback())
	require.NoError(t, d.Writer().Probe())
	require.Len(t, content0(t, open(t, killedCopy(t, d.Path()))), 1)
}

// A reader keeps a compacted file from becoming smaller at once. When a checkpoint
// makes it so later, a kill behind that leaves a store that opens: it is shorter than
// it was when its stamp was made.
func TestKilledAfterItsFileHasShrunk(t *testing.T) {
	compacted := func(t *testing.T) (d *Database, let func()) {
		t.Helper()
		d = sparselyFilled(t)
		require.NoError(t, fileOf(d).Checkpoint())
		pinned, err := d.Snapshot(background)
		require.NoError(t, err)
		_, err = pinned.Count(background, everything, 0)
		require.NoError(t, err)
		_, err = d.Compact(background, nil)
		require.NoError(t, err)
		return d, pinned.Close
	}
	shrinks := func(t *testing.T, d *Database, before int64) {
		t.Helper()
		require.NoError(t, fileOf(d).Checkpoint())
		require.Less(t, ownership.Size(d.Path()), before/2)
		for range 3 { // the WAL begins anew
			require.NoError(t, write(d, row("kept", "another", "v")))
		}
		d = open(t, killedCopy(t, d.Path()))
		require.Len(t, content0(t, d), 1002)
		require.Empty(t, check(t, d).Findings)
		require.NoError(t, d.Close())
	}
	t.Run("by a later checkpoint", func(t *testing.T) {
		d, let := compacted(t)
		before := ownership.Size(d.Path())
		let()
		shrinks(t, d, before)
	})
	t.Run("by a checkpoint of the next owner, once a reader beside it has gone", func(t *testing.T) {
		d := sparselyFilled(t)
		require.NoError(t, fileOf(d).Checkpoint())
		beside := openWith(t, Config{Path: d.Path(), ReadOnly: true})
		pinned, err := beside.Snapshot(background)
		require.NoError(t, err)
		_, err = pinned.Count(background, everything, 0)
		require.NoError(t, err)
		_, err = d.Compact(background, nil)
		require.NoError(t, err)
		require.ErrorIs(t, d.Close(), kv.IncompleteFileError)
		before := ownership.Size(d.Path())
		d = open(t, d.Path())
		pinned.Close()
		require.NoError(t, beside.Close())
		shrinks(t, d, before)
		require.NoError(t, fileOf(d).guard.Check())
	})
	t.Run("by the next opening", func(t *testing.T) {
		d, let := compacted(t)
		defer let()
		path := killedCopy(t, d.Path())
		before := ownership.Size(path)
		shrinks(t, open(t, path), before)
	})
}
