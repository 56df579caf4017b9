package sqlite

import (
	"errors"

	"forge.lthn.ai/core/go-store/internal/storage"
	"forge.lthn.ai/core/go-store/internal/storage/overlay"
	"forge.lthn.ai/core/go-store/kv"
)

// merger has a scan yield what an overlay and the table have together. What is read of the
// table comes in small chunks, of the rows that a query without a limit has there.
type merger struct {
	wanted storage.Query
	single bool
	now    int64
	left   int // rows that are still wanted
	skip   int // rows before them that are not
	passed int // rows that the last chunk has passed
	vain   int // rows of the table that were fetched, less those that were yielded

	rest    storage.Query // what the table is to be asked for
	from    rowSource
	merged  *overlay.Merged
	buffer  []kv.Row // of the table
	next    int
	size    int // of the next buffer
	more    bool
	stalled bool  // the table has passed over many rows, and has none to show
	failed  error // behind the buffer
}

// rowSource is what reads the table.
type rowSource interface {
	fetch(into []kv.Row, rows int) (_ []kv.Row, more bool, err error)
	restart(q storage.Query) error
}

func newMerger(q storage.Query, now int64) merger {
	m := merger{wanted: q, now: now, left: q.Wanted()}
	_, m.single = q.Single()
	return m
}

// begin reports whether there is something to be merged.
func (m *merger) begin(state *overlay.State, from rowSource) bool {
	bounds := boundsOf(&m.wanted)
	if !state.Touches(bounds) {
		return false
	}
	m.rest, m.from = m.wanted, from
	m.rest.Limit, m.rest.AnyOrder = 0, false
	m.more, m.size = true, min(m.left, gathered)
	m.merged = state.Merge(m, bounds, m.wanted.Reverse)
	return true
}

// below is what the table is to be asked for.
func (m *merger) below() storage.Query { return m.rest }

// boundsOf are what a query's rows lie within.
func boundsOf(q *storage.Query) (b overlay.Bounds) {
	group, single := q.Single()
	if single {
		b.From = kv.Key{Group: group, Key: q.Keys.From}
		b.To = kv.Key{Group: group + "\x00"}
		if !q.Keys.Unbounded {
			b.To = kv.Key{Group: group, Key: q.Keys.To}
		}
	} else {
		b = overlay.GroupBounds(q.Groups)
	}
	if q.After == nil {
		return b
	}
	after := *q.After
	if single {
		after.Group = group
	}
	if q.Reverse {
		if b.Unbounded || after.Compare(b.To) < 0 {
			b.To, b.Unbounded = after, false
		}
		return b
	}
	after.Key += "\x00" // its successor: no key lies between
	if after.Compare(b.From) > 0 {
		b.From = after
	}
	return b
}

// errStalled ends a chunk early: see merger.stalled.
var errStalled = errors.New("many rows of the table are passed over")

// Next is the next row of the table.
func (m *merger) Next() (row kv.Row, ok bool, err error) {
	for m.next == len(m.buffer) {
		switch {
		case m.failed != nil:
			return row, false, m.failed
		case !m.more:
			return row, false, nil
		case m.stalled:
			m.stalled = false
			return row, false, errStalled
		}
		clear(m.buffer)
		m.next = 0
		// No more than are wanted, and as many again as were fetched in vain: the overlay has few
		// in their place, or has removed them, as a rule.
		n := m.size
		if m.skip == 0 && m.left < n {
			n = min(n, m.left+m.vain)
		}
		m.buffer, m.more, m.failed = m.from.fetch(m.buffer[:0], n)
		m.vain += len(m.buffer)
		m.size = min(4*m.size, firstChunkRows)
		m.stalled = len(m.buffer) == 0
	}
	row = m.buffer[m.next]
	m.next++
	return row, true, nil
}

// Pass goes past a group that the overlay hides.
func (m *merger) Pass(group string) {
	for m.next < len(m.buffer) && m.buffer[m.next].Group == group {
		m.next++
	}
	switch {
	case m.next < len(m.buffer) || !m.more || m.failed != nil:
	case m.single:
		m.more = false
	case m.rest.Reverse:
		m.rest.Groups.To, m.rest.Groups.Unbounded, m.rest.After = group, false, nil
		m.failed = m.from.restart(m.rest)
	default:
		m.rest.Groups.From, m.rest.After = group+"\x00", nil
		m.failed = m.from.restart(m.rest)
	}
}

// chunk appends rows until one of the limits is reached; more says that there may be
// others behind them.
func (m *merger) chunk(into []kv.Row, rows, bytes int) (_ []kv.Row, more bool, err error) {
	most := patience * rows
	for m.passed = 0; rows > 0 && bytes > 0 && m.left > 0 && m.passed < most; m.passed++ {
		row, ok, err := m.merged.Next()
		if errors.Is(err, errStalled) {
			return into, true, nil
		}
		if err != nil || !ok {
			return into, false, err
		}
		if !row.Live(m.now) || !m.single && !m.wanted.Keys.Contains(row.Key) {
			continue
		}
		if m.skip > 0 {
			m.skip--
			continue
		}
		if m.wanted.KeysOnly {
			row.Value = ""
		}
		into = append(into, row)
		m.left--
		m.vain = max(m.vain-1, 0)
		rows--
		bytes -= len(row.Key) + len(row.Value)
	}
	return into, m.left > 0, nil
}
