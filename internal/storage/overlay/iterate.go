package overlay

import "forge.lthn.ai/core/go-store/kv"

// Bounds are what lies between two positions: From is included, To is not. With Unbounded
// there is no upper end.
type Bounds struct {
	From, To  kv.Key
	Unbounded bool
}

// GroupBounds are the bounds of a range of groups.
func GroupBounds(r kv.Range) Bounds {
	return Bounds{From: kv.Key{Group: r.From}, To: kv.Key{Group: r.To}, Unbounded: r.Unbounded}
}

// contains reports whether a cell lies within the end that a walk comes to.
func (b *Bounds) contains(c *cell, reverse bool) bool {
	if reverse {
		return c.compare(b.From.Group, b.From.Key) >= 0
	}
	return b.Unbounded || c.compare(b.To.Group, b.To.Key) < 0
}

// Entry is what an overlay says of a key.
type Entry struct {
	Row  kv.Row // of a key that is gone: its names and revision
	Gone bool
}

// Iterator walks what a state says of keys, in their order. What it leaves out is for the
// base to say, unless State.Hides says otherwise of the group.
type Iterator struct {
	state          *State
	bounds         Bounds
	reverse        bool
	active, frozen cursor
	passed         *cell  // the frozen run's of the key that active is at, which decides; nil: there is none
	group          string // the last that was asked about, and whether it is hidden from the frozen run
	asked, hidden  bool
}

// cursor stands at a cell that has a version which the state shows, or at none.
type cursor struct {
	cell    *cell
	version *version
}

// Iterate begins a walk, backward if that is wanted.
func (s *State) Iterate(b Bounds, reverse bool) *Iterator {
	i := &Iterator{state: s, bounds: b, reverse: reverse}
	i.active.cell = s.active.rows.begin(&b, reverse)
	i.settle(&i.active, false)
	if s.frozen != nil {
		i.frozen.cell = s.frozen.rows.begin(&b, reverse)
		i.settle(&i.frozen, true)
	}
	return i
}

// begin is the cell that a walk begins at.
func (l *list) begin(b *Bounds, reverse bool) *cell {
	switch {
	case !reverse:
		return l.seek(b.From.Group, b.From.Key)
	case b.Unbounded:
		return l.final()
	default:
		return l.seekBefore(b.To.Group, b.To.Key)
	}
}

// Next is the next entry.
func (i *Iterator) Next() (e Entry, ok bool) {
	from := i.peek()
	if from == nil {
		return e, false
	}
	e = Entry{Row: from.cell.row(from.version), Gone: from.version.gone}
	i.step(from, from == &i.frozen)
	return e, true
}

// peek is where the next entry is, nil if there is none.
func (i *Iterator) peek() *cursor {
	switch {
	case i.active.cell == nil && i.frozen.cell == nil:
		return nil
	case i.active.cell == nil:
		return &i.frozen
	case i.frozen.cell == nil:
		return &i.active
	}
	c := i.frozen.cell.compare(i.active.cell.group, i.active.cell.key)
	if i.reverse {
		c = -c
	}
	if c < 0 {
		return &i.frozen
	}
	if c == 0 { // the active run decides
		i.passed = i.frozen.cell
		i.step(&i.frozen, true)
	}
	return &i.active
}

func (i *Iterator) step(c *cursor, frozen bool) {
	if !frozen {
		i.passed = nil
	}
	if i.reverse {
		c.cell = c.cell.leads()
	} else {
		c.cell = c.cell.follows()
	}
	i.settle(c, frozen)
}

// settle goes on to a cell of which the state shows something.
func (i *Iterator) settle(c *cursor, frozen bool) {
	for c.cell != nil {
		if !i.bounds.contains(c.cell, i.reverse) {
			c.cell = nil
			return
		}
		if c.version = c.cell.at(i.state.number); c.version != nil && (!frozen || !i.covered(c.cell.group)) {
			return
		}
		if i.reverse {
			c.cell = c.cell.leads()
		} else {
			c.cell = c.cell.follows()
		}
	}
}

// covered reports whether a mark of the active run hides what the frozen one says of a
// group.
func (i *Iterator) covered(group string) bool {
	if !i.asked || i.group != group {
		i.group, i.hidden, i.asked = group, i.state.active.hides(group, i.state.number), true
	}
	return i.hidden
}
