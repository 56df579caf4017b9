package sqlite

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"syscall"

	"forge.lthn.ai/core/go-store/internal/storage"
	"forge.lthn.ai/core/go-store/internal/storage/disk"
	"forge.lthn.ai/core/go-store/internal/storage/ownership"
	"forge.lthn.ai/core/go-store/kv"

	"zombiezen.com/go/sqlite"
)

// compactStep is how many pages are put back between two looks at the context.
const compactStep = 256

// Compact gives the space of what was removed back to the file system. The
// writer's owner calls it, between transactions: nothing else may write
// meanwhile. Reads go on, and see what they saw.
//
// SQLite's VACUUM would do, but it can't be ended safely on this connection, says
// nothing of its progress, and keeps the whole new database in memory, or in a
// temporary folder that is of another size and privacy. So the new one is made
// beside the file, by a connection that only reads, and then put in the old one's
// place within one transaction, page by page: until COMMIT nothing has happened.
//
// It takes the size of the new database twice: in that file, and in the WAL.
func (d *Database) Compact(ctx context.Context, progress storage.Progress) (sizes kv.Compaction, err error) {
	ctx, leave, err := d.Operation(ctx)
	if err != nil {
		return sizes, err
	}
	defer leave()
	w, ok := d.writer.(*fileWriter)
	switch {
	case d.writer == nil:
		return sizes, kv.ReadOnlyError
	case !ok: // memory gives everything back by itself
		return sizes, nil
	case w.conn == nil:
		return sizes, kv.ClosedError
	}
	if err := w.prepareToCompact(d); err != nil {
		return sizes, operationError(ctx, compactError(err))
	}
	if sizes.Before, err = w.bytes(); err != nil {
		return sizes, err
	}
	if err := w.compact(ctx, d, sizes.Before, progress); err != nil {
		return sizes, operationError(ctx, compactError(err))
	}
	if sizes.After, err = w.bytes(); err != nil {
		return sizes, err
	}
	return sizes, nil
}

// compactError says what the store is after an error, and what can be done about a disk.
func compactError(err error) error {
	var call *fs.PathError // of what is made beside the file
	switch {
	case errors.As(err, &call) && call.Op != "read" || isWriteFault(err):
	default:
		return fmt.Errorf("the database is as it was: %w", err)
	}
	todo := "look at the disk"
	if code(err) == sqlite.ResultFull || errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		todo = "make room for the compacted one twice, beside it"
	}
	return fmt.Errorf("%w, and the database is as it was; %s: %w", kv.DegradedError, todo, err)
}

// bytes is how large the database is.
func (w *fileWriter) bytes() (int64, error) {
	size, count, err := pageShape(w.conn)
	return size * count, err
}

// prepareToCompact has the table of entries have all that is committed, which may make it
// larger: only then is there a size to be compared with.
func (w *fileWriter) prepareToCompact(d *Database) error {
	ownership.RemoveLeftovers(d.path, "compacting")
	if err := w.guard.Last(); err != nil {
		return err
	}
	if err := w.ready(); err != nil {
		return err
	}
	if w.over != nil && !w.over.Empty() {
		w.comesTo("compact")
	}
	return w.foldTail()
}

func (w *fileWriter) compact(ctx context.Context, d *Database, before int64, progress storage.Progress) error {
	folder, err := disk.MkdirTemp(filepath.Dir(d.path), "."+ownership.ShortBase(d.path)+"-*.compacting") // of mode 0700
	if err != nil {
		return err
	}
	defer func() { _ = disk.RemoveAll(folder) }()
	// Until the file has become smaller no reader may take it for cut off.
	loose := w.present()
	loose.pages = 0
	if err := w.setStamp(loose); err != nil {
		return err
	}
	path := filepath.Join(folder, "new")
	made := int64(0) // one way may be given up for another one, which begins anew
	if err := d.compactInto(ctx, path, func(done, total int64) {
		made = max(made, int64(float64(before/2)*float64(done)/float64(total)))
		progress.Report(made, before)
	}); err != nil {
		return err
	}
	progress.Report(before/2, before)
	// A checkpoint may come to it as soon as it is committed, which it may be though an
	// error says that it has ended early.
	w.guard.Shrinks()
	if err := w.replaceWith(ctx, path, before, progress); err != nil {
		return err
	}
	// Only now does the file become smaller. A reader that is in the way puts it
	// off to one of the next checkpoints.
	c := w.checkpoints
	c.moving.Lock()
	defer c.moving.Unlock()
	w.conn.SetBusyTimeout(tailWait)
	defer w.conn.SetBusyTimeout(busyTimeout)
	if _, err := c.attempt(w.conn, "TRUNCATE", tailWait); err != nil && code(err) != sqlite.ResultBusy {
		c.report(err)
	}
	w.guard.Committed(true)
	c.dirty.Store(true)
	c.signal()
	// The WAL may be empty by now, where a crash would leave nothing that says that
	// none is missing.
	if err := w.setStamp(w.present()); err != nil {
		w.logger.Warn("the compacted file is not stamped; the next transaction does it", "error", err)
	}
	w.guard.Committed(true)
	progress.Report(before, before)
	return nil
}

// replaceWith makes the database what another file holds, or leaves it as it is.
func (w *fileWriter) replaceWith(ctx context.Context, path string, before int64, progress storage.Progress) (err error) {
	from, err := openCopy(path, nil)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, from.Close()) }()
	backup, err := sqlite.NewBackup(w.conn, "main", from, "main")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, backup.Close()) }() // rolls back what is not complete
	for more := true; more; {
		if err := errors.Join(storage.ContextError(ctx), w.guard.Check()); err != nil {
			return err
		}
		err := w.views.committing(func() (err error) { // the last step does
			more, err = backup.Step(compactStep)
			return err
		})
		if err != nil {
			w.checkpoints.noteSync(err)
			return err
		}
		if total := backup.PageCount(); total > 0 {
			progress.Report(before/2+(before-before/2)*int64(total-backup.Remaining())/int64(total)*9/10, before)
		}
	}
	return nil
}
