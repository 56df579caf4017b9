package sqlite

import (
	"context"
	"fmt"
	"path/filepath"
	"syscall"
	"testing"

	"forge.lthn.ai/core/go-store/internal/storage"
	"forge.lthn.ai/core/go-store/internal/storage/faultfs"
	"forge.lthn.ai/core/go-store/internal/storage/ownership"
	"forge.lthn.ai/core/go-store/kv"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"zombiezen.com/go/sqlite"
)

// sparsely filled: most of what was written is removed again.
func sparselyFilled(t *testing.T) *Database {
	t.Helper()
	d := open(t, temporary(t))
	logged(t, d, numbered("gone", 20_000)...)
	logged(t, d, numbered("kept", 1000)...)
	logged(t, d, mortal("kept", "mortal", 42))
	w := d.Writer()
	require.NoError(t, w.Begin())
	_, err := w.DeleteGroup("gone")
	require.NoError(t, err)
	require.NoError(t, w.Commit())
	return d
}

func content0(t *testing.T, d *Database) (rows []kv.Row) {
	t.Helper()
	for row, err := range d.Reads().Scan(background, storage.Query{Groups: everything, Keys: storage.AllKeys}, -1) {
		require.NoError(t, err)
		rows = append(rows, row)
	}
	return rows
}

func TestCompact(t *testing.T) {
	d := sparselyFilled(t)
	where, _, err := d.Reads().Get(background, "kept", "000500") // its rowid is remembered
	require.NoError(t, err)
	pinned, err := d.Snapshot(background)
	require.NoError(t, err)
	defer pinned.Close()
	before, extent := content0(t, d), extentOf(t, d)

	var last int64
	sizes, err := d.Compact(background, func(done, total int64) {
		assert.LessOrEqual(t, last, done)
		assert.LessOrEqual(t, done, total)
		last = done
	})
	require.NoError(t, err)
	assert.Equal(t, sizes.Before, last)
	assert.Less(t, sizes.After, sizes.Before/4)
	assert.Equal(t, before, content0(t, d))
	assert.Equal(t, extent, extentOf(t, d))
	got, found, err := d.Reads().Get(background, "kept", "000500")
	require.NoError(t, err)
	assert.True(t, found)
	assert.Equal(t, where, got)
	n, err := pinned.Count(background, everything, -1)
	require.NoError(t, err, "a snapshot is what it was")
	assert.Equal(t, len(before), n)
	pinned.Close()

	for i := range 1100 {
		key := fmt.Sprintf("%06d", i)
		_, found, err := d.Reads().Get(background, "kept", key)
		require.NoError(t, err)
		assert.Equal(t, i < 1000, found, key)
	}
	logged(t, d, row("kept", "after", "v"))
	require.NoError(t, d.Writer().(*fileWriter).Checkpoint())
	assert.Empty(t, check(t, d).Findings)
	require.NoError(t, d.Close())
	assert.LessOrEqual(t, ownership.Size(d.Path()), sizes.After+filePageSize)
	assert.ElementsMatch(t, []string{"store.db", "store.db-lock"}, names(t, filepath.Dir(d.Path())))
}

func extentOf(t testing.TB, d *Database) storage.LogExtent {
	t.Helper()
	extent, err := d.Reads().LogExtent(background)
	require.NoError(t, err)
	return extent
}

// Whatever ends it early, at any moment, leaves the store as it was and working.
func TestCompactThatEndsEarly(t *testing.T) {
	for name, c := range map[string]func(t *testing.T, d *Database) error{
		"before it begins": func(t *testing.T, d *Database) error {
			ctx, cancel := context.WithCancel(background)
			cancel()
			_, err := d.Compact(ctx, nil)
			return err
		},
		"half-way": func(t *testing.T, d *Database) error {
			ctx, cancel := context.WithCancel(background)
			_, err := d.Compact(ctx, func(int64, int64) { cancel() })
			return err
		},
		"no room for the new file": func(t *testing.T, d *Database) error {
			defer faultfs.Inject(t, faultfs.Failing("write", "partial", faultfs.Code(sqlite.ResultFull)))()
			_, err := d.Compact(background, nil)
			return err
		},
		"no room for the WAL": func(t *testing.T, d *Database) error {
			defer faultfs.Inject(t, faultfs.Failing("write", "wal", faultfs.Code(sqlite.ResultFull)))()
			_, err := d.Compact(background, nil)
			return err
		},
		"a bad disk": func(t *testing.T, d *Database) error {
			defer faultfs.Inject(t, faultfs.Failing("sync", "wal", faultfs.Code(sqlite.ResultIOErrFsync)))()
			_, err := d.Compact(background, nil)
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			d := sparselyFilled(t)
			before := content0(t, d)
			require.Error(t, c(t, d))
			assert.Equal(t, before, content0(t, d))
			logged(t, d, row("kept", "after", "v"))
			assert.Empty(t, check(t, d).Findings)
			_, err := d.Compact(background, nil)
			require.NoError(t, err)
			require.NoError(t, d.Close())
			assert.ElementsMatch(t, []string{"store.db", "store.db-lock"}, names(t, filepath.Dir(d.Path())))
		})
	}
}

// A disk that is full or fails is named as it is by other writes, with what to do.
func TestCompactNamesTheDisksFaults(t *testing.T) {
	d := sparselyFilled(t)
	for name, c := range map[string]struct {
		fault faultfs.Fault
		todo  string
	}{
		"no room for the folder":      {faultfs.Failing("disk.mkdir", "", syscall.ENOSPC), "make room"},
		"no room for the new file":    {faultfs.Failing("write", "partial", syscall.ENOSPC), "make room"},
		"no room in the quota":        {faultfs.Failing("disk.mkdir", "", syscall.EDQUOT), "make room"},
		"the new file can't be made":  {faultfs.Failing("write", "partial", syscall.EIO), "look at the disk"},
		"no room for the WAL":         {faultfs.Failing("write", "wal", syscall.ENOSPC), "make room"},
		"the WAL can't be written to": {faultfs.Failing("write", "wal", syscall.EIO), "look at the disk"},
		"the WAL can't be synced":     {faultfs.Failing("sync", "wal", syscall.EIO), "look at the disk"},
		"a read-only disk":            {faultfs.Failing("disk.mkdir", "", syscall.EROFS), "look at the disk"},
	} {
		before := content0(t, d)
		heal := faultfs.Inject(t, c.fault)
		_, err := d.Compact(background, nil)
		heal()
		require.ErrorIs(t, err, kv.DegradedError, name)
		require.ErrorContains(t, err, "the database is as it was; "+c.todo, name)
		require.Equal(t, before, content0(t, d), name)
		logged(t, d, row("kept", "after", name))
	}
	ctx, cancel := context.WithCancel(background)
	cancel()
	_, err := d.Compact(ctx, nil)
	require.NotErrorIs(t, err, kv.DegradedError)
	_, err = d.Compact(background, nil)
	require.NoError(t, err)
}

func TestCompactElsewhere(t *testing.T) {
	d := open(t, storage.MemoryPath)
	sizes, err := d.Compact(background, nil)
	require.NoError(t, err)
	assert.Zero(t, sizes)
	path := temporary(t)
	require.NoError(t, open(t, path).Close())
	_, err = openWith(t, Config{Path: path, ReadOnly: true}).Compact(background, nil)
	require.ErrorIs(t, err, kv.ReadOnlyError)
	d = open(t, path)
	require.NoError(t, d.Close())
	_, err = d.Compact(background, nil)
	require.ErrorIs(t, err, kv.ClosedError)
}
