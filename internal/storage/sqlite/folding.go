package sqlite

import (
	"errors"
	"fmt"
	"math"
	"runtime/debug"
	"sync/atomic"
	"time"

	"forge.lthn.ai/core/go-store/internal/storage"
	"forge.lthn.ai/core/go-store/internal/storage/moment"
	"forge.lthn.ai/core/go-store/internal/storage/overlay"
	"forge.lthn.ai/core/go-store/kv"
)

// The frozen run comes into the table between commits, so that it is done when the active one
// is full: each commit is followed by as many rows as are in proportion to what it added, at
// once or a little later, so that no commit ever pays for many others. If the active run is full
// first all the same, the next transaction waits until there is room. A store that rests folds
// all.
//
// Where the rows lie is looked up by a goroutine, in the pages of the last view: until it is
// done nothing of the run is folded, and no other goroutine changes the table.

const (
	// foldTime is what a slice takes, about, unless more is owed; foldRest is what slices may
	// take together for which no caller waits yet.
	foldTime = time.Millisecond
	foldRest = 5 * time.Millisecond
	// arrangeTime is how long a store that rests leaves the goroutine alone, and how long each
	// commit waits for it that comes when the active run is half full.
	arrangeTime = 2 * time.Millisecond
	// foldFew is how many rows a slice has at least, however long they take.
	foldFew = 16
	// fewPlaces is how many rows are looked up at once by the writer itself.
	fewPlaces = 512
	// pinnedPlaces is how many are looked up by one pin, which keeps checkpoints waiting.
	pinnedPlaces = 256
)

// Only tests change these.
var (
	// foldLeast is how many rows are owed before there is a slice, but at the end: to commit
	// fewer costs more than they do. Where they take longer than foldTime, fewer are.
	foldLeast = 128
	// foldLogged is how many bytes of records lie behind a run at most: keys that are written
	// again and again fill the log and not the run.
	foldLogged int64 = 16 << 20
	// foldPause is how long a slice that failed is not tried again behind commits.
	foldPause = time.Second
)

// folding is the writer's, but for what is atomic.
type folding struct {
	applier       *applier
	unsyncedSlice bool          // the commit under way need not be synced
	logged        int64         // bytes of records since the active run began
	arranging     chan arranged // from the goroutine; nil: there is none
	stopped       atomic.Bool   // it is to end
	before        int64         // what the active run weighed, and the log had, at the last slice
	beforeLogged  int64
	rows          float64 // that are folded within foldTime, by what the last slices took
	fault         lasting
}

// arranged is what has become of an arrangement.
type arranged struct {
	arrangement *overlay.Arrangement
	err         error
}

// foldBy is what changes the table.
func (w *fileWriter) foldBy() (_ *applier, err error) {
	if w.applier == nil {
		w.applier, err = newApplier(w.conn, w.effort)
	}
	return w.applier, err
}

// half is what the active run may weigh: the other half of the bound is the frozen one's.
func (w *fileWriter) half() int64 { return w.bound / 2 }

// full reports whether the active run, or the part of the log that it stands for, has come to
// its bound.
func (w *fileWriter) full() bool { return w.over.Active() >= w.half() || w.logged >= foldLogged }

// Fold moves some of what was committed into the table, between transactions. It answers when
// it is to be asked again, at rest, if nothing is committed meanwhile; 0: there is nothing left.
func (w *fileWriter) Fold(rest bool) (again time.Duration) {
	if w.conn == nil || w.over == nil || w.InTransaction() {
		return 0
	}
	if w.doubt && (!rest || w.findOut() != nil) {
		return storage.RestTime
	}
	if w.over.Empty() && !w.behind {
		w.noteFold(nil) // Compact may have done it
		return 0
	}
	if wait := w.fault.pause(); wait > 0 && !rest {
		return wait
	}
	if w.guard.Before() != nil {
		return foldPause // which is what is wrong with the store, and not with the fold
	}
	before := w.over.Progress()
	more, err := w.foldPart(rest)
	if err != nil || !more || w.over.Progress() != before { // else nothing was tried
		w.noteFold(err)
	}
	switch {
	case err != nil:
		return foldPause
	case !more:
		if rest { // the file is to be whole
			w.checkpoints.request()
		}
		return 0
	case !rest:
		return storage.RestTime
	case w.arranging != nil:
		return arrangeTime
	default:
		return time.Microsecond
	}
}

// Folded is the revision up to which the table has all that was committed.
func (w *fileWriter) Folded() uint64 {
	if w.over == nil || !w.behind {
		return math.MaxUint64
	}
	return w.folded
}

// foldPart folds as much as it may now. more: there is more.
func (w *fileWriter) foldPart(rest bool) (more bool, err error) {
	w.prune()
	if w.checkpoints.unsynced.Load() {
		if !rest {
			return true, nil // the next transaction writes the WAL again, first of all
		}
		if err := w.resync(); err != nil {
			return true, err
		}
	}
	if !w.over.Frozen() {
		if w.over.Gathered() > 0 && (rest || w.full()) {
			w.freeze()
		} else if !rest || w.over.Gathered() > 0 {
			return true, nil
		} else {
			return false, w.foldOver() // the file says so
		}
	}
	wait := time.Duration(0)
	if !rest && w.over.Active() > w.half()/2 {
		wait = arrangeTime // what is owed for it meanwhile has to be paid in less and less room
	}
	if ready, err := w.arrange(wait); err != nil || !ready {
		return true, err
	}
	if err := w.slices(rest); err != nil {
		return true, err
	}
	return !w.over.Empty() || w.behind, nil
}

// slices folds a part of the frozen run: what is owed, or as much as may be at rest.
func (w *fileWriter) slices(rest bool) error {
	owed, active, logged := math.MaxInt, w.over.Active(), w.logged
	if !rest {
		owed = w.owed()
	}
	if owed == 0 {
		return nil
	}
	a, err := w.foldBy()
	if err != nil {
		return err
	}
	w.views.busy(true)
	defer w.views.busy(false)
	for began := time.Now(); owed > 0 && w.over.Frozen(); {
		w.checkpointIfDue()
		rows, marks := min(owed, foldRows), w.over.LeftMarks() > 0
		if marks {
			rows = foldMarked
		} else if rest {
			rows = w.least()
		}
		from, left := time.Now(), w.over.Left()
		if err := w.foldSlice(a, rows, foldBytes); err != nil {
			return err
		}
		now, made := time.Now(), left-w.over.Left()
		if !marks {
			w.took(made, now.Sub(from))
		}
		if owed -= max(made, 1); rest && now.Sub(began) > foldRest {
			return nil
		}
	}
	if !rest { // not after an error: then it is owed still
		w.before, w.beforeLogged = active, logged
	}
	return nil
}

// checkpointIfDue checkpoints between two slices, as Begin does between two transactions.
func (w *fileWriter) checkpointIfDue() {
	if !w.checkpoints.due() {
		return
	}
	if err := w.Checkpoint(); err != nil {
		w.checkpoints.report(err)
	}
}

// owed is how many rows are to be folded for what was committed since the last slice: of those
// that are left the part that this is of what the active run has room for. 0: so few that they
// can wait for the next commits'.
func (w *fileWriter) owed() int {
	active, left := w.over.Active(), w.over.Left()
	if w.over.LeftMarks() > 0 {
		return 1 // how many rows these are is not known
	}
	part := func(before, now, full int64) float64 {
		if now <= before {
			return 0
		}
		return float64(now-before) / float64(max(full-before, now-before))
	}
	share := max(part(w.before, active, w.half()), part(w.beforeLogged, w.logged, foldLogged))
	least := min(w.least(), left)
	rows := int(share * float64(left))
	if rows < least {
		return 0 // what is owed by some commits together is worth a transaction
	}
	return rows
}

// least is how many rows are worth a transaction: what takes foldTime, or foldLeast if that is
// less.
func (w *fileWriter) least() int {
	if w.rows == 0 {
		return foldLeast
	}
	return max(min(int(w.rows), foldLeast), min(foldFew, foldLeast))
}

// took notes how long a slice took.
func (w *fileWriter) took(rows int, took time.Duration) {
	if rows < min(foldFew, foldLeast) || took <= 0 {
		return
	}
	can := float64(rows) * float64(foldTime) / float64(took)
	if w.rows == 0 {
		w.rows = can
	}
	w.rows = min(w.rows+(can-w.rows)/4, foldRows)
}

// makeRoom has the next transaction's changes find room: if the active run is full before the
// frozen one has been folded, what is left of that is folded now.
func (w *fileWriter) makeRoom() error {
	if !w.full() {
		return nil
	}
	if w.over.Frozen() {
		err := w.foldRun()
		w.noteFold(err)
		if err != nil {
			return fmt.Errorf("there is no more room for what the table has not got: move what the log has into the table: %w", err)
		}
	}
	if w.over.Gathered() > 0 {
		w.freeze()
		w.before, w.beforeLogged = 0, 0
		_, _ = w.arrange(0) // begins it
	}
	return nil
}

// foldRun folds all of a run: the frozen one, or else the active one.
func (w *fileWriter) foldRun() error {
	if !w.over.Frozen() {
		w.freeze()
	}
	if _, err := w.arrange(whatever); err != nil {
		return err
	}
	a, err := w.foldBy()
	if err != nil {
		return err
	}
	for w.over.Frozen() {
		w.checkpointIfDue()
		if err := w.foldSlice(a, foldRows, foldBytes); err != nil {
			return err
		}
	}
	return nil
}

// whatever is how long arrange waits for a caller that can't go on without.
const whatever = math.MaxInt64

// arrange has the frozen run be arranged, by a goroutine if it is large, and waits so long for
// that. ready: it is.
func (w *fileWriter) arrange(wait time.Duration) (ready bool, err error) {
	run := w.over.Unarranged()
	if run == nil {
		return true, nil
	}
	if w.arranging == nil {
		if w.over.FrozenKeys() <= fewPlaces {
			return true, w.arrangeBy(w.locateAll(run))
		}
		made := make(chan arranged, 1)
		w.arranging = made
		go func() { made <- w.locateAll(run) }()
	}
	var late <-chan time.Time
	switch wait {
	case whatever:
	case 0:
		if len(w.arranging) == 0 {
			return false, nil
		}
	default:
		late = time.After(wait)
	}
	select {
	case made := <-w.arranging:
		w.arranging = nil
		return true, w.arrangeBy(made)
	case <-late:
		return false, nil
	}
}

// arrangeBy takes an arrangement over, or has SQLite make one where the pages tell no places.
func (w *fileWriter) arrangeBy(made arranged) error {
	if made.err != nil {
		a, err := w.foldBy()
		if err != nil {
			return err
		}
		if made.arrangement, err = a.arrange(w.over.Unarranged()); err != nil {
			return err
		}
	}
	w.over.Arranged(made.arrangement)
	w.comesTo("arrange")
	w.before, w.beforeLogged = w.over.Active(), w.logged
	return nil
}

var errEnded = errors.New("the store is being closed")

// locateAll arranges a run by where the pages have its rows. Any goroutine may call it.
func (w *fileWriter) locateAll(run *overlay.Frozen) (made arranged) {
	if w.views == nil {
		return arranged{err: errUnread}
	}
	defer moment.OnFault(debug.SetPanicOnFault(true), &made.err)
	var p pin
	looked := 0
	release := func() {
		if p.view != nil {
			w.views.leave(p)
			p = pin{}
		}
	}
	defer release()
	made.arrangement, made.err = run.Arrange(func(group, key string) (place overlay.Place, err error) {
		if looked++; looked%pinnedPlaces == 0 {
			release()
		}
		if p.view == nil {
			if w.stopped.Load() {
				return place, errEnded
			}
			ok := false
			if p, ok = w.views.pinAny(); !ok {
				return place, errUnread
			}
		}
		return p.view.place(group, key)
	})
	return made
}

// stopArranging ends the goroutine, if there is one.
func (w *fileWriter) stopArranging() {
	if w.arranging == nil {
		return
	}
	w.stopped.Store(true)
	<-w.arranging
	w.arranging = nil
	w.stopped.Store(false)
}

// noteFold notes whether the table gets what it lacks.
func (w *fileWriter) noteFold(err error) {
	if errors.Is(err, kv.FileLostError) {
		return // which the guard tells
	}
	if err == nil {
		was := w.fault.end()
		if was == nil {
			return
		}
		w.logger.Info("what was committed is written to the table again", "after", time.Since(was.since))
	} else {
		err = explainDamage(err)
		if !w.fault.note(fmt.Errorf("%w: %w", kv.UnfoldedError, err), foldPause) {
			return
		}
		w.logger.Error("what was committed can't be written to the table; it is in the log, and it is tried again", "error", err)
	}
	w.fault.tell()
}
