package sqlite

import (
	"errors"
	"fmt"
	"math"
	"sync/atomic"

	"forge.lthn.ai/core/go-store/internal/storage"
	"forge.lthn.ai/core/go-store/internal/storage/overlay"
	"forge.lthn.ai/core/go-store/kv"
)

// With an overlay a commit writes its row of the log and nothing else. What it did to keys
// is in the overlay, which every read asks before it asks the table, and comes into the
// table later. The transaction is the overlay's then; SQLite's begins with what the log is
// given, once all of the batch has been applied, and savepoints are the overlay's too.
//
// See docs/adr/0062-writes-at-the-speed-of-the-log.md.

// laid is what a writer has beside the table. Without an overlay the zero value is all
// there is, and everything is written to the table at once.
type laid struct {
	over  *overlay.Overlay
	loose bool // transactions without a row of the log go into it too, and are lost with the process: for tests

	open      bool // the overlay's transaction is
	begun     bool // and so SQLite's, for it
	savepoint int
	pruned    bool   // what the last commit has replaced
	doubt     bool   // a COMMIT has come to an unknown point
	unknown   uint64 // the log's last revision if it has succeeded
	limbo     *limbo
	bound     int64     // bytes that may lie in the overlay
	behind    bool      // the file says that the table lacks something
	folded    uint64    // behind this revision, then
	frozenTo  uint64    // the last revision of the frozen run
	folding             // the pace at which that comes into the table
	first     firstRows // of groups

	step func(name string) // of the fold, for tests; nil: not called

	// So far along the table's deadlines the overlay decides every row: the purge that
	// removed them need not pass over them again. sought is what it was at the savepoint.
	from, sought deadlinePlace
}

// limbo is why it is not known what the log ends with; nil: it is known. Reads by SQLite
// answer it.
type limbo struct{ reason atomic.Pointer[error] }

func (l *limbo) err() error {
	if reason := l.reason.Load(); reason != nil {
		return fmt.Errorf("a commit's outcome can't be read: %w", *reason)
	}
	return nil
}

// deadlinePlace is a row's place in the index of deadlines.
type deadlinePlace struct{ deadline, rowid int64 }

var firstDeadline = deadlinePlace{math.MinInt64, math.MinInt64}

// comesTo tells of a step of the fold.
func (l *laid) comesTo(step string) {
	if l.step != nil {
		l.step(step)
	}
}

// overlay has commits go into an overlay, where the pages are read.
func (d *Database) overlay(w *fileWriter, config Config) error {
	w.step = config.FoldStep
	if config.Overlay <= 0 || w.views == nil || w.views.current.Load() == nil {
		return w.foldTail()
	}
	over := w.tail
	if w.behind = over != nil; !w.behind {
		last, err := readRevision(w.revision)
		if err != nil {
			return err
		}
		over = overlay.New(last)
	} else if folded, err := queryInt(w.conn, sqlFolded); err != nil {
		return err
	} else {
		w.folded = uint64(folded)
		if !over.Empty() {
			w.comesTo("load")
		}
	}
	w.tail, w.loose, w.bound, w.fault.changed = nil, config.loose, config.Overlay, config.HealthChanged
	d.overlaid(w, over)
	return nil
}

// overlaid has commits go into an overlay from now on, which has what the table lacks.
func (d *Database) overlaid(w *fileWriter, over *overlay.Overlay) {
	w.over, w.limbo, w.from = over, new(limbo), firstDeadline
	d.over, d.limbo = over, w.limbo
	w.views.sighted(w.shown)
}

// shown is what the overlay shows of what is committed.
func (w *fileWriter) shown() (*overlay.State, overlay.Cursor) {
	return w.over.Published(), w.over.Progress()
}

// beginOver begins the overlay's transaction.
func (w *fileWriter) beginOver() error {
	if err := w.findOut(); err != nil {
		return err
	}
	w.prune()
	if err := w.makeRoom(); err != nil {
		return err
	}
	w.open, w.begun, w.wrote, w.restamp = true, false, false, false
	return nil
}

// beginLogged begins SQLite's transaction for what is written to the log.
func (w *fileWriter) beginLogged() error {
	if !w.begun {
		if err := w.beginSQL(); err != nil {
			return err
		}
		w.begun = true
	}
	w.effort.begin()
	w.wrote = true
	return w.foldedTo()
}

// commitOver commits the row of the log, and publishes what the overlay has of it.
func (w *fileWriter) commitOver() error {
	if !w.InTransaction() {
		return storage.ErrRolledBack
	}
	revision := w.last
	if revision == 0 {
		if w.over.Mark() > 0 && !w.loose {
			return errors.New("storage: a commit without a row of the log")
		}
		revision = w.over.Published().Revision()
	}
	if !w.begun {
		if w.over.Mark() > 0 {
			_ = w.changes.Moving(func() error { return w.views.publishing(func() error { return nil }, w.commits(revision)) })
		}
		w.ended()
		return nil
	}
	w.doubt, w.unknown = true, revision
	if err := w.commitSQL(w.commits(revision)); err != nil {
		known := w.sqlOpen() || !storage.IsIndeterminate(err)
		if undone := w.rollbackSQL(); undone != nil {
			err = errors.Join(err, undone)
		}
		if known && !w.sqlOpen() {
			w.doubt = false
			w.undoOver()
			w.views.sighted(w.shown)
			return err
		}
		if lost := w.findOut(); lost != nil {
			w.logger.Error("nobody knows what the log ends with: it is tried again", "error", lost)
		}
		return err
	}
	w.ended()
	return nil
}

// commits publishes the overlay's transaction, once COMMIT has succeeded.
func (w *fileWriter) commits(revision uint64) func() (*overlay.State, overlay.Cursor) {
	return func() (*overlay.State, overlay.Cursor) {
		w.over.Commit(revision)
		w.doubt, w.pruned = false, false
		return w.shown()
	}
}

// ended ends the transaction that was published.
func (w *fileWriter) ended() {
	w.open, w.begun, w.behind = false, false, w.behind || w.begun
	w.prune()
}

// prune lets go of what no reader sees any more, since the last commit was published.
func (w *fileWriter) prune() {
	if !w.pruned {
		w.over.Prune()
		w.pruned = true
	}
}

// undoOver gives the overlay's transaction up, unless it is not known whether it was
// committed.
func (w *fileWriter) undoOver() {
	if w.over == nil || w.doubt {
		return
	}
	w.prune()
	if w.over.Mark() > 0 {
		w.undoTo(0)
		w.from = firstDeadline
	}
	w.open, w.begun = false, false
}

// findOut makes what is shown what the log has, after a COMMIT whose outcome is unknown:
// its row is there or not, and other processes may have seen it.
func (w *fileWriter) findOut() (err error) {
	if !w.doubt {
		return nil
	}
	defer func() {
		if err != nil {
			w.limbo.reason.Store(&err)
		} else {
			w.limbo.reason.Store(nil)
		}
	}()
	if err := w.rollbackSQL(); err != nil {
		return err
	}
	last, err := readRevision(w.revision)
	if err != nil {
		return err
	}
	shown := w.shown
	switch last {
	case w.unknown:
		shown = w.commits(w.unknown)
	case w.over.Published().Revision():
		w.doubt = false
		w.undoOver()
	default:
		return fmt.Errorf("the log ends with revision %d, neither %d nor %d", last, w.over.Published().Revision(), w.unknown)
	}
	w.views.sighted(shown)
	w.ended()
	return nil
}

// resynchroniseOver is Resynchronise after whatever has ended the writer's owner.
func (w *fileWriter) resynchroniseOver() error {
	if w.doubt {
		return w.findOut()
	}
	return w.Rollback()
}

// changing is writable for what the overlay alone is to have.
func (w *fileWriter) changing() error {
	if w.conn == nil {
		return kv.ClosedError
	}
	if !w.InTransaction() {
		return storage.ErrRolledBack
	}
	return nil
}

// foldedTo says in the open transaction, which is the first to write to the log, how much of
// that the table has from now on.
func (w *fileWriter) foldedTo() error {
	if w.behind {
		return nil
	}
	w.folded = w.over.Published().Revision()
	return setFolded(w.conn, false, w.folded)
}
