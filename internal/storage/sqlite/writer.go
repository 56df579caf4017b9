package sqlite

import (
	"errors"
	"fmt"
	"log/slog"

	"forge.lthn.ai/core/go-store/internal/planted"
	"forge.lthn.ai/core/go-store/internal/storage"
	"forge.lthn.ai/core/go-store/internal/storage/gather"
	"forge.lthn.ai/core/go-store/internal/storage/overlay"
	"forge.lthn.ai/core/go-store/internal/storage/ownership"
	"forge.lthn.ai/core/go-store/internal/storage/sequence"
	"forge.lthn.ai/core/go-store/kv"

	"zombiezen.com/go/sqlite"
)

// fileWriter is the only connection to a file that writes.
//
// It is never interrupted: an interrupt would roll the transaction back. So
// none of its methods takes a context; the caller checks first.
type fileWriter struct {
	conn   *sqlite.Conn // nil once closed
	effort *effort
	logger *slog.Logger

	file        string
	pageSize    int64
	pool        *pool
	views       *views // nil: SQLite reads
	changes     *sequence.Sequence
	checkpoints *checkpoints
	wal         *gather.WAL // nil: each frame is written by itself
	guard       *ownership.Guard
	synced      *synced
	inode       *ownership.Inode
	lock        *ownership.Lock
	durability  kv.Durability
	entered     bool   // the file is marked as in use: closing leaves one plain file
	last        uint64 // the last revision that was written; 0: unknown
	left        func() // called once the file is complete by itself

	wrote     bool             // the open transaction has changed something
	restamp   bool             // the open transaction may begin the WAL anew
	seen      uint64           // the checkpoints that had been when it began
	stampedAt uint64           // the same, of the last transaction that was stamped
	unsynced  bool             // a sync has failed while the database was opened
	leftover  bool             // a COMMIT that has failed may have left frames behind the WAL's end
	tail      *overlay.Overlay // that entries are to have before anything else is committed; nil: none
	planted   int              // transactions, if they are counted

	laid // what is not in the table yet

	begin, commit, rollback       *sqlite.Stmt
	mark, release, rollbackTo     *sqlite.Stmt
	get, update, insert, remove   *sqlite.Stmt
	head                          *sqlite.Stmt
	removeGroup, hasGroup, isLive *sqlite.Stmt
	firstGroup, nextGroup         *sqlite.Stmt
	expired, deadIn               *sqlite.Stmt
	countDead, earliest           *sqlite.Stmt
	upsert                        *sqlite.Stmt // prepared on first use
	appendLog, readLog, trimLog   *sqlite.Stmt
	oldestLog, logExtent          *sqlite.Stmt
	logBytes                      *sqlite.Stmt
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
		{&w.head, sqlHead},
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
		{&w.logBytes, sqlLogBytes},
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
	if err := w.guard.Before(); err != nil {
		return err
	}
	w.effort.begin()
	if err := w.ready(); err != nil {
		return err
	}
	if w.checkpoints.due() {
		if err := w.Checkpoint(); err != nil {
			w.checkpoints.report(err)
		}
	}
	if planted.FsyncSkipped {
		if err := w.skipFsync(); err != nil {
			return err
		}
	}
	w.views.busy(true)
	begin := w.beginSQL
	if w.over != nil {
		begin = w.beginOver
	}
	if err := begin(); err != nil {
		w.views.busy(false)
		return err
	}
	w.last = 0 // what a transaction that failed has appended is not to be acknowledged
	return nil
}

// ready has the WAL be as the next commit must find it: written again after a sync that has failed,
// and without what a failed commit has left. Call it between transactions.
func (w *fileWriter) ready() error {
	if w.checkpoints.unsynced.Load() {
		if err := w.resync(); err != nil {
			return err
		}
	}
	if w.leftover {
		if err := w.disown(); err != nil {
			return &resyncError{fmt.Errorf("cut off what a commit that has failed has left: %w", err)}
		}
	}
	return nil
}

// beginSQL begins a transaction of SQLite's.
func (w *fileWriter) beginSQL() error {
	if err := run(w.begin); err != nil {
		return err
	}
	// The WAL begins anew if all of it had been moved when this transaction began.
	// The order of the two: a checkpoint counts as completed before it ends.
	running := w.checkpoints.running.Load() > 0
	w.seen = w.checkpoints.completed.Load()
	w.wrote, w.restamp = false, running || w.seen != w.stampedAt || !w.guard.WALIsSame() // other programs checkpoint too
	return nil
}

// Commit makes the transaction durable as configured, and visible to readers.
// After an error IsIndeterminate says whether the outcome is known; call
// Rollback in any case.
func (w *fileWriter) Commit() error {
	if w.conn == nil {
		return kv.ClosedError
	}
	defer w.views.busy(false)
	if w.over != nil {
		return w.commitOver()
	}
	return w.commitSQL(nil)
}

// commitSQL commits the transaction that SQLite has; shown is what the overlay has of it.
func (w *fileWriter) commitSQL(shown func() (*overlay.State, overlay.Cursor)) error {
	stamped := w.wrote && w.restamp && w.sqlOpen()
	if stamped {
		if err := replaceStamp(w.conn, w.present()); err != nil {
			return fmt.Errorf("stamp: %w", err)
		}
	}
	before := w.leftover
	w.leftover = true // also if there is a panic
	if err := w.changes.Moving(func() error { return w.views.publishing(w.runCommit, shown) }); err != nil {
		w.checkpoints.noteSync(err)
		open := w.sqlOpen()
		w.leftover = before || !open
		if !open && code(err) == sqlite.ResultFull {
			if undone := w.disown(); undone != nil {
				return storage.Indeterminate(errors.Join(err, undone))
			}
		}
		return commitError(err, open)
	}
	w.leftover = before
	if stamped {
		w.stampedAt = w.seen
	}
	w.guard.Committed(stamped)
	w.acknowledge()
	w.checkpoints.committed(w.conn)
	return nil
}

// runCommit runs COMMIT. Its frames are written some at a time where all of them are
// there, and synced, before any reader can see it.
func (w *fileWriter) runCommit() error {
	if w.unsyncedSlice {
		w.wal.BeginUnsynced()
	} else {
		w.wal.Begin()
	}
	defer w.wal.End() // also if there was a panic
	err := run(w.commit)
	if !w.wal.End() && err == nil {
		panic("storage: a commit is visible whose frames were not written")
	}
	return err
}

// gather has the frames of commits written some at a time. Where they are not synced
// nothing would tell when they have to be there.
func (w *fileWriter) gather() {
	if w.durability == kv.DurabilityBuffered || planted.FsyncSkipped {
		return
	}
	handle, err := handleOf(w.conn)
	if err == nil {
		w.wal, err = gather.Of(handle)
	}
	if err != nil {
		w.logger.Debug("commits are written frame by frame", "error", err)
	}
}

// Probe writes something that changes nothing, as durably as a commit: whether the
// database can be written to again. (SQLite writes the header's page for this, though
// the number is the same.)
func (w *fileWriter) Probe() error {
	err := w.Begin()
	if err == nil && w.over != nil {
		err = w.beginLogged()
	}
	if err != nil {
		return errors.Join(err, w.Rollback())
	}
	w.wrote = true
	err = execute(w.conn, fmt.Sprintf("PRAGMA user_version = %d", schemaVersion))
	if err == nil {
		err = w.Commit()
	}
	return errors.Join(err, w.Rollback())
}

// acknowledge notes which revision is acknowledged, for the next opener of the files if
// this process is killed.
func (w *fileWriter) acknowledge() {
	if w.last == 0 {
		return
	}
	if err := w.lock.Acknowledge(w.last); err != nil {
		w.logger.Warn("the last revision can't be noted in the lock file", "error", err)
	}
	w.last = 0
}

// present is a stamp of the files as they are.
func (w *fileWriter) present() stamp {
	s := stamp{state: stampOpen, salt: walSalt(w.guard.WAL())}
	if w.durability == kv.DurabilityBuffered {
		s.state = stampBuffered
	}
	if count, err := queryInt(w.conn, "PRAGMA page_count"); err == nil && !w.guard.MayShrink() {
		// A checkpoint cuts the file down to what a compaction has left of it.
		s.pages = uint32(min(w.synced.bytes.Load()/w.pageSize, count))
	}
	return s
}

// skipFsync has one transaction in many not be synced. It is a fault on purpose: see
// package planted.
func (w *fileWriter) skipFsync() error {
	w.planted++
	switch w.planted % planted.FsyncSkippedRate {
	case 0:
		return execute(w.conn, "PRAGMA synchronous = OFF")
	case 1:
		return execute(w.conn, "PRAGMA synchronous = FULL")
	}
	return nil
}

// Rollback gives the transaction up. It is a no-op when none is open, as after
// a storage fault that made SQLite roll back by itself.
func (w *fileWriter) Rollback() error {
	w.views.busy(false)
	w.undoOver()
	return w.rollbackSQL()
}

func (w *fileWriter) rollbackSQL() error {
	if !w.sqlOpen() {
		return nil
	}
	return run(w.rollback)
}

// sqlOpen reports whether a transaction of SQLite's is open.
func (w *fileWriter) sqlOpen() bool { return w.conn != nil && !w.conn.AutocommitEnabled() }

// InTransaction reports whether a transaction is open.
func (w *fileWriter) InTransaction() bool {
	if w.over != nil {
		return w.conn != nil && w.open && (!w.begun || w.sqlOpen())
	}
	return w.sqlOpen()
}

// Savepoint marks the state that RollbackTo goes back to. There is one level:
// Release or RollbackTo ends it.
func (w *fileWriter) Savepoint() error {
	if !w.InTransaction() {
		return storage.ErrRolledBack // SAVEPOINT would begin a transaction of its own
	}
	if w.over != nil {
		w.savepoint = w.over.Mark()
		w.sought = w.from
		return nil
	}
	w.effort.begin()
	return run(w.mark)
}

// Release keeps what was done since Savepoint.
func (w *fileWriter) Release() error {
	if !w.InTransaction() {
		return storage.ErrRolledBack
	}
	if w.over != nil {
		return nil
	}
	return run(w.release)
}

// RollbackTo undoes what was done since Savepoint, and ends it. It fails if a
// storage fault has already undone the whole transaction.
func (w *fileWriter) RollbackTo() error {
	if !w.InTransaction() {
		return storage.ErrRolledBack
	}
	if w.over != nil {
		w.undoTo(w.savepoint)
		w.from = w.sought
		return nil
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
	if w.over != nil {
		return w.resynchroniseOver()
	}
	return w.Rollback()
}

// IsWriteFault is as storage.Writer has it.
func (w *fileWriter) IsWriteFault(err error) bool { return isWriteFault(err) }

// IsDamage is as storage.Writer has it.
func (w *fileWriter) IsDamage(err error) bool { return isDamaged(err) }

// Snapshot pins what is committed right now, for counting elsewhere. Call it
// between transactions. It waits for no reader. It must be closed: an open one keeps
// the WAL from starting anew.
func (w *fileWriter) Snapshot() (storage.Snapshot, error) {
	if w.conn == nil {
		return nil, kv.ClosedError
	}
	return w.pool.snapshotNow()
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
