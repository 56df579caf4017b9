package overlay

import (
	"sync/atomic"

	"forge.lthn.ai/core/go-store/kv"

	"github.com/tidwall/btree"
)

// run is what was committed in a stretch of the log: of each key that changed in it, what
// became of it.
type run struct {
	rows   list
	marks  list                  // of groups, with the key "": nothing of what lies below is left
	marked atomic.Bool           // there may be marks
	dying  *btree.BTreeG[*dying] // the writer's: versions with a deadline that are the newest of their cells
	bytes  atomic.Int64          // what it weighs; the writer counts
	number uint64                // of the runs, in their order, from 1
	shifts bool                  // what lies under the run changes: it is not to be remembered
}

// dying is a row that has a deadline.
type dying struct {
	deadline int64
	cell     *cell
}

func sooner(a, b *dying) bool {
	if a.deadline != b.deadline {
		return a.deadline < b.deadline
	}
	if a.cell == nil || b.cell == nil { // what a search begins at: before all that have its deadline
		return a.cell == nil && b.cell != nil
	}
	return a.cell.compare(b.cell.group, b.cell.key) < 0
}

func newRun(number uint64) *run {
	r := &run{number: number, dying: btree.NewBTreeGOptions(sooner, btree.Options{Degree: 16, NoLocks: true})}
	r.rows.init()
	r.marks.init()
	return r
}

// mark is the mark of a group, if a state of a number shows it.
func (r *run) mark(group string, number uint64) *cell {
	if !r.marked.Load() {
		return nil
	}
	if mark := r.marks.find(group, ""); mark != nil && mark.at(number) != nil {
		return mark
	}
	return nil
}

// hides reports whether there is such a mark.
func (r *run) hides(group string, number uint64) bool { return r.mark(group, number) != nil }

// get is what the run says of a key to a state of a number. spoiled: the key has later
// versions, so that the one that the state should show may have been taken away.
func (r *run) get(group, key string, number uint64) (row kv.Row, verdict Verdict, spoiled bool) {
	if c := r.rows.find(group, key); c != nil {
		v := c.newest.Load()
		if v != nil && v.number > number {
			v, spoiled = c.at(number), true
		}
		switch {
		case v == nil:
		case v.gone:
			return row, Absent, spoiled
		default:
			return c.row(v), Present, spoiled
		}
	}
	if r.hides(group, number) {
		return row, Absent, spoiled
	}
	return row, Below, spoiled
}

// expires keeps the order of deadlines.
func (r *run) expires(c *cell, out, in *version) {
	if out != nil && out.deadline != kv.NoDeadline && !out.gone {
		r.dying.Delete(&dying{out.deadline, c})
	}
	if in != nil && in.deadline != kv.NoDeadline && !in.gone {
		r.dying.Set(&dying{in.deadline, c})
	}
}
