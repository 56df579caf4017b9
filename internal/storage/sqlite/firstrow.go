package sqlite

import (
	"errors"
	"math"

	"forge.lthn.ai/core/go-store/internal/storage/overlay"
	"forge.lthn.ai/core/go-store/kv"
)

// Whether a group has a row is asked after each of its keys that goes, where there is a quota,
// and before each that comes. What an overlay has of keys that went stays until it is folded,
// and so do the table's rows of them: to look through all of those anew each time would take,
// of a group whose keys go one by one, time by the square of their number. So it is remembered
// from where on there is something.

// firstRows is where the groups that were asked about begin. The zero value knows nothing. It
// is right for as long as the frozen run is the same; retiring that forgets it all.
type firstRows struct {
	groups map[string]*firstRow
	before int // keys that all of them have in between
}

// firstRow is what is known of one group. Neither place ever goes back.
type firstRow struct {
	over    string              // no key before it has a row in the overlay,
	below   string              // and none before this one a row of the table's that the overlay says nothing of,
	between map[string]struct{} // but for these, which may
}

// Bounds of what is remembered, beyond which it is begun anew.
const (
	mostFirstRows = 1 << 10
	mostBetween   = 1 << 14
)

// of is what is known of a group, which is noted from now on.
func (f *firstRows) of(group string) *firstRow {
	if first := f.groups[group]; first != nil {
		return first
	}
	if f.groups == nil || len(f.groups) >= mostFirstRows || f.before >= mostBetween {
		*f = firstRows{groups: make(map[string]*firstRow)}
	}
	first := &firstRow{between: make(map[string]struct{})}
	f.groups[group] = first
	return first
}

// comes notes that a key may have a row that it had not.
func (f *firstRows) comes(group, key string) {
	first := f.groups[group]
	if first == nil || key >= first.over && key >= first.below {
		return
	}
	if f.before >= mostBetween {
		f.forget()
		return
	}
	n := len(first.between)
	first.between[key] = struct{}{}
	f.before += len(first.between) - n
}

func (f *firstRows) forget() { *f = firstRows{} }

// undoTo undoes the overlay's changes since a mark.
func (w *fileWriter) undoTo(mark int) {
	w.over.Changed(mark, func(group, key string, whole bool) {
		if whole {
			delete(w.first.groups, group)
		} else {
			w.first.comes(group, key)
		}
	})
	w.over.Undo(mark)
}

// hasRow reports whether a group has a row that lives then; with math.MinInt64, any.
func (w *fileWriter) hasRow(group string, now int64) (bool, error) {
	lives := func(deadline int64) bool { return deadline > now || now == math.MinInt64 }
	first := w.first.of(group)
	for key := range first.between {
		row, found, err := w.getOver(group, key)
		if err != nil {
			return false, err
		}
		if !found {
			delete(first.between, key)
			w.first.before--
		} else if lives(row.Deadline) {
			return true, nil
		}
	}
	if found := w.laidRow(first, group, lives); found || w.over.Working().Hides(group) {
		return found, nil
	}
	return w.belowRow(first, group, now != math.MinInt64, lives)
}

// laidRow reports whether the overlay has a row of a group, from where it may have one on.
func (w *fileWriter) laidRow(first *firstRow, group string, lives func(deadline int64) bool) bool {
	bounds := overlay.GroupBounds(kv.GroupRange(group))
	bounds.From.Key = first.over
	walk, passed := w.over.Working().Iterate(bounds, false), lead{place: &first.over}
	defer passed.end()
	for e, ok := walk.Next(); ok; e, ok = walk.Next() {
		if e.Gone {
			passed.pass(e.Row.Key)
		} else if passed.stop(); lives(e.Row.Deadline) {
			return true
		}
	}
	return false
}

// belowRow is laidRow of what the table has and the overlay says nothing of.
func (w *fileWriter) belowRow(first *firstRow, group string, dated bool, lives func(deadline int64) bool) (found bool, err error) {
	working, from, passed := w.over.Working(), first.below, lead{place: &first.below}
	judge := func(key string, deadline int64) (more bool) {
		if _, verdict := working.Get(group, key); verdict != overlay.Below {
			passed.pass(key)
		} else {
			passed.stop()
			found = lives(deadline)
		}
		return !found
	}
	err = w.below(func(v *view) error { return v.eachOf(group, from, dated, judge) })
	if errors.Is(err, errUnread) {
		passed, found = lead{place: &first.below}, false
		err = naming(err, w.belowEach(group, from, judge))
	}
	if err == nil {
		passed.end()
	}
	return found, err
}

// lead moves a place past the first keys of a walk, as far as they are passed over.
type lead struct {
	place   *string
	last    string // that was passed over
	any     bool
	stopped bool
}

func (l *lead) pass(key string) {
	if !l.stopped {
		l.last, l.any = key, true
	}
}

func (l *lead) stop() { l.stopped = true }

func (l *lead) end() {
	if l.any {
		*l.place = l.last + "\x00"
	}
}
