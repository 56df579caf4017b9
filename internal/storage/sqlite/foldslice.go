package sqlite

import (
	"errors"
	"fmt"

	"forge.lthn.ai/core/go-store/internal/storage"
	"forge.lthn.ai/core/go-store/internal/storage/overlay"
)

// freeze makes the active run the frozen one, which has all that is committed.
func (w *fileWriter) freeze() {
	w.frozenTo, w.logged = w.over.Published().Revision(), 0
	w.over.Freeze()
	w.views.sighted(w.shown)
	w.over.Prune()
	w.comesTo("freeze")
}

// foldSlice moves the next changes of the frozen run, which is arranged, into the table.
func (w *fileWriter) foldSlice(a *applier, changes, bytes int) error {
	begun, marks := w.over.Progress(), w.over.LeftMarks() > 0
	var end overlay.Cursor
	last := false
	shown := func() (*overlay.State, overlay.Cursor) {
		w.doubt = false
		w.over.Folded(end)
		if last {
			w.over.Retire()
			w.from = firstDeadline
			w.first.forget()
		}
		return w.shown()
	}
	err := w.transactSlice(a, func() (err error) {
		if end, err = a.makeSlice(w.over, changes, bytes); err != nil {
			return err
		}
		if last = end.Run > begun.Run; !last {
			return nil
		}
		w.comesTo("last slice")
		return setFolded(w.conn, w.over.Gathered() == 0, w.frozenTo)
	}, shown)
	if err != nil {
		return err
	}
	if marks {
		w.comesTo("mark")
	} else if !last {
		w.comesTo("slice")
	}
	if last {
		w.comesTo("retire")
		w.folded = w.frozenTo
		w.behind = w.over.Gathered() > 0
		w.over.Prune()
		w.boundHeld()
	}
	return nil
}

// transactSlice runs f in a transaction of SQLite's own, between those of the overlay's.
func (w *fileWriter) transactSlice(a *applier, f func() error, shown func() (*overlay.State, overlay.Cursor)) (err error) {
	if w.leftover {
		if err := w.ready(); err != nil {
			return err
		}
	}
	if err := w.beginSQL(); err != nil {
		return err
	}
	w.wrote = true
	// What it loses by a power cut the log has. But what is first in a WAL has the stamp that
	// tells whose that is, and the WAL's header with it.
	w.unsyncedSlice = !w.restamp
	defer func() { w.unsyncedSlice = false }()
	committing := false
	if err = f(); err == nil {
		w.checkpoints.wrote(a.rows, a.bytes)
		committing = true
		err = w.commitSQL(shown)
	}
	a.rows, a.bytes = 0, 0
	if err == nil {
		return nil
	}
	err = errors.Join(err, w.rollbackSQL())
	if committing && !storage.IsIndeterminate(err) {
		w.views.sighted(w.shown)
	}
	// Of one whose outcome is unknown there is no view until it was made again: what the
	// cursor says of the pages may be wrong, and by SQLite nothing is counted by it.
	return err
}

// foldOver moves all that the overlay has into the table.
func (w *fileWriter) foldOver() error {
	if err := w.findOut(); err != nil {
		return err
	}
	w.prune()
	for !w.over.Empty() {
		if err := w.foldRun(); err != nil {
			return tailError(err)
		}
	}
	if !w.behind {
		return nil
	}
	a, err := w.foldBy()
	if err == nil {
		err = w.transactSlice(a, func() error { return setFolded(w.conn, true, 0) }, w.shown)
	}
	if err != nil {
		return tailError(err)
	}
	w.behind = false
	return nil
}

func tailError(err error) error {
	return fmt.Errorf("move what the log has into the table: %w", explainDamage(err))
}
