package sqlite

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"

	"forge.lthn.ai/core/go-store/internal/storage/disk"
	"forge.lthn.ai/core/go-store/internal/storage/ownership"

	"zombiezen.com/go/sqlite"
)

// After an fsync has failed a kernel may take the pages that it could not write for
// clean: the next fsync answers that all is well, and they are on no disk
// (https://lwn.net/Articles/752063/). Of the database file that does no harm, since a
// checkpoint whose sync failed is made again from the beginning, and writes its pages
// again. The WAL is written once: a checkpoint that trusted it could overwrite the
// database's pages and leave, after a power cut, neither the old nor the new. So what
// is committed in it is read back, verified, and written again in its place, before
// anything else is committed or moved.

// noteSync remembers that a sync of the WAL, or one that may have been, has failed.
func (c *checkpoints) noteSync(err error) {
	if isSyncFault(err) {
		c.unsynced.Store(true)
	}
}

// errUnsynced keeps checkpoints away until the writer has written the WAL again.
var errUnsynced = errors.New("a sync of the WAL has failed, and it was not written again yet")

func isSyncFault(err error) bool {
	switch sqlite.ErrCode(err) {
	case sqlite.ResultIOErrFsync, sqlite.ResultIOErrDirFsync:
		return true
	default:
		return false
	}
}

// unsyncedError says that the WAL has lost pages that were committed.
type unsyncedError struct{ frames, whole int }

func (e *unsyncedError) Error() string {
	return fmt.Sprintf("after a failed sync %d of %d frames of the %s file can be read back: close the store and open it again, which keeps those",
		e.whole, e.frames, ownership.WALSuffix)
}

// resyncError says that the WAL could not be written again: by the system's own error,
// not one of SQLite's.
type resyncError struct{ cause error }

func (e *resyncError) Error() string { return "after a failed sync: " + e.cause.Error() }
func (e *resyncError) Unwrap() error { return e.cause }

// resync writes the committed frames again, under the write lock: no program appends, or
// begins the WAL anew, meanwhile. Call it between transactions.
func (w *fileWriter) resync() (err error) {
	c := w.checkpoints
	c.moving.Lock() // a checkpoint's sync would answer for pages that are not there yet
	defer c.moving.Unlock()
	frames, err := w.holdWAL()
	if err != nil {
		return err
	}
	if frames > 0 {
		err = rewriteWAL(w.file+ownership.WALSuffix, frames)
	}
	if err = errors.Join(err, w.rollbackSQL()); err != nil {
		return &resyncError{err}
	}
	c.unsynced.Store(false)
	w.logger.Info("a sync of the WAL had failed: it was verified, and written once more", "frames", frames)
	return nil
}

// holdWAL begins a transaction, so that no program appends to the WAL or begins it anew until
// Rollback, and says how many frames are committed in it. Call it between transactions.
func (w *fileWriter) holdWAL() (frames int, err error) {
	const tries = 16 // another program may commit between the count and the transaction
	for range tries {
		before, err := queryInt(w.conn, "PRAGMA data_version")
		if err != nil {
			return 0, err
		}
		wal, err := checkpoint(w.conn, "NOOP") // which a transaction does not permit
		if err != nil {
			return 0, err
		}
		if wal.busy || wal.pages < 0 {
			return 0, errUncounted
		}
		if err := run(w.begin); err != nil {
			return 0, err
		}
		if after, err := queryInt(w.conn, "PRAGMA data_version"); err == nil && after == before {
			return wal.pages, nil
		} else if err = errors.Join(err, run(w.rollback)); err != nil {
			return 0, err
		}
	}
	return 0, errUncounted
}

var errUncounted = errors.New("the WAL's frames can't be counted beside another program's commits")

// rewriteWAL verifies so many frames, writes them where they are, and syncs.
func rewriteWAL(path string, frames int) (err error) {
	file, err := ownership.OpenNoFollow(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	in := bufio.NewReaderSize(disk.Reader(file), 1<<20)
	header := make([]byte, walHeaderSize)
	if _, err := io.ReadFull(in, header); err != nil {
		return err
	}
	var w walContent
	pageSize, sum, ok := w.begin(header)
	if !ok {
		return &unsyncedError{frames, 0}
	}
	if _, err := disk.WriteAt(file, header, 0); err != nil {
		return err
	}
	frame, at := make([]byte, frameHeaderSize+pageSize), int64(walHeaderSize)
	for n := range frames {
		if _, err := io.ReadFull(in, frame); err != nil {
			return err
		}
		if !w.follows(frame, &sum) {
			return &unsyncedError{frames, n}
		}
		if _, err := disk.WriteAt(file, frame, at); err != nil {
			return err
		}
		at += int64(len(frame))
	}
	return disk.Sync(file)
}
