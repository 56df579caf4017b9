package overlay

import (
	"fmt"
	"math"
	"strings"
	"sync/atomic"

	"forge.lthn.ai/core/go-store/internal/planted"
	"forge.lthn.ai/core/go-store/kv"
)

// Overlay is the runs of a store, and the changes of the transaction that is open.
type Overlay struct {
	published atomic.Pointer[State]
	loaded    func() // called when a reader has loaded a state and not pinned it; nil but in tests

	// All that follows is the writer's.
	working State    // at the last number of all
	changes []change // of the open transaction, the oldest first
	old     []*State // that were published before: pinned ones, and those since the last Prune
	kept    []kept   // versions whose before a pinned state may show
	swept   int      // how many there were after the last sweep
	folded  Cursor   // of the frozen run

	arranged *Arrangement // of the frozen run, once it has one
}

// change is what was said of a cell, and what was said of it before; nil for nothing.
type change struct {
	cell        *cell
	now, before *version
	mark        bool  // the cell is a mark
	outlived    *cell // of the frozen run: its deadline is that of no row any more
}

type kept struct {
	version *version
	run     *run
}

// New is an overlay that is empty, over a base of a revision.
func New(revision uint64) *Overlay {
	o := &Overlay{}
	o.working.active, o.working.number = newRun(1), math.MaxUint64
	o.folded.Run = 1
	o.published.Store(&State{active: o.working.active, revision: revision, number: 1})
	return o
}

// NewOver is New for an overlay that another process folds: the base gets what the overlay says
// at any time, which a count must not take for what was there before.
func NewOver(revision uint64) *Overlay {
	o := New(revision)
	o.working.active.shifts = true
	return o
}

// Working is what the writer sees: what is committed, and what it has changed since. It is
// not to be released, and shows what changes.
func (o *Overlay) Working() *State { return &o.working }

// Set has a key have a row. The strings are copied.
func (o *Overlay) Set(row kv.Row) {
	o.put(row.Group, row.Key, &version{value: strings.Clone(row.Value), deadline: row.Deadline, revision: row.Revision})
}

// Delete has a key have no row.
func (o *Overlay) Delete(group, key string, revision uint64) {
	o.put(group, key, &version{gone: true, revision: revision})
}

// DeleteGroup has all keys of a group have no rows, here and below.
func (o *Overlay) DeleteGroup(group string, revision uint64) {
	r := o.working.active
	first := r.rows.seek(group, "")
	if planted.MarkMissesKey && first != nil && first.group == group {
		first = first.follows()
	}
	for c := first; c != nil && c.group == group; c = c.follows() {
		if v := c.newest.Load(); v != nil && !v.gone {
			o.say(c, &version{gone: true, revision: revision})
		}
	}
	if f := o.working.frozen; f != nil && f.dying.Len() > 0 {
		for c := f.rows.seek(group, ""); c != nil && c.group == group; c = c.follows() {
			if o.outlive(c) {
				o.changes = append(o.changes, change{outlived: c})
			}
		}
	}
	mark, made := r.marks.insert(group, "")
	if made {
		r.bytes.Add(mark.weight())
	}
	if mark.newest.Load() != nil {
		return // what lies below is hidden already, and for good
	}
	r.marked.Store(true) // before there is one
	v := &version{gone: true, revision: revision, number: o.published.Load().number + 1}
	o.changes = append(o.changes, change{cell: mark, now: v, mark: true})
	r.bytes.Add(v.weight())
	mark.newest.Store(v)
}

// Apply does what an effect of the log has done.
func (o *Overlay) Apply(e *kv.Event) {
	switch e.Type {
	case kv.EventSet:
		deadline := kv.NoDeadline
		if !e.ExpiresAt.IsZero() {
			deadline = kv.DeadlineOf(e.ExpiresAt)
		}
		o.Set(kv.Row{Group: e.Group, Key: e.Key, Value: e.Value, Deadline: deadline, Revision: e.Revision})
	case kv.EventDelete, kv.EventExpire:
		o.Delete(e.Group, e.Key, e.Revision)
	case kv.EventDeleteGroup:
		o.DeleteGroup(e.Group, e.Revision)
	default:
		panic(fmt.Sprintf("overlay: effect of unknown type %d", e.Type))
	}
}

func (o *Overlay) put(group, key string, v *version) {
	c, made := o.working.active.rows.insert(group, key)
	if made {
		o.working.active.bytes.Add(c.weight())
	}
	o.say(c, v)
	if f := o.working.frozen; f != nil && f.dying.Len() > 0 {
		if c := f.rows.find(group, key); c != nil && o.outlive(c) {
			o.changes[len(o.changes)-1].outlived = c
		}
	}
}

// outlive takes a cell of the frozen run out of the order of deadlines, and reports whether
// it was there.
func (o *Overlay) outlive(c *cell) bool {
	f := o.working.frozen
	n := f.dying.Len()
	f.expires(c, c.newest.Load(), nil)
	return f.dying.Len() < n
}

// say gives a cell of the active run a version.
func (o *Overlay) say(c *cell, v *version) {
	r, before := o.working.active, c.newest.Load()
	v.number = o.published.Load().number + 1
	v.before.Store(before)
	o.changes = append(o.changes, change{cell: c, now: v, before: before})
	r.bytes.Add(v.weight())
	r.expires(c, before, v)
	c.newest.Store(v)
}

// Knows tells what lies below the active run at a key that was just changed in it, where
// the writer has looked anyway: to count is cheaper then.
func (o *Overlay) Knows(group, key string, deadline int64, found bool) {
	if c := o.working.active.rows.find(group, key); c != nil {
		c.under.know(deadline, found)
	}
}

// Mark is a point within the transaction that Undo goes back to; 0 is its beginning.
func (o *Overlay) Mark() int { return len(o.changes) }

// Changed calls f with each key of which something was said since the mark, or, whole, with
// each group that was deleted.
func (o *Overlay) Changed(mark int, f func(group, key string, whole bool)) {
	for _, c := range o.changes[mark:] {
		if c.cell != nil {
			f(c.cell.group, c.cell.key, c.mark)
		}
	}
}

// Undo takes back what was changed since the mark.
func (o *Overlay) Undo(mark int) {
	r := o.working.active
	for i := len(o.changes) - 1; i >= mark; i-- {
		c := &o.changes[i]
		if c.outlived != nil {
			o.working.frozen.expires(c.outlived, nil, c.outlived.newest.Load())
		}
		if c.cell == nil {
			continue
		}
		c.cell.newest.Store(c.before)
		r.bytes.Add(-c.now.weight())
		if !c.mark {
			r.expires(c.cell, c.now, c.before)
		}
	}
	clear(o.changes[mark:])
	o.changes = o.changes[:mark]
}

// Commit publishes what was changed: a pin sees it from now on. The revision is the
// log's last; what is shown goes by numbers of its own, which need nothing of it. Prune must follow.
func (o *Overlay) Commit(revision uint64) *State {
	o.publish(revision, 1)
	return o.published.Load()
}

// Prune ends what Commit has begun, and lets go of what no reader can see any more. If readers
// come to states by something else that is published, then not before that leads to the last
// one.
func (o *Overlay) Prune() {
	pinned := o.old[:0]
	for _, s := range o.old {
		if s.pins.Load() > 0 { // a later one is published: no reader comes to it any more
			pinned = append(pinned, s)
		}
	}
	clear(o.old[len(pinned):])
	o.old = pinned
	o.prune()
	if cap(o.changes) > keptChanges {
		o.changes = nil
	}
	clear(o.changes)
	o.changes = o.changes[:0]
}

// keptChanges is the longest list of changes that is kept between transactions.
const keptChanges = 8 << 10

// publish shows every reader the runs as they are, and what was changed, by so much more.
func (o *Overlay) publish(revision, more uint64) {
	before := o.published.Load()
	o.old = append(o.old, before)
	o.published.Store(&State{active: o.working.active, frozen: o.working.frozen, revision: revision, number: before.number + more})
}

// Bytes is about what the runs weigh.
func (o *Overlay) Bytes() int64 {
	n := o.working.active.bytes.Load()
	if o.working.frozen != nil {
		n += o.working.frozen.bytes.Load()
	}
	return n
}

// Active is about what the active run weighs.
func (o *Overlay) Active() int64 { return o.working.active.bytes.Load() }

// Bytes is about what the runs weigh that the state shows, now.
func (s *State) Bytes() int64 {
	n := s.active.bytes.Load()
	if s.frozen != nil {
		n += s.frozen.bytes.Load()
	}
	return n
}

// Held is about what runs weigh that have left the overlay and are pinned.
func (o *Overlay) Held() (n int64) {
	counted := make(map[*run]bool)
	for _, s := range o.old {
		for _, r := range []*run{s.active, s.frozen} {
			if r != nil && s.pins.Load() > 0 && r != o.working.active && r != o.working.frozen && !counted[r] {
				counted[r] = true
				n += r.bytes.Load()
			}
		}
	}
	return n
}
