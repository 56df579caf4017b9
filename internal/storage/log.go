package storage

import (
	"context"
	"errors"
	"fmt"
	"math"

	"forge.lthn.ai/core/go-store/kv"

	"zombiezen.com/go/sqlite"
)

// LogMark is a row of the log without its record.
type LogMark struct {
	First, Last uint64
	At          int64 // Unix milliseconds
	End         int64 // bytes of all records up to this one, those removed too
}

// LogExtent is what the log holds: the revisions First to Last, none if First
// is greater, in the bytes from Begin to End.
type LogExtent struct {
	First, Last uint64
	Begin, End  int64
	Oldest      int64 // when the first row was committed, Unix milliseconds
}

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
	w.checkpoints.wrote(0, len(row.Record))
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
func (w *fileWriter) OldestLog(rows int) (marks []LogMark, err error) {
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
		marks = append(marks, LogMark{
			Last: uint64(stmt.ColumnInt64(0)), First: uint64(stmt.ColumnInt64(1)),
			At: stmt.ColumnInt64(2), End: stmt.ColumnInt64(3)})
	}
}

// TrimLog removes the rows up to a revision.
func (w *fileWriter) TrimLog(through uint64) error {
	if err := w.writable(); err != nil {
		return err
	}
	w.trimLog.BindInt64(1, int64(through))
	if err := run(w.trimLog); err != nil {
		return err
	}
	w.checkpoints.wrote(int64(w.conn.Changes()), 0)
	return nil
}

// LogExtent is what the log holds.
func (w *fileWriter) LogExtent() (LogExtent, error) {
	if w.conn == nil {
		return LogExtent{}, kv.ClosedError
	}
	return readLogExtent(w.logExtent, w.revision)
}

// readLogExtent reads both ends of the log, or where an empty one goes on.
func readLogExtent(ends, revision *sqlite.Stmt) (extent LogExtent, err error) {
	found, err := one(ends, func(stmt *sqlite.Stmt) error {
		extent = LogExtent{First: uint64(stmt.ColumnInt64(0)), Last: uint64(stmt.ColumnInt64(1)),
			Begin: stmt.ColumnInt64(2), End: stmt.ColumnInt64(3), Oldest: stmt.ColumnInt64(4)}
		return nil
	})
	if err != nil || found {
		return extent, err
	}
	extent.Last, err = readRevision(revision)
	extent.First = extent.Last + 1
	return extent, err
}

func (f *fileReads) Revision(ctx context.Context) (revision uint64, err error) {
	err = f.pool.with(ctx, func(r *reader) (err error) {
		revision, err = readRevision(r.latest)
		return err
	})
	return revision, err
}

func (f *fileReads) Log(ctx context.Context, from uint64, bytes int) (rows []kv.LogRow, err error) {
	err = f.pool.with(ctx, func(r *reader) error {
		rows, err = readLog(r.log, from, bytes)
		return err
	})
	return rows, err
}

func (f *fileReads) LogExtent(ctx context.Context) (extent LogExtent, err error) {
	err = f.pool.with(ctx, func(r *reader) (err error) {
		extent, err = readLogExtent(r.logExtent, r.latest)
		return err
	})
	return extent, err
}

// checkLog has the end of the log looked at, as the connection sees it. Damage that
// SQLite meets on the way to either end is a *kv.CorruptLogError too.
func (d *Database) checkLog(conn *sqlite.Conn, config Config) error {
	failed := func(err error) error { return fmt.Errorf("read the log: %w", damagedLog(d.explain(err))) }
	if _, err := queryInt(conn, sqlLogExtent); err != nil {
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
