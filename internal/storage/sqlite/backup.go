package sqlite

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime"

	"forge.lthn.ai/core/go-store/internal/storage"
	"forge.lthn.ai/core/go-store/internal/storage/disk"
	"forge.lthn.ai/core/go-store/internal/storage/memory"
	"forge.lthn.ai/core/go-store/internal/storage/ownership"
	"forge.lthn.ai/core/go-store/kv"

	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"
)

const (
	// copyChunk is how much of a copy is written at a time.
	copyChunk = 1 << 20
	// writeBackBytes is how much of a copy waits to be written by the disk: one
	// large sync at the end would keep the writers' own syncs waiting.
	writeBackBytes = 8 << 20
)

// sqlPages is every page of the database, as the read transaction sees it. SQLite's
// backup API would serve as well, but has a second connection and its page cache
// write the copy, page by page.
const sqlPages = `SELECT data FROM sqlite_dbpage`

// Backup copies what is committed now to a file, which is complete when it takes
// its name, and in rollback mode: one file, without others beside it. A file
// that is there already is replaced if it is a database of ours that no process owns
// and that has no WAL beside it; it keeps its mode and owner, a new one has the
// source's mode.
//
// Writers go on meanwhile; what they commit stays in the WAL until the end.
//
// Errors: kv.InvalidTargetError, kv.NotADatabaseError, *kv.LockedError,
// kv.DamagedError, kv.ClosedError, the context's, and those of the disk.
func (d *Database) Backup(ctx context.Context, path string, progress storage.Progress) error {
	ctx, leave, err := d.Operation(ctx)
	if err != nil {
		return err
	}
	defer leave()
	t, err := ownership.Claim(path, d.path, backupTerms())
	if err != nil {
		return err
	}
	defer t.Discard()
	if err := d.copyTo(ctx, t, progress); err != nil {
		return operationError(ctx, err)
	}
	mode, err := d.mode()
	if err != nil {
		return err
	}
	if err := storage.ContextError(ctx); err != nil {
		return operationError(ctx, err)
	}
	return t.Publish(mode)
}

// mode is that of the file.
func (d *Database) mode() (fs.FileMode, error) {
	if d.path == storage.MemoryPath {
		return 0o600, nil
	}
	info, err := disk.Stat(d.path)
	if err != nil {
		return 0, err
	}
	return info.Mode().Perm(), nil
}

// copyTo writes a whole, verified copy under the target's temporary name.
func (d *Database) copyTo(ctx context.Context, t *ownership.Target, progress storage.Progress) error {
	if m, ok := d.reads.(*memory.Store); ok {
		if err := d.copyMemory(ctx, m, t.Temp, progress); err != nil {
			return err
		}
	} else if err := d.readAside(ctx, func(conn *sqlite.Conn) error {
		return copyPages(ctx, conn, t.Temp, progress)
	}); err != nil {
		return err
	}
	return finishCopy(ctx, t.Temp, d.events)
}

// copyPages writes every page that the connection sees to a file that is there.
func copyPages(ctx context.Context, conn *sqlite.Conn, path string, progress storage.Progress) (err error) {
	size, count, err := pageShape(conn)
	if err != nil {
		return err
	}
	file, err := disk.OpenFile(path, os.O_WRONLY|os.O_TRUNC, 0)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	to := &pageWriter{file: file, size: int(size), buffer: make([]byte, 0, copyChunk+int(size))}
	err = sqlitex.ExecuteTransient(conn, sqlPages, &sqlitex.ExecOptions{ResultFunc: func(stmt *sqlite.Stmt) error {
		if err := to.add(stmt); err != nil {
			return err
		}
		if len(to.buffer) < copyChunk {
			return nil
		}
		if err := to.flush(); err != nil {
			return err
		}
		progress.Report(to.written, size*count)
		runtime.Gosched() // the writers' turn
		return storage.ContextError(ctx)
	}})
	if err != nil {
		return err
	}
	if err := to.flush(); err != nil {
		return err
	}
	if to.written != size*count {
		return damaged(path, fmt.Errorf("%d of %d bytes could be read", to.written, size*count))
	}
	progress.Report(size*count, size*count)
	return disk.Sync(file)
}

// pageWriter writes pages, some at a time.
type pageWriter struct {
	file    *os.File
	size    int
	buffer  []byte
	written int64
	begun   int64 // up to here the disk has been told to write
	waited  int64 // up to here it has written
}

func (w *pageWriter) add(stmt *sqlite.Stmt) error {
	if stmt.ColumnLen(0) != w.size {
		return fmt.Errorf("a page of %d bytes instead of %d", stmt.ColumnLen(0), w.size)
	}
	n := len(w.buffer)
	w.buffer = w.buffer[:n+w.size]
	stmt.ColumnBytes(0, w.buffer[n:])
	if w.written == 0 && n == 0 {
		leaveWALMode(w.buffer)
	}
	return nil
}

func (w *pageWriter) flush() error {
	n, err := disk.WriteAt(w.file, w.buffer, w.written)
	w.written += int64(n)
	w.buffer = w.buffer[:0]
	if err == nil && w.written-w.begun >= writeBackBytes {
		writeBack(w.file, w.waited, w.begun, w.written)
		w.waited, w.begun = w.begun, w.written
	}
	return err
}

// leaveWALMode changes the first page so that the file is whole by itself: what
// was in a WAL is in the copy.
func leaveWALMode(page []byte) { page[18], page[19] = 1, 1 }

// finishCopy makes a copy one plain file: its table has what its log has, and it has a
// generation of its own. It verifies it.
func finishCopy(ctx context.Context, path string, events func(kv.LogRow) ([]kv.Event, error)) (err error) {
	conn, err := openCopy(path, ctx.Done())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	if err := foldCopy(conn, events); err != nil {
		return damaged(path, err)
	}
	if err := freshStamp(conn); err != nil {
		return damaged(path, err)
	}
	findings, err := integrity(conn, "quick_check", 10)
	if err != nil {
		return err
	}
	if len(findings) > 0 {
		return damaged(path, errors.New(findings[0].Text))
	}
	return nil
}

// openCopy opens a file that no other program knows of yet: it is gone if anything fails,
// so that nothing has to be rolled back or synced on the way.
func openCopy(path string, done <-chan struct{}) (*sqlite.Conn, error) {
	settings := []string{
		"PRAGMA temp_store = MEMORY",
		"PRAGMA locking_mode = EXCLUSIVE", "PRAGMA journal_mode = MEMORY", "PRAGMA synchronous = OFF",
		fmt.Sprintf("PRAGMA cache_size = -%d", readerCacheKiB),
	}
	return openConnection(path, sqlite.OpenReadWrite, settings, done)
}

// copyMemory writes a database that has no file as one.
func (d *Database) copyMemory(ctx context.Context, m *memory.Store, path string, progress storage.Progress) (err error) {
	contents, release, err := m.Contents(ctx)
	if err != nil {
		return err
	}
	defer release()
	b, err := buildDatabase(path, d.uuid, ctx.Done())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.close()) }()
	total, done := 0, 0
	contents.Rows(func(row *kv.Row) bool {
		total += storage.RowSize(row)
		return true
	})
	contents.Rows(func(row *kv.Row) bool {
		done += storage.RowSize(row)
		if err = b.put(b.insert, *row); err == nil && b.rows%firstChunkRows == 0 {
			progress.Report(int64(done), int64(total))
			err = storage.ContextError(ctx)
		}
		return err == nil
	})
	if err != nil {
		return err
	}
	if err := contents.Log(b.log); err != nil {
		return err
	}
	return b.commit(contents.Base())
}
