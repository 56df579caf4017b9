package sqlite

import (
	"os"
	"sync/atomic"
	"syscall"
	"testing"

	"forge.lthn.ai/core/go-store/internal/storage/faultfs"
	"forge.lthn.ai/core/go-store/internal/storage/ownership"
	"forge.lthn.ai/core/go-store/kv"

	"github.com/stretchr/testify/require"
)

// syncFails has one sync of the WAL fail, in a checkpoint of commits that no sync has
// followed.
func syncFails(t *testing.T) *Database {
	t.Helper()
	d := openWith(t, Config{Path: temporary(t), Durability: kv.DurabilityBuffered})
	require.NoError(t, write(d, numbered("g", 200)...))
	var failed atomic.Bool
	heal := faultfs.Inject(t, func(o faultfs.Operation) error {
		if o.Call == "sync" && o.Kind == "wal" && failed.CompareAndSwap(false, true) {
			return syscall.EIO
		}
		return nil
	})
	require.Error(t, fileOf(d).Checkpoint())
	heal()
	require.True(t, failed.Load())
	return d
}

// After a sync has failed its pages may be on no disk, though the next sync answers
// that they are: nothing relies on the WAL before all of it was written again.
func TestNothingIsTrustedAfterAFailedSync(t *testing.T) {
	d := syncFails(t)
	var moved, rewritten atomic.Int64
	observe := func(o faultfs.Operation) error {
		switch {
		case o.Call == "write" && o.Kind == "database":
			moved.Add(1)
		case o.Call == "disk.write" && o.Kind == "wal":
			rewritten.Add(o.Size)
		}
		return nil
	}
	faultfs.Inject(t, observe)
	require.ErrorIs(t, fileOf(d).Checkpoint(), errUnsynced)
	require.Zero(t, moved.Load())
	info, err := os.Stat(d.Path() + ownership.WALSuffix)
	require.NoError(t, err)
	require.NoError(t, write(d, row("g", "after", "v")))
	require.Equal(t, info.Size(), rewritten.Load())
	require.NoError(t, fileOf(d).Checkpoint())
	require.NotZero(t, moved.Load())
	requireHealthy(t, d, 201)
}

// rewrites counts the bytes that are written to the WAL again.
func rewrites(t *testing.T) *atomic.Int64 {
	t.Helper()
	var bytes atomic.Int64
	faultfs.Inject(t, func(o faultfs.Operation) error {
		if o.Call == "disk.write" && o.Kind == "wal" {
			bytes.Add(o.Size)
		}
		return nil
	})
	return &bytes
}

// What Close moves into the file it does not trust either.
func TestCloseAfterAFailedSync(t *testing.T) {
	d := syncFails(t)
	rewritten := rewrites(t)
	require.NoError(t, d.Close())
	require.NotZero(t, rewritten.Load())
	require.Equal(t, []string{"200"}, query(t, d.Path(), "SELECT count(*) FROM entries"))
}

// The pages have been lost indeed: nothing more is written, and the next opening has
// what comes before them.
func TestPagesLostByAFailedSync(t *testing.T) {
	d := openWith(t, Config{Path: temporary(t), Durability: kv.DurabilityBuffered})
	require.NoError(t, write(d, numbered("g", 20)...))
	info, err := os.Stat(d.Path() + ownership.WALSuffix)
	require.NoError(t, err)
	kept := info.Size()
	require.NoError(t, write(d, numbered("h", 200)...))
	failed := faultfs.Inject(t, faultfs.Failing("sync", "wal", syscall.EIO))
	require.Error(t, fileOf(d).Checkpoint())
	failed()
	file, err := os.OpenFile(d.Path()+ownership.WALSuffix, os.O_RDWR, 0)
	require.NoError(t, err)
	_, err = file.WriteAt(make([]byte, filePageSize), kept+frameHeaderSize)
	require.NoError(t, err)
	require.NoError(t, file.Close())

	err = write(d, row("g", "after", "v"))
	var unsynced *unsyncedError
	require.ErrorAs(t, err, &unsynced)
	require.ErrorContains(t, err, "close the store and open it again")
	require.True(t, isWriteFault(err))
	require.ErrorAs(t, d.Close(), &unsynced)

	d = open(t, d.Path())
	requireHealthy(t, d, 20)
}

// That the WAL can't be written again is a fault of the disk like any other: the store is
// degraded, and tries again with its pauses.
func TestAFailedResyncIsAWriteFault(t *testing.T) {
	for _, call := range []string{"disk.open", "disk.read", "disk.write", "disk.sync"} {
		t.Run(call, func(t *testing.T) {
			d := syncFails(t)
			met := false
			heal := faultfs.Inject(t, func(o faultfs.Operation) error {
				if o.Call == call && o.Kind == "wal" && fileOf(d).checkpoints.unsynced.Load() {
					met = true
					return syscall.EIO
				}
				return nil
			})
			err := d.Writer().Begin()
			require.Error(t, err)
			require.True(t, met)
			require.True(t, isWriteFault(err), err)
			heal()
			require.NoError(t, write(d, row("g", "after", "v")))
		})
	}
}

// A store that is opened moves what it found in the WAL: if that sync fails, the WAL is
// not to be trusted from the beginning.
func TestASyncThatFailsWhileOpening(t *testing.T) {
	path, syncs := temporary(t), 0
	heal := faultfs.Inject(t, func(o faultfs.Operation) error {
		if o.Call == "sync" && o.Kind == "wal" {
			if syncs++; syncs > 1 { // the first is of the WAL's header
				return syscall.EIO
			}
		}
		return nil
	})
	d := openWith(t, Config{Path: path, Durability: kv.DurabilityBuffered})
	heal()
	require.Greater(t, syncs, 1)
	require.ErrorIs(t, fileOf(d).Checkpoint(), errUnsynced)
	require.NoError(t, write(d, row("g", "k", "v")))
	require.NoError(t, fileOf(d).Checkpoint())
	requireHealthy(t, d, 1)
}

// A compaction commits and moves too.
func TestCompactAfterAFailedSync(t *testing.T) {
	d := syncFails(t)
	rewritten := rewrites(t)
	_, err := d.Compact(background, nil)
	require.NoError(t, err)
	require.NotZero(t, rewritten.Load())
	require.NoError(t, fileOf(d).Checkpoint())
	requireHealthy(t, d, 200)
}
