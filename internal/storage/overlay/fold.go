package overlay

import (
	"fmt"
	"math"

	"forge.lthn.ai/core/go-store/kv"
)

// Cursor says how much of the runs a base has: all of those before Run, and of that one
// what comes before a place in the order of its fold. Its zero value is before all.
//
// Within a group the mark comes first, and is folded whole before any of its rows.
type Cursor struct {
	Run   uint64
	stage stage
	group string
	key   string
}

type stage uint8

const (
	atBegin stage = iota // nothing of the run
	atMark               // all up to the group's mark
	atRow                // all up to the group's key
)

// hasMark and hasRow report whether the mark of a group, and what the run says of a key,
// lie before the cursor.
func (c *Cursor) hasMark(r *run, group string) bool {
	return c.Run > r.number || c.Run == r.number && c.stage != atBegin && group <= c.group
}

func (c *Cursor) hasRow(r *run, group, key string) bool {
	if c.Run != r.number || c.stage == atBegin {
		return c.Run > r.number
	}
	return group < c.group || c.stage == atRow && group == c.group && key <= c.key
}

// Change is what a base is to do.
type Change struct {
	Kind Kind
	Row  kv.Row // of Remove: its names; of RemoveGroup: its group
}

// Kind is the kind of a Change.
type Kind uint8

const (
	Put         Kind = iota // write the row, whether its key is there or not
	Remove                  // remove the row, if it is there
	RemoveGroup             // remove all rows of the group
)

// Freeze makes the active run the frozen one, between two transactions. There must be no
// frozen one.
func (o *Overlay) Freeze() {
	if o.working.frozen != nil || len(o.changes) > 0 {
		panic(fmt.Sprintf("overlay: frozen beside run %d, or with %d changes that are not committed", o.folded.Run, len(o.changes)))
	}
	o.working.frozen = o.working.active
	o.working.active = newRun(o.working.frozen.number + 1)
	o.publish(o.published.Load().revision)
}

// Frozen reports whether there is a frozen run.
func (o *Overlay) Frozen() bool { return o.working.frozen != nil }

// Progress is how much the base has.
func (o *Overlay) Progress() Cursor { return o.folded }

// Slice is the frozen run's changes behind a cursor, in the order of keys, as the base is to
// make them: at most so many, and no more once they weigh so many bytes, but one if there is
// one. end is the cursor behind them; its Run is the next one's if these were the last.
//
// They may be made any number of times, but a slice never after a later one. What the run
// says of keys of a group that has a mark is cut down to rows: the mark removes all others.
// A RemoveGroup is the last of its slice, so that its rows can be removed in some
// transactions, the cursor being moved with the last.
func (o *Overlay) Slice(after Cursor, changes, bytes int) (slice []Change, end Cursor) {
	r := o.working.frozen
	if r == nil || after.Run > r.number {
		return nil, after
	}
	mark, row := r.behind(after)
	end = after
	end.Run = r.number
	for len(slice) < changes && bytes > 0 {
		switch {
		case mark == nil && row == nil:
			return slice, Cursor{Run: r.number + 1}
		case row == nil || mark != nil && mark.group <= row.group:
			end.stage, end.group, end.key = atMark, mark.group, ""
			is := mark.newest.Load() != nil
			if is {
				slice = append(slice, Change{Kind: RemoveGroup, Row: kv.Row{Group: mark.group}})
				bytes -= len(mark.group)
			}
			if mark = mark.follows(); is {
				return slice, end
			}
		default:
			end.stage, end.group, end.key = atRow, row.group, row.key
			if v := row.newest.Load(); v != nil && (!v.gone || !r.hides(row.group, math.MaxUint64)) {
				slice = append(slice, Change{Kind: kindOf(v), Row: row.row(v)})
				bytes -= len(row.group) + len(row.key) + len(v.value)
			}
			row = row.follows()
		}
	}
	if mark == nil && row == nil {
		end = Cursor{Run: r.number + 1}
	}
	return slice, end
}

func kindOf(v *version) Kind {
	if v.gone {
		return Remove
	}
	return Put
}

// behind is the first mark and the first row that lie behind a cursor.
func (r *run) behind(c Cursor) (mark, row *cell) {
	if c.Run < r.number || c.stage == atBegin {
		return r.marks.first(), r.rows.first()
	}
	mark = r.marks.seek(c.group, "\x00") // that of the group has the key ""
	if c.stage == atMark {
		return mark, r.rows.seek(c.group, "")
	}
	return mark, r.rows.seek(c.group, c.key+"\x00")
}

// Folded notes that the base has what lies before a cursor, as committed as the log is.
func (o *Overlay) Folded(c Cursor) { o.folded = c }

// Retire lets go of the frozen run, all of which the base has. Who has pinned a state that
// shows it goes on reading it.
func (o *Overlay) Retire() {
	if r := o.working.frozen; r == nil || o.folded.Run <= r.number {
		panic(fmt.Sprintf("overlay: retired at run %d, which is not folded", o.folded.Run))
	}
	o.working.frozen = nil
	o.publish(o.published.Load().revision)
}
