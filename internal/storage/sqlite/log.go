package sqlite

import (
	"context"
	"errors"
	"fmt"
	"math"

	"forge.lthn.ai/core/go-store/internal/planted"
	"forge.lthn.ai/core/go-store/internal/storage"
	"forge.lthn.ai/core/go-store/internal/storage/overlay"
	"forge.lthn.ai/core/go-store/kv"

	"zombiezen.com/go/sqlite"
)

// AppendLog adds the open transaction's row to the log.
func (w *fileWriter) AppendLog(row kv.LogRow, end int64) error {
	if err := w.writable(); err != nil {
		return err
	}
	stmt := w.appendLog
	stmt.BindInt64(1, int64(row.Last))
	stmt.BindInt64(2, int64(row.First))
	stmt.BindInt64(3, row.At)
	stmt.BindInt64(4, end)
	stmt.BindBytes(5, row.Record)
	if err := run(stmt); err != nil {
		return err
	}
	w.last = row.Last
	w.logged += int64(len(row.Record))
	w.checkpoints.wrote(0, filePageSize+len(row.Record)) // a page has more than one row, and is written with each
	return nil
}

// ReadLog is the rows from a revision on, as the open transaction sees them.
func (w *fileWriter) ReadLog(from uint64, bytes int) ([]kv.LogRow, error) {
	if w.conn == nil {
		return nil, kv.ClosedError
	}
	return readLog(w.readLog, from, bytes)
}

func readLog(stmt *sqlite.Stmt, from uint64, bytes int) (rows []kv.LogRow, err error) {
	stmt.BindInt64(1, int64(from))
	for bytes > 0 {
		found, err := stmt.Step()
		if err != nil {
			return nil, err
		}
		if !found {
			break
		}
		row := kv.LogRow{
			Last: uint64(stmt.ColumnInt64(0)), First: uint64(stmt.ColumnInt64(1)), At: stmt.ColumnInt64(2),
			Record: make([]byte, stmt.ColumnLen(3)),
		}
		stmt.ColumnBytes(3, row.Record)
		rows = append(rows, row)
		bytes -= len(row.Record)
	}
	return rows, stmt.Reset()
}

// OldestLog is the oldest rows of the log without their records.
func (w *fileWriter) OldestLog(rows int) (marks []storage.LogMark, err error) {
	if w.conn == nil {
		return nil, kv.ClosedError
	}
	stmt := w.oldestLog
	stmt.BindInt64(1, int64(max(rows, 0)))
	for {
		found, err := stmt.Step()
		if err != nil {
			return nil, err
		}
		if !found {
			return marks, stmt.Reset()
		}
		marks = append(marks, storage.LogMark{
			Last: uint64(stmt.ColumnInt64(0)), First: uint64(stmt.ColumnInt64(1)),
			At: stmt.ColumnInt64(2), Bytes: stmt.ColumnInt64(3)})
		if w.keepsLog(marks[len(marks)-1].Last) {
			return marks, stmt.Reset() // which is not to be removed, nor what follows
		}
	}
}

// keepsLog reports whether the table lacks something of what the log has up to a revision.
func (w *fileWriter) keepsLog(through uint64) bool {
	return w.over != nil && through > w.folded && !planted.TrimPastFold
}

// TrimLog removes the rows up to a revision.
func (w *fileWriter) TrimLog(through uint64) error {
	if err := w.writable(); err != nil {
		return err
	}
	if w.keepsLog(through) {
		return fmt.Errorf("storage: the log was to be removed up to revision %d, and the table has what it says up to %d", through, w.folded)
	}
	w.trimLog.BindInt64(1, int64(through))
	if err := run(w.trimLog); err != nil {
		return err
	}
	w.checkpoints.wrote(int64(w.conn.Changes()), 0)
	return nil
}

// LogExtent is what the log holds.
func (w *fileWriter) LogExtent() (storage.LogExtent, error) {
	if w.conn == nil {
		return storage.LogExtent{}, kv.ClosedError
	}
	return readLogExtent(w.logExtent, w.logBytes, w.revision)
}

// maxRevision is the last revision that is believed: no store gets there, and numbers
// behind it are not far from those that wrap around.
const maxRevision = 1 << 62

// readLogExtent reads both ends of the log, or where an empty one goes on.
//
// Nothing guards log_end by a checksum. It is believed if both ends join with the rows
// next to them, as a change of one of them does not; else the records are counted.
func readLogExtent(ends, bytes, revision *sqlite.Stmt) (extent storage.LogExtent, err error) {
	believed := false
	found, err := one(ends, func(stmt *sqlite.Stmt) error {
		extent = storage.LogExtent{First: uint64(stmt.ColumnInt64(0)), Last: uint64(stmt.ColumnInt64(1)),
			Begin: stmt.ColumnInt64(2), End: stmt.ColumnInt64(3), Oldest: stmt.ColumnInt64(4)}
		believed = stmt.ColumnInt64(5) != 0
		return nil
	})
	switch {
	case err != nil:
		return extent, err
	case !found:
		extent.Last, err = readRevision(revision)
		extent.First = extent.Last + 1
		return extent, err
	case extent.First == 0 || extent.First > extent.Last || extent.Last > maxRevision:
		return extent, impossible(extent.First, extent.Last)
	case believed:
		return extent, nil
	}
	_, err = one(bytes, func(stmt *sqlite.Stmt) error {
		extent.Begin, extent.End = 0, stmt.ColumnInt64(0)
		return nil
	})
	return extent, err
}

func impossible(first, last uint64) error {
	return &kv.CorruptLogError{First: first, Last: last, Reason: "there are no such revisions"}
}

func (f sqlReads) Revision(ctx context.Context) (revision uint64, err error) {
	err = f.pool.with(ctx, func(r *reader) (err error) {
		revision, err = readRevision(r.latest)
		return err
	})
	return revision, err
}

func (f sqlReads) Log(ctx context.Context, from uint64, bytes int) (rows []kv.LogRow, err error) {
	err = f.pool.with(ctx, func(r *reader) error {
		rows, err = readLog(r.log, from, bytes)
		return err
	})
	return rows, err
}

func (f sqlReads) LogExtent(ctx context.Context) (extent storage.LogExtent, err error) {
	err = f.pool.with(ctx, func(r *reader) (err error) {
		extent, err = readLogExtent(r.logExtent, r.logBytes, r.latest)
		return err
	})
	return extent, err
}

// checkLog has the end of the log looked at, as the connection sees it. Damage that
// SQLite meets on the way to either end is a *kv.CorruptLogError too.
func (d *Database) checkLog(conn *sqlite.Conn, config Config) error {
	failed := func(err error) error { return fmt.Errorf("read the log: %w", damagedLog(d.explain(err))) }
	if err := checkExtent(conn); err != nil {
		return failed(err)
	}
	if config.CheckLog == nil {
		return nil
	}
	stmt, _, err := conn.PrepareTransient(sqlLogTail)
	if err != nil {
		return failed(err)
	}
	rows, err := readLog(stmt, math.MaxInt64, config.CheckLogBytes)
	if err != nil {
		return failed(errors.Join(err, stmt.Finalize()))
	}
	if err := stmt.Finalize(); err != nil {
		return err
	}
	return config.CheckLog(rows)
}

// readTail is what the log has and entries have not, nil if it is nothing.
func (d *Database) readTail(conn *sqlite.Conn) (*overlay.Overlay, error) {
	t, err := newTail(conn, d.events)
	var o *overlay.Overlay
	if err == nil {
		o, _, err = t.load()
	}
	if err != nil {
		return nil, fmt.Errorf("read the log: %w", d.explain(err))
	}
	return o, nil
}

// checkExtent reads the log's ends as an open store will.
func checkExtent(conn *sqlite.Conn) (err error) {
	var ends, bytes, revision *sqlite.Stmt
	for _, s := range []statement{{&ends, sqlLogExtent}, {&bytes, sqlLogBytes}, {&revision, sqlRevision}} {
		stmt, _, failed := conn.PrepareTransient(s.sql)
		if failed != nil {
			return errors.Join(err, failed)
		}
		defer func() { err = errors.Join(err, stmt.Finalize()) }()
		*s.into = stmt
	}
	_, err = readLogExtent(ends, bytes, revision)
	return err
}
