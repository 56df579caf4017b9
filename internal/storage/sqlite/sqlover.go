package sqlite

import (
	"runtime"
	"time"

	"forge.lthn.ai/core/go-store/internal/planted"
	"forge.lthn.ai/core/go-store/internal/storage"
	"forge.lthn.ai/core/go-store/internal/storage/overlay"
	"forge.lthn.ai/core/go-store/kv"
)

// What SQLite reads, of a table that has not all that is committed, is merged with the
// overlay, and counted by walks: it is asked while there are no views, or where they can't
// read a row.

// startOver is start for a transaction and a state of the overlay's that belong together:
// the log's last revision, which the transaction's first read is, is not later than the
// state's, and no run that the state takes for the active one was frozen before.
func (r *reader) startOver() error {
	const busy = 100 // turns of the scheduler: a commit is visible, and about to be published
	for tries := 0; ; tries++ {
		r.state = r.database.over.Pin()
		err := r.startSQL()
		if err == nil {
			r.revision, err = readRevision(r.latest)
		}
		if err == nil && (r.revision <= r.state.Revision() || planted.LogAhead) && !r.database.over.Overtaken(r.state) {
			r.pinned = true
			return nil
		}
		r.finish()
		r.letGo()
		if err == nil {
			err = r.database.limbo.err()
		}
		if err != nil {
			return err
		}
		if tries < busy {
			runtime.Gosched()
		} else {
			time.Sleep(time.Duration(min(tries-busy, 1000)+1) * time.Microsecond)
		}
	}
}

// letGo releases the state of the overlay's.
func (r *reader) letGo() {
	if r.state != nil {
		r.state.Release()
		r.state = nil
	}
}

// touches reports whether the overlay may say something of a range of groups.
func (r *reader) touches(rng kv.Range) bool {
	return r.state != nil && r.state.Touches(boundsOf(&storage.Query{Groups: rng, Keys: storage.AllKeys}))
}

// each calls row with what a query yields.
func (r *reader) each(q storage.Query, now int64, skip int, row func(*kv.Row)) (err error) {
	s := newMergedRows(q, now)
	s.merger.skip = skip
	var rows []kv.Row
	for more := true; more; {
		clear(rows)
		r.effort.begin()
		if rows, more, err = s.chunk(r, rows[:0], firstChunkRows, firstChunkBytes); err != nil {
			return err
		}
		for i := range rows {
			row(&rows[i])
		}
	}
	return nil
}

func (r *reader) groupExistsOver(group string, now int64) (found bool, err error) {
	q := storage.GroupQuery(group)
	q.Limit, q.KeysOnly = 1, true
	err = r.each(q, now, 0, func(*kv.Row) { found = true })
	return found, err
}

func (r *reader) pageOver(group string, offset, limit int, now int64) (page []kv.KeyValue, err error) {
	if limit <= 0 {
		return nil, nil
	}
	q := storage.GroupQuery(group)
	q.Limit = limit
	err = r.each(q, now, max(offset, 0), func(row *kv.Row) { page = append(page, kv.KeyValue{Key: row.Key, Value: row.Value}) })
	return page, err
}

// usageOver counts live rows and their groups; with math.MinInt64, all.
func (r *reader) usageOver(rng kv.Range, now int64) (usage kv.Usage, err error) {
	group := ""
	err = r.each(storage.Query{Groups: rng, Keys: storage.AllKeys, KeysOnly: true}, now, 0, func(row *kv.Row) {
		if usage.Keys++; usage.Groups == 0 || row.Group != group {
			group = row.Group
			usage.Groups++
		}
	})
	return usage, err
}

func (r *reader) expiredOver(rng kv.Range, now int64) (usage kv.Usage, err error) {
	live, dead, group := false, false, ""
	ended := func() {
		if dead && !live {
			usage.Groups++
		}
		live, dead = false, false
	}
	err = r.each(storage.Query{Groups: rng, Keys: storage.AllKeys, KeysOnly: true}, minDeadline, 0, func(row *kv.Row) {
		if row.Group != group {
			ended()
			group = row.Group
		}
		if row.Live(now) {
			live = true
			return
		}
		dead = true
		usage.Keys++
	})
	ended()
	return usage, err
}

// minDeadline is a moment at which every row lives.
const minDeadline = -1 << 63

// mergedRows is rowScan over what a transaction and its state show.
type mergedRows struct {
	*rowScan // of the table
	merger
	query  storage.Query
	begun  bool
	merges bool
	reader *reader
}

func newMergedRows(q storage.Query, now int64) *mergedRows {
	return &mergedRows{rowScan: newRowScan(q, now), query: q, merger: newMerger(q, now)}
}

func (s *mergedRows) wide() bool { return s.query.Wide() }

func (s *mergedRows) chunk(r *reader, into []kv.Row, rows, bytes int) (_ []kv.Row, more bool, err error) {
	s.reader = r
	if !s.begun {
		s.begun = true
		if s.merges = r.state != nil && s.merger.begin(r.state, s); s.merges {
			_ = s.restart(s.below())
		}
	}
	if !s.merges {
		return s.rowScan.chunk(r, into, rows, bytes)
	}
	return s.merger.chunk(into, rows, bytes)
}

func (s *mergedRows) fetch(into []kv.Row, rows int) (_ []kv.Row, more bool, err error) {
	return s.rowScan.chunk(s.reader, into, rows, firstChunkBytes)
}

func (s *mergedRows) restart(q storage.Query) error {
	s.rowScan = newRowScan(q, s.merger.now)
	s.decided = s.reader.decides
	return nil
}

// decides reports whether the overlay says what is to be known of a row of the table: a key
// that was set anew, or deleted, with its group or alone.
func (r *reader) decides(group string, key *string) bool {
	if key == nil {
		return r.state.Hides(group)
	}
	_, verdict := r.state.Get(group, *key)
	return verdict != overlay.Below
}

// mergedNames is groupScan over what a transaction and its state show.
type mergedNames struct {
	*groupScan
	rng     kv.Range
	from    string // of the overlay's groups
	names   []string
	more    bool
	begun   bool
	merges  bool
	failure error // behind the names
}

func newMergedNames(rng kv.Range, now int64) *mergedNames {
	return &mergedNames{groupScan: newGroupScan(rng, now), rng: rng, from: rng.From, more: true}
}

func (s *mergedNames) chunk(r *reader, into []string, rows, bytes int) (_ []string, more bool, err error) {
	if !s.begun {
		s.begun, s.merges = true, r.touches(s.rng)
	}
	if !s.merges {
		return s.groupScan.chunk(r, into, rows, bytes)
	}
	for passed := 0; rows > 0 && bytes > 0 && passed < patience*firstChunkRows; passed++ {
		if len(s.names) == 0 && s.more && s.failure == nil {
			s.names, s.more, s.failure = s.groupScan.chunk(r, nil, firstChunkRows, firstChunkBytes)
		}
		if len(s.names) == 0 && s.failure != nil {
			return into, false, s.failure
		}
		over, touched := r.state.NextGroup(s.from, s.rng)
		name := over
		switch {
		case len(s.names) == 0 && !touched:
			return into, false, nil
		case len(s.names) > 0 && (!touched || s.names[0] < over):
			name, s.names = s.names[0], s.names[1:]
		default:
			if len(s.names) > 0 && s.names[0] == over {
				s.names = s.names[1:]
			}
			s.from = over + "\x00"
			live, err := r.groupExistsOver(over, s.now)
			if err != nil {
				return into, false, err
			}
			if !live {
				continue
			}
		}
		into = append(into, name)
		rows--
		bytes -= len(name)
	}
	return into, true, nil
}
