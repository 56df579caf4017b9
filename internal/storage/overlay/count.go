package overlay

import (
	"math"

	"forge.lthn.ai/core/go-store/kv"
)

// Base is what a count asks a snapshot of the base.
type Base interface {
	// Deadline is the deadline of a key's row.
	Deadline(group, key string) (deadline int64, found bool, err error)
	// Live is how many rows of a group live, and limit if there are more.
	Live(group string, now, limit int64) (int64, error)
}

// Delta is how many more live rows, and groups that have one, the state and the base have
// together than the base alone; negative if there are fewer. The base's snapshot must be one
// as for Merge, and folded how much it has: what was noted by Folded with the commit that it
// shows.
//
// It costs a walk of what the overlay has in the range, some questions to the base for each
// group there, and one for each key that was not looked up before. With groups false only
// rows are counted, which asks less. With math.MinInt64 as now all rows count as live.
func (s *State) Delta(r kv.Range, now int64, folded Cursor, base Base, groups bool) (delta kv.Usage, err error) {
	d := counter{state: s, now: now, folded: folded, base: base}
	bounds := GroupBounds(r)
	for group, found := s.touched(r.From, &bounds); found; group, found = s.touched(group+"\x00", &bounds) {
		keys, n, err := d.group(group, groups)
		if err != nil {
			return delta, err
		}
		delta.Keys += keys
		delta.Groups += n
	}
	return delta, nil
}

// NextGroup is the first group of a range, from a name on, of which the state may say
// something.
func (s *State) NextGroup(from string, r kv.Range) (group string, found bool) {
	bounds := GroupBounds(r)
	return s.touched(max(from, r.From), &bounds)
}

// Touches reports whether the state may say something of what lies within bounds.
func (s *State) Touches(b Bounds) bool {
	for _, r := range []*run{s.active, s.frozen} {
		if r == nil {
			continue
		}
		if c := r.rows.seek(b.From.Group, b.From.Key); c != nil && b.contains(c, false) {
			return true
		}
		if c := r.marks.seek(b.From.Group, ""); c != nil && b.contains(c, false) {
			return true
		}
	}
	return false
}

// touched is the first group from a name on of which a run says something.
func (s *State) touched(from string, b *Bounds) (group string, found bool) {
	for _, r := range []*run{s.active, s.frozen} {
		if r == nil {
			continue
		}
		for _, l := range []*list{&r.rows, &r.marks} {
			if c := l.seek(from, ""); c != nil && b.contains(c, false) && (!found || c.group < group) {
				group, found = c.group, true
			}
		}
	}
	return group, found
}

type counter struct {
	state  *State
	now    int64
	folded Cursor
	base   Base

	lives, covers int64 // rows of the group in hand: in the overlay, and of the base below it
}

// group counts one group.
func (d *counter) group(group string, groups bool) (keys, more int64, err error) {
	s := d.state
	d.lives, d.covers = 0, 0
	hidden := d.hidden(group)
	bounds := GroupBounds(kv.GroupRange(group))
	walk := s.Iterate(bounds, false)
	for from := walk.peek(); from != nil; from = walk.peek() {
		if err := d.key(walk, from, hidden); err != nil {
			return 0, 0, err
		}
		walk.step(from, from == &walk.frozen)
	}
	if hidden { // all that the base has
		if d.covers, err = d.base.Live(group, d.now, math.MaxInt64); err != nil {
			return 0, 0, err
		}
	}
	keys = d.lives - d.covers
	if !groups {
		return keys, 0, nil
	}
	more, err = d.liveness(group, hidden)
	return keys, more, err
}

// hidden reports whether nothing counts that the base has of a group.
func (d *counter) hidden(group string) bool {
	s := d.state
	if s.active.hides(group, s.number) {
		return true
	}
	if s.frozen == nil {
		return false
	}
	mark := s.frozen.mark(group, s.number)
	return mark != nil && !d.folded.hasMark(s.frozen, mark)
}

// key counts the key that a walk is at, by the version that decides.
func (d *counter) key(walk *Iterator, at *cursor, hidden bool) error {
	frozen := walk.passed
	if at == &walk.frozen {
		if frozen = at.cell; d.folded.hasRow(d.state.frozen, frozen) {
			return nil // the base has it as the overlay says
		}
	}
	if !at.version.gone && d.live(at.version.deadline) {
		d.lives++
	}
	if hidden {
		return nil
	}
	deadline, found, err := d.below(at.cell, frozen)
	if err != nil {
		return err
	}
	if found && d.live(deadline) {
		d.covers++
	}
	return nil
}

// live reports whether a row counts.
func (d *counter) live(deadline int64) bool { return deadline > d.now || d.now == math.MinInt64 }

// below is the row that the base's snapshot has of a cell's key, which the overlay decides, in
// a group of which it shows something. frozen is the frozen run's cell, nil if that says nothing
// of the key.
func (d *counter) below(c, frozen *cell) (deadline int64, found bool, err error) {
	s := d.state
	if s.frozen != nil {
		switch {
		case frozen != nil && d.folded.hasRow(s.frozen, frozen):
			v := frozen.newest.Load()
			return v.deadline, !v.gone, nil
		case s.frozen.hides(c.group, s.number):
			return 0, false, nil // the base has removed it with its group
		case frozen != nil:
			c = frozen // what the base has lies under the frozen run
		}
	}
	if s.active.shifts {
		return d.base.Deadline(c.group, c.key)
	}
	if deadline, found, known := c.under.what(); known {
		return deadline, found, nil
	}
	if deadline, found, err = d.base.Deadline(c.group, c.key); err == nil {
		c.under.know(deadline, found)
	}
	return deadline, found, err
}

// liveness is 1 for a group that has a live row and none in the base, -1 for the contrary.
func (d *counter) liveness(group string, hidden bool) (int64, error) {
	n, err := d.base.Live(group, d.now, 1)
	if err != nil {
		return 0, err
	}
	lives := d.lives > 0
	if !lives && !hidden && n > 0 { // a row that the overlay says nothing of
		left, err := d.base.Live(group, d.now, d.covers+1)
		if err != nil {
			return 0, err
		}
		lives = left > d.covers
	}
	switch was := n > 0; {
	case lives && !was:
		return 1, nil
	case was && !lives:
		return -1, nil
	default:
		return 0, nil
	}
}
