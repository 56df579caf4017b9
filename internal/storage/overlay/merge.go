package overlay

import "forge.lthn.ai/core/go-store/kv"

// Source is the rows of a base, in the order and the bounds of a walk.
type Source interface {
	// Next is the next row.
	Next() (row kv.Row, ok bool, err error)
	// Pass says that no row of the group is wanted any more. A source that can't go past
	// them may do nothing.
	Pass(group string)
}

// Merged is the rows that a state and a base have together, dead ones too.
type Merged struct {
	state   *State
	entries *Iterator
	source  Source
	reverse bool

	entry            Entry  // the overlay's next
	row              kv.Row // the source's next
	hasEntry, hasRow bool
	ended            bool   // the source has
	group            string // the last that was asked about, and whether it is hidden
	asked, hide      bool
}

// Merge begins a walk over what the state and the base have together. The source must have
// the same bounds and order, and be of a snapshot that was taken after the state was pinned
// and before Overtaken said no.
func (s *State) Merge(source Source, b Bounds, reverse bool) *Merged {
	m := &Merged{state: s, entries: s.Iterate(b, reverse), source: source, reverse: reverse}
	m.entry, m.hasEntry = m.entries.Next()
	return m
}

// Next is the next row.
func (m *Merged) Next() (row kv.Row, ok bool, err error) {
	for {
		if err := m.fetch(); err != nil {
			return row, false, err
		}
		switch c := m.compare(); {
		case !m.hasEntry && !m.hasRow:
			return row, false, nil
		case !m.hasEntry || m.hasRow && c < 0:
			m.hasRow = false
			return m.row, true, nil
		case m.hasRow && c == 0:
			m.hasRow = false // the overlay decides
		}
		e := m.entry
		m.entry, m.hasEntry = m.entries.Next()
		if !e.Gone {
			return e.Row, true, nil
		}
	}
}

// fetch has a row of the source at hand that no mark hides.
func (m *Merged) fetch() (err error) {
	for !m.hasRow && !m.ended {
		if m.row, m.hasRow, err = m.source.Next(); err != nil {
			return err
		}
		if !m.hasRow {
			m.ended = true
			return nil
		}
		if !m.asked || m.group != m.row.Group {
			m.group, m.hide, m.asked = m.row.Group, m.state.Hides(m.row.Group), true
			if m.hide {
				m.source.Pass(m.group)
			}
		}
		if m.hide {
			m.hasRow = false
		}
	}
	return nil
}

// compare is which comes first in the walk: negative for the source's row.
func (m *Merged) compare() int {
	if !m.hasEntry || !m.hasRow {
		return 0
	}
	c := compare(&m.row, &m.entry.Row)
	if m.reverse {
		return -c
	}
	return c
}

func compare(a, b *kv.Row) int {
	switch {
	case a.Group < b.Group:
		return -1
	case a.Group > b.Group:
		return 1
	case a.Key < b.Key:
		return -1
	case a.Key > b.Key:
		return 1
	default:
		return 0
	}
}
