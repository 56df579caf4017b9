package overlay

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"forge.lthn.ai/core/go-store/kv"
)

// Cursor says how much of the runs a base has: all of those before Run, and of that one
// the first so many marks, and, once these are done, rows, in the order of its arrangement.
type Cursor struct {
	Run         uint64
	Marks, Rows int
}

// hasMark and hasRow report whether the base has what the run says of a group, or of a key.
// (Turns are given before anything of the run is folded: a reader whose cursor is
// beyond that may read them.)
func (c *Cursor) hasMark(r *run, mark *cell) bool {
	return c.Run > r.number || c.Run == r.number && c.Marks > 0 && mark.turn < c.Marks
}

func (c *Cursor) hasRow(r *run, row *cell) bool {
	return c.Run > r.number || c.Run == r.number && c.Rows > 0 && row.turn < c.Rows
}

// Change is what a base is to do.
type Change struct {
	Kind Kind
	Row  kv.Row // of Remove: its names; of RemoveGroup: its group
	// Where the base had a row of the key when the run was arranged, if that was found: see
	// Place.
	At    int64
	Found bool
}

// Kind is the kind of a Change.
type Kind uint8

const (
	Put         Kind = iota // write the row, whether its key is there or not
	Remove                  // remove the row, if it is there
	RemoveGroup             // remove all rows of the group
)

// Freeze makes the active run the frozen one, between two transactions. There must be no
// frozen one. What it returns is to be arranged, by any goroutine.
func (o *Overlay) Freeze() *Frozen {
	if o.working.frozen != nil || len(o.changes) > 0 {
		panic(fmt.Sprintf("overlay: frozen beside run %d, or with %d changes that are not committed", o.folded.Run, len(o.changes)))
	}
	o.working.frozen = o.working.active
	o.working.active = newRun(o.working.frozen.number + 1)
	o.arranged = nil
	o.publish(o.published.Load().revision, 0)
	return &Frozen{run: o.working.frozen}
}

// Frozen is a run that does not change any more.
type Frozen struct{ run *run }

// Place is where a base has a key's row: rows of places that are near each other are
// written together for less. found: it has one, which has the deadline.
type Place struct {
	At       int64
	Deadline int64
	Found    bool
}

// Arrange puts the run's changes in an order to be folded in: the marks first, then the rows
// that the base has, by their places, then the others, by their keys. locate asks a snapshot
// of the base, taken after the run was frozen; nil arranges all by keys. Any goroutine may call it,
// while the overlay is read and written to, and again after an error.
//
// What is located is what counts ask for, so they need not look it up.
func (f *Frozen) Arrange(locate func(group, key string) (Place, error)) (*Arrangement, error) {
	a := &Arrangement{run: f.run}
	for c := f.run.marks.first(); c != nil; c = c.follows() {
		if c.newest.Load() != nil {
			a.marks = append(a.marks, c)
		}
	}
	type placed struct {
		cell *cell
		at   int64
	}
	var found []placed
	var news []*cell
	for c := f.run.rows.first(); c != nil; c = c.follows() {
		v := c.newest.Load()
		switch {
		case v == nil || v.gone && f.run.hides(c.group, math.MaxUint64):
			// It says nothing, or what the mark says.
		case locate == nil:
			news = append(news, c)
		default:
			place, err := locate(c.group, c.key)
			if err != nil {
				return nil, err
			}
			c.under.know(place.Deadline, place.Found)
			switch {
			case place.Found:
				found = append(found, placed{c, place.At})
			case !v.gone:
				news = append(news, c)
			}
		}
	}
	slices.SortFunc(found, func(a, b placed) int { return cmp.Compare(a.at, b.at) })
	a.rows, a.places = make([]*cell, 0, len(found)+len(news)), make([]int64, 0, len(found))
	for _, p := range found {
		a.rows, a.places = append(a.rows, p.cell), append(a.places, p.at)
	}
	a.rows = append(a.rows, news...)
	return a, nil
}

// Arrangement is the order in which a run is folded.
type Arrangement struct {
	run         *run
	marks, rows []*cell
	places      []int64 // of the first so many rows
}

// Arranged takes an arrangement of the frozen run over.
func (o *Overlay) Arranged(a *Arrangement) {
	if a.run != o.working.frozen || o.arranged != nil {
		panic(fmt.Sprintf("overlay: the arrangement is of run %d", a.run.number))
	}
	for i, c := range a.marks {
		c.turn = i
	}
	for i, c := range a.rows { // what has no turn has nothing to be folded, and needs none
		c.turn = i
	}
	o.arranged = a
	o.folded = Cursor{Run: a.run.number}
}

// Unarranged is the frozen run while it has no arrangement, nil if there is none.
func (o *Overlay) Unarranged() *Frozen {
	if o.working.frozen == nil || o.arranged != nil {
		return nil
	}
	return &Frozen{run: o.working.frozen}
}

// Empty reports whether the base has all that there is.
func (o *Overlay) Empty() bool {
	r := o.working.active
	return o.working.frozen == nil && r.rows.length == 0 && r.marks.length == 0
}

// Gathered is how many keys and groups the active run says something of, or has said.
func (o *Overlay) Gathered() int { return o.working.active.rows.length + o.working.active.marks.length }

// FrozenKeys is how many keys and groups the frozen run says something of.
func (o *Overlay) FrozenKeys() int {
	r := o.working.frozen
	return r.rows.length + r.marks.length
}

// Left is how many changes of the frozen run the base has not got, once it is arranged.
func (o *Overlay) Left() int {
	if !o.folding() {
		return 0
	}
	return o.LeftMarks() + len(o.arranged.rows) - o.folded.Rows
}

// LeftMarks is how many of those are groups that are removed.
func (o *Overlay) LeftMarks() int {
	if !o.folding() {
		return 0
	}
	return len(o.arranged.marks) - o.folded.Marks
}

// folding reports whether some of the frozen run is left, which is arranged.
func (o *Overlay) folding() bool { return o.arranged != nil && o.folded.Run <= o.arranged.run.number }

// Frozen reports whether there is a frozen run.
func (o *Overlay) Frozen() bool { return o.working.frozen != nil }

// Progress is how much the base has.
func (o *Overlay) Progress() Cursor { return o.folded }

// Slice is the frozen run's changes behind a cursor, in the order of their arrangement, as
// the base is to make them: at most so many, and no more once they weigh so many bytes, but
// one if there is one. end is the cursor behind them; its Run is the next one's if these were
// the last.
//
// They may be made any number of times, but a slice never after a later one. Groups that are
// removed are a slice of their own, of which some may be made, and a part of the next: then the
// cursor's Marks say how many. Of a group that has a mark only rows are left: the mark removes all others.
func (o *Overlay) Slice(after Cursor, changes, bytes int) (slice []Change, end Cursor) {
	a := o.arranged
	if a == nil || after.Run > a.run.number {
		return nil, after
	}
	end = after
	if end.Marks < len(a.marks) {
		for end.Marks < len(a.marks) && len(slice) < changes {
			c := a.marks[end.Marks]
			end.Marks++
			slice = append(slice, Change{Kind: RemoveGroup, Row: kv.Row{Group: c.group}})
		}
	} else {
		for end.Rows < len(a.rows) && len(slice) < changes && bytes > 0 {
			c := a.rows[end.Rows]
			v := c.newest.Load()
			change := Change{Kind: kindOf(v), Row: c.row(v)}
			if change.Found = end.Rows < len(a.places); change.Found {
				change.At = a.places[end.Rows]
			}
			end.Rows++
			slice = append(slice, change)
			bytes -= len(c.group) + len(c.key) + len(v.value)
		}
	}
	if end.Marks == len(a.marks) && end.Rows == len(a.rows) {
		end = Cursor{Run: a.run.number + 1}
	}
	return slice, end
}

func kindOf(v *version) Kind {
	if v.gone {
		return Remove
	}
	return Put
}

// Folded notes that the base has what lies before a cursor, as committed as the log is.
func (o *Overlay) Folded(c Cursor) { o.folded = c }

// Retire lets go of the frozen run, all of which the base has, between two transactions. A
// reader that has pinned a state that shows it goes on reading it.
func (o *Overlay) Retire() {
	if r := o.working.frozen; r == nil || o.folded.Run <= r.number || len(o.changes) > 0 {
		panic(fmt.Sprintf("overlay: retired at run %d, which is not folded, or with %d changes that are not committed", o.folded.Run, len(o.changes)))
	}
	o.working.frozen, o.arranged = nil, nil
	o.publish(o.published.Load().revision, 0)
}
