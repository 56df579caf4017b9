package storage

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"forge.lthn.ai/core/go-store/kv"

	"zombiezen.com/go/sqlite"
)

// fileWriter is the only connection to a file that writes.
//
// It is never interrupted: an interrupt would roll the transaction back. So
// none of its methods takes a context; whoever calls checks first.
type fileWriter struct {
	conn   *sqlite.Conn // nil once closed
	logger *slog.Logger

	file        string
	pool        *pool
	changes     *sequence
	checkpoints *checkpoints
	graceful    bool // opened whole: closing leaves one plain file

	begin, commit, rollback       *sqlite.Stmt
	mark, release, rollbackTo     *sqlite.Stmt
	get, update, insert, remove   *sqlite.Stmt
	removeGroup, hasGroup, isLive *sqlite.Stmt
	firstGroup, nextGroup         *sqlite.Stmt
	expired, deadIn               *sqlite.Stmt
	countDead, earliest           *sqlite.Stmt
	upsert                        *sqlite.Stmt // prepared on first use
	appendLog, readLog, trimLog   *sqlite.Stmt
	oldestLog, logExtent          *sqlite.Stmt
	revision                      *sqlite.Stmt
}

// prepare prepares all constant SQL, so that a typo fails when a store opens.
// Only upsert waits: it can't be prepared if entries lost its primary key, and
// such a file shall still open for reading.
func (w *fileWriter) prepare() error {
	return prepareAll(w.conn, w.statements())
}

func (w *fileWriter) statements() []statement {
	return []statement{
		{&w.begin, "BEGIN IMMEDIATE"}, // never deferred: an upgrade could fail half-way
		{&w.commit, "COMMIT"},
		{&w.rollback, "ROLLBACK"},
		{&w.mark, "SAVEPOINT request"},
		{&w.release, "RELEASE request"},
		{&w.rollbackTo, "ROLLBACK TO request"},
		{&w.get, sqlGet},
		{&w.update, sqlUpdate},
		{&w.insert, sqlInsert},
		{&w.remove, sqlDelete},
		{&w.removeGroup, sqlDeleteGroup},
		{&w.hasGroup, sqlHasGroup},
		{&w.isLive, sqlGroupIsLive},
		{&w.firstGroup, sqlFirstGroup},
		{&w.nextGroup, sqlNextGroup},
		{&w.expired, sqlExpiredRows},
		{&w.deadIn, sqlDeadIn},
		{&w.countDead, sqlCountDead},
		{&w.earliest, sqlEarliest},
		{&w.appendLog, sqlAppendLog},
		{&w.readLog, sqlReadLog},
		{&w.trimLog, sqlTrimLog},
		{&w.oldestLog, sqlOldestLog},
		{&w.logExtent, sqlLogExtent},
		{&w.revision, sqlRevision},
	}
}

// Begin starts a transaction, and the checkpoint work that is due before it:
// between two transactions is the only time at which the WAL can start anew.
// A checkpoint that fails is logged; the next one makes up for it.
func (w *fileWriter) Begin() error {
	if w.conn == nil {
		return kv.ClosedError
	}
	if w.checkpoints.due() {
		if err := w.Checkpoint(); err != nil {
			w.logger.Warn("checkpoint failed; the next one tries again", "error", err)
		}
	}
	return run(w.begin)
}

// Commit makes the transaction durable as configured, and visible to readers.
// After an error IsIndeterminate says whether the outcome is known; call
// Rollback in any case.
func (w *fileWriter) Commit() error {
	if w.conn == nil {
		return kv.ClosedError
	}
	if err := w.changes.moving(func() error { return run(w.commit) }); err != nil {
		return commitError(err, w.InTransaction())
	}
	w.checkpoints.committed(w.conn)
	return nil
}

// Rollback gives the transaction up. It is a no-op when none is open, as after
// a storage fault that made SQLite roll back by itself.
func (w *fileWriter) Rollback() error {
	if !w.InTransaction() {
		return nil
	}
	return run(w.rollback)
}

// InTransaction reports whether a transaction is open.
func (w *fileWriter) InTransaction() bool { return w.conn != nil && !w.conn.AutocommitEnabled() }

// Savepoint marks the state that RollbackTo goes back to. There is one level:
// Release or RollbackTo ends it.
func (w *fileWriter) Savepoint() error {
	if !w.InTransaction() {
		return errRolledBack // SAVEPOINT would begin a transaction of its own
	}
	return run(w.mark)
}

// Release keeps what was done since Savepoint.
func (w *fileWriter) Release() error {
	if !w.InTransaction() {
		return errRolledBack
	}
	return run(w.release)
}

// RollbackTo undoes what was done since Savepoint, and ends it. It fails if a
// storage fault has already undone the whole transaction.
func (w *fileWriter) RollbackTo() error {
	if !w.InTransaction() {
		return errRolledBack
	}
	if err := run(w.rollbackTo); err != nil {
		return err
	}
	return run(w.release)
}

// Resynchronise brings the writer to a known state after its owner was stopped
// at an unknown point: no transaction, no statement half-way.
func (w *fileWriter) Resynchronise() error {
	if w.conn == nil {
		return kv.ClosedError
	}
	for _, s := range w.statements() {
		// Reset repeats the error of the last Step, which was answered then.
		_ = (*s.into).Reset()
	}
	return w.Rollback()
}

// Snapshot pins what is committed right now, for counting elsewhere. Call it
// between transactions. It must be closed: an open one keeps the WAL from
// starting anew.
func (w *fileWriter) Snapshot() (*Snapshot, error) {
	if w.conn == nil {
		return nil, kv.ClosedError
	}
	return w.pool.snapshot(context.Background())
}

// close ends the connection. After a graceful one the file is alone and in
// rollback mode, so that any program can read it, from any medium. It stays in
// WAL mode if a foreign reader is in it; nothing is lost then either.
func (w *fileWriter) close() error {
	if w.conn == nil {
		return nil
	}
	var err error
	if w.graceful {
		err = w.Rollback()
		w.conn.SetBusyTimeout(0)
		switch _, leaving := queryText(w.conn, "PRAGMA journal_mode = DELETE"); {
		case code(leaving) == sqlite.ResultBusy:
			w.logger.Info("the database stays in WAL mode: another program is reading it", "path", w.file)
		case leaving != nil:
			err = errors.Join(err, fmt.Errorf("what was committed stays in the %s file: %w", walSuffix, leaving))
		}
	}
	err = errors.Join(err, w.conn.Close())
	w.conn = nil
	return err
}

// statement is where a prepared statement goes, and what it says.
type statement struct {
	into **sqlite.Stmt
	sql  string
}

func prepareAll(conn *sqlite.Conn, statements []statement) error {
	for _, s := range statements {
		stmt, err := conn.Prepare(s.sql)
		if err != nil {
			return err
		}
		*s.into = stmt
	}
	return nil
}

// run steps a statement that returns no rows.
func run(stmt *sqlite.Stmt) error {
	if _, err := stmt.Step(); err != nil {
		return err
	}
	return stmt.Reset()
}

// one steps a statement for at most one row and hands it to read.
func one(stmt *sqlite.Stmt, read func(*sqlite.Stmt) error) (found bool, err error) {
	found, err = stmt.Step()
	if err != nil {
		return false, err
	}
	if found {
		err = read(stmt)
	}
	return found, errors.Join(err, stmt.Reset())
}
