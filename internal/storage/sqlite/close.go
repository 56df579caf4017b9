package sqlite

import (
	"errors"
	"fmt"
	"math"
	"time"

	"forge.lthn.ai/core/go-store/internal/storage/ownership"
	"forge.lthn.ai/core/go-store/kv"

	"zombiezen.com/go/sqlite"
)

// never is a number of checkpoints that is not reached: the next transaction gets a
// stamp.
const never = math.MaxUint64

const (
	// leaveTime is how long Close tries to leave WAL mode: readers of other
	// processes come and go, each for a moment.
	leaveTime  = 250 * time.Millisecond
	leavePause = 5 * time.Millisecond
	// emptyTime is how long it then waits for readers that stay to let it move
	// everything.
	emptyTime = 2 * time.Second
)

// enter marks the database as in use, in a WAL that names it, and has the mark moved
// into the file before anything is acknowledged: a copy without the WAL shows what it
// is.
func (w *fileWriter) enter() (err error) {
	pageSize, count, err := pageShape(w.conn)
	if err != nil {
		return err
	}
	vacuum, err := queryInt(w.conn, "PRAGMA auto_vacuum")
	if err != nil {
		return err
	}
	w.pageSize, w.entered = pageSize, true
	if vacuum != 0 || count*pageSize < ownership.Size(w.file) { // or an owner before has compacted it, in the WAL
		w.guard.Shrinks()
	}
	last, err := lastRevision(w.conn)
	if err != nil {
		return err
	}
	if err := w.lock.Adopt(last); err != nil {
		return fmt.Errorf("lock file: %w", err)
	}
	if err := w.setStamp(w.present()); err != nil {
		return err
	}
	if err := w.guard.Watch("", ownership.WALSuffix, ownership.SHMSuffix, ownership.LockSuffix); err != nil {
		return err
	}
	if err := w.guard.WatchWAL(frameHeaderSize+w.pageSize, w.walFrames); err != nil {
		return err
	}
	if err := w.inode.Protect(w.file); err != nil {
		w.logger.Warn("the file can't be protected from other programs", "path", w.file, "error", err)
	}
	w.lock.Share()
	wal, err := w.synced.checkpoint(w.conn, "PASSIVE")
	if w.unsynced = isSyncFault(err); w.unsynced {
		w.logger.Warn("the file is not marked as in use yet: a sync has failed", "path", w.file, "error", err)
	} else if err != nil || wal.rest() > 0 {
		w.logger.Info("the file is not marked as in use yet: another program is reading it", "path", w.file, "error", err)
	}
	return nil
}

// walFrames is how many frames are committed in the WAL.
func (w *fileWriter) walFrames() int {
	wal, err := checkpoint(w.conn, "NOOP")
	if err != nil {
		return 0
	}
	return max(wal.pages, 0)
}

// setStamp commits a stamp.
func (w *fileWriter) setStamp(s stamp) error {
	if err := execute(w.conn, "BEGIN IMMEDIATE"); err != nil {
		return err
	}
	err := replaceStamp(w.conn, s)
	if err == nil {
		err = w.views.committing(func() error { return execute(w.conn, "COMMIT") })
	}
	if err != nil && w.checkpoints != nil {
		w.checkpoints.noteSync(err)
	}
	if err != nil && !w.conn.AutocommitEnabled() {
		err = errors.Join(err, execute(w.conn, "ROLLBACK"))
	}
	return err
}

// closeIfLost closes the connection of a store that has lost its file, before the
// readers': while those are connected SQLite neither moves the WAL nor removes by
// name what lies in its place.
func (w *fileWriter) closeIfLost() error {
	w.stopArranging()
	if w.conn == nil {
		return nil
	}
	if w.guard.Last() == nil {
		if w.over != nil && w.Rollback() == nil {
			if !w.over.Empty() {
				w.comesTo("close")
			}
			// While there are views they tell where rows lie. What fails is tried again, and
			// told, by close.
			_ = w.foldTail()
		}
		return nil
	}
	err := errors.Join(w.guard.Err(), w.Rollback(), w.conn.Close())
	w.conn = nil
	return err
}

// close ends the connection. After a store that was opened whole the file is
// complete and, unless a foreign reader is in it, in rollback mode, so that any
// program can read it, from any medium.
func (w *fileWriter) close() error {
	if w.conn == nil {
		return nil
	}
	var err error
	if w.entered {
		if err = errors.Join(w.Rollback(), w.leave()); err == nil {
			w.left()
		}
	}
	err = errors.Join(err, w.conn.Close())
	w.conn = nil
	return err
}

// leave moves everything into the file and marks it as complete. While that has not
// succeeded the file stays protected: then no program, and not SQLite on its own either,
// removes a WAL that the file needs.
func (w *fileWriter) leave() error {
	stays := func(err error) error {
		return fmt.Errorf("what was committed stays in the %s file: %w", ownership.WALSuffix, errors.Join(err, w.inode.Protect(w.file)))
	}
	if w.checkpoints != nil { // nil: opening failed before
		if err := w.ready(); err != nil {
			return stays(err)
		}
	}
	if err := w.foldTail(); err != nil {
		return stays(err)
	}
	// The checkpoint that follows syncs.
	if err := execute(w.conn, "PRAGMA synchronous = NORMAL"); err != nil {
		return err
	}
	if err := w.setStamp(stamp{}); err != nil {
		return fmt.Errorf("what was committed stays in the %s file: %w", ownership.WALSuffix, err)
	}
	// Leaving WAL mode is a transaction with a journal: see openOwned.
	if err := execute(w.conn, "PRAGMA synchronous = FULL"); err != nil {
		return err
	}
	if err := w.inode.Expose(); err != nil {
		return err
	}
	w.conn.SetBusyTimeout(0)
	for began := time.Now(); ; time.Sleep(leavePause) {
		if lost := w.guard.Last(); lost != nil {
			return stays(lost)
		}
		mode, err := queryText(w.conn, "PRAGMA journal_mode = DELETE")
		if err == nil && mode == "delete" {
			return nil
		}
		if err != nil && code(err) != sqlite.ResultBusy && code(err) != sqlite.ResultLocked {
			return stays(err)
		}
		if time.Since(began) > leaveTime {
			break
		}
		// SQLite may have removed the WAL before it met a reader, which has made another.
		if err := w.guard.Watch(ownership.WALSuffix, ownership.SHMSuffix); err != nil {
			return stays(err)
		}
	}
	w.conn.SetBusyTimeout(emptyTime)
	wal, err := checkpoint(w.conn, "TRUNCATE")
	if err != nil && code(err) != sqlite.ResultBusy {
		return stays(err)
	}
	if err != nil || wal.rest() > 0 {
		return stays(fmt.Errorf("another process reads what was committed before: close it, and open the store once more; until then keep %s and %s%s together: %w",
			w.file, w.file, ownership.WALSuffix, kv.IncompleteFileError))
	}
	w.logger.Info("the database stays in WAL mode, complete: another program is reading it", "path", w.file)
	return nil
}
