package sqlite

import (
	"errors"
	"math"

	"forge.lthn.ai/core/go-store/internal/storage"
	"forge.lthn.ai/core/go-store/internal/storage/btree"
	"forge.lthn.ai/core/go-store/internal/storage/overlay"
	"forge.lthn.ai/core/go-store/internal/storage/pages"
	"forge.lthn.ai/core/go-store/kv"
)

// What a view shows is what its pages have, and over that what the overlay has. Where that
// says nothing of what is asked for, the pages alone are asked.

// get is a row as the view shows it. The view's state is retained.
func (v *view) get(group, key string) (row kv.Row, found bool, err error) {
	if v.over != nil {
		if row, verdict := v.over.Get(group, key); verdict != overlay.Below {
			return named(row, verdict, group, key), verdict == overlay.Present, nil
		}
	}
	return v.stored(group, key)
}

// named is a row with the caller's own strings, so that its names keep nothing alive.
func named(row kv.Row, verdict overlay.Verdict, group, key string) kv.Row {
	if verdict == overlay.Present {
		row.Group, row.Key = group, key
	}
	return row
}

// touches reports whether the overlay may say something of a range of groups.
func (v *view) touches(r kv.Range) bool {
	return v.over != nil && v.over.Touches(overlay.GroupBounds(r))
}

// boundless is a pace without an end, for work that no caller waits for.
func boundless() pace { return pace{left: math.MaxInt} }

// deadline is the deadline of a row that the pages have; what is no deadline is none.
func (v *view) deadline(group, key string) (deadline int64, found bool, err error) {
	p, err := v.place(group, key)
	return p.Deadline, p.Found, err
}

// place is where the pages have a row.
func (v *view) place(group, key string) (p overlay.Place, err error) {
	rowid, found, err := v.index.Find(group, key)
	if err != nil || !found {
		return p, unread(err)
	}
	var record btree.Record
	if found, err = v.table.Get(rowid, &record); err != nil || !found {
		return p, faulty(err) // the index has it
	}
	p.At, p.Found = rowid, true
	p.Deadline, err = v.deadlineOf(&record)
	return p, err
}

func (v *view) deadlineOf(record *btree.Record) (int64, error) {
	value, err := record.Column(v.shape.columns[columnDeadline])
	if err != nil {
		return 0, faulty(err)
	}
	if value.Kind != pages.Integer {
		return kv.NoDeadline, nil // as live has it
	}
	return value.Int, nil
}

// countStored is how many rows of a range the pages have.
func (v *view) countStored(rng kv.Range, p *pace) (int, error) {
	from, to := ends(rng)
	return v.index.Count(from, to, p.one)
}

// eachOf calls judge with the keys of a group that the pages have, from one on, and, if it is
// dated, their deadlines.
func (v *view) eachOf(group, from string, dated bool, judge func(key string, deadline int64) (more bool)) error {
	var c btree.IndexCursor
	c.Reset(&v.index)
	var record btree.Record
	place := []btree.Value{btree.Text(group)}
	if from != "" {
		place = append(place, btree.Text(from))
	}
	ok, err := c.SeekGE(place...)
	for ; ok && err == nil; ok, err = c.Next() {
		name, key, rowid, err := c.Pair()
		if err != nil {
			return errUnread // a key that is no text
		}
		if string(name) != group {
			return nil
		}
		key = append([]byte(nil), key...)
		deadline := kv.NoDeadline
		if dated {
			if found, err := v.table.Get(rowid, &record); err != nil || !found {
				return faulty(err)
			}
			if deadline, err = v.deadlineOf(&record); err != nil {
				return err
			}
		}
		if !judge(owned(key), deadline) {
			return nil
		}
	}
	return unread(err)
}

// nextGroup is the first group of a range, from a name on, that the pages have rows of.
func (v *view) nextGroup(from string, r kv.Range) (group string, found bool, err error) {
	var c btree.IndexCursor
	c.Reset(&v.index)
	ok, err := c.SeekGE(btree.Text(from))
	if err != nil || !ok {
		return "", false, unread(err)
	}
	name, _, err := groupAndRow(&c)
	if err != nil {
		return "", false, unread(err)
	}
	if name.Kind != pages.Text || !inRange(r, name.Bytes) {
		return "", false, nil
	}
	return string(name.Bytes), true, nil
}

// pageBase is what counts ask of a view's pages: see overlay.Base.
type pageBase struct {
	view *view
	pace *pace
}

func (b pageBase) Deadline(group, key string) (deadline int64, found bool, err error) {
	if err := b.pace.step(2); err != nil {
		return 0, false, err
	}
	return b.view.deadline(group, key)
}

func (b pageBase) Live(group string, now, limit int64) (int64, error) {
	v, r := b.view, kv.GroupRange(group)
	if now == math.MinInt64 {
		n, err := v.countStored(r, b.pace)
		return min(int64(n), limit), err
	}
	if limit == math.MaxInt64 {
		n, err := v.countBelow(r, now, b.pace)
		return int64(n), err
	}
	var c btree.IndexCursor
	c.Reset(&v.index)
	var record btree.Record
	n := int64(0)
	ok, err := c.SeekGE(btree.Text(group))
	for ; ok && err == nil && n < limit; ok, err = c.Next() {
		if err := b.pace.step(1); err != nil {
			return 0, err
		}
		name, rowid, err := groupAndRow(&c)
		if err != nil {
			return 0, err
		}
		if name.Kind != pages.Text || string(name.Bytes) != group {
			break
		}
		if found, err := v.table.Get(rowid, &record); err != nil || !found {
			return 0, faulty(err)
		}
		live, err := v.live(&record, now)
		if err != nil {
			return 0, err
		}
		if live {
			n++
		}
	}
	return n, err
}

// delta is what the overlay makes of a count of the pages'.
func (v *view) delta(rng kv.Range, now int64, groups bool, p *pace) (kv.Usage, error) {
	if !v.touches(rng) {
		return kv.Usage{}, nil
	}
	return v.over.Delta(rng, now, v.folded, pageBase{v, p}, groups)
}

// count is how many rows of a range are live. Of everything, rows whose group no caller can
// name are counted too.
func (v *view) count(rng kv.Range, now int64, p *pace) (n int, err error) {
	if n, err = v.countBelow(rng, now, p); err != nil {
		return 0, err
	}
	delta, err := v.delta(rng, now, false, p)
	return n + int(delta.Keys), err
}

// usage counts live rows, and groups that have one.
func (v *view) usage(rng kv.Range, now int64, p *pace) (usage kv.Usage, err error) {
	if usage, err = v.usageBelow(rng, now, p); err != nil {
		return usage, err
	}
	delta, err := v.delta(rng, now, true, p)
	return kv.Usage{Keys: usage.Keys + delta.Keys, Groups: usage.Groups + delta.Groups}, err
}

// physical counts the rows that are there, dead ones too, and their groups.
func (v *view) physical(rng kv.Range, p *pace) (usage kv.Usage, err error) {
	if usage, err = v.physicalBelow(rng, p); err != nil {
		return usage, err
	}
	delta, err := v.delta(rng, math.MinInt64, true, p)
	return kv.Usage{Keys: usage.Keys + delta.Keys, Groups: usage.Groups + delta.Groups}, err
}

// expired counts dead rows, and groups that have such rows and no live one.
func (v *view) expired(rng kv.Range, now int64, p *pace) (usage kv.Usage, err error) {
	if !v.touches(rng) {
		return v.expiredBelow(rng, now, p)
	}
	if v.shape.deadlines == 0 {
		return usage, errUnread
	}
	dead := newDead(v, rng, now)
	walk := v.over.Iterate(overlay.GroupBounds(rng), false)
	for e, ok := walk.Next(); ok; e, ok = walk.Next() {
		if err := p.step(1); err != nil {
			return usage, err
		}
		if !e.Gone && !e.Row.Live(now) {
			dead.count(e.Row.Group)
		}
	}
	if err := v.eachDead(now, p, dead.row); err != nil {
		return usage, err
	}
	for name := range dead.names {
		live, err := v.groupExists(name, now, p)
		if err != nil {
			return usage, err
		}
		if !live {
			dead.usage.Groups++
		}
	}
	return dead.usage, nil
}

// dead counts what is dead in a range.
type dead struct {
	view  *view
	rng   kv.Range
	now   int64
	usage kv.Usage
	names map[string]struct{}
}

func newDead(v *view, rng kv.Range, now int64) *dead {
	return &dead{view: v, rng: rng, now: now, names: make(map[string]struct{})}
}

func (d *dead) count(group string) {
	d.usage.Keys++
	if _, known := d.names[group]; !known {
		d.names[group] = struct{}{}
	}
}

// row counts a dead row of the pages', unless the overlay decides.
func (d *dead) row(record *btree.Record) error {
	group, err := record.Column(d.view.shape.columns[columnGroup])
	if err != nil || group.Kind != pages.Text || !inRange(d.rng, group.Bytes) {
		return err
	}
	name := string(group.Bytes)
	key, err := record.Column(d.view.shape.columns[columnKey])
	if err != nil {
		return err
	}
	if key.Kind == pages.Text {
		if _, verdict := d.view.over.Get(name, string(key.Bytes)); verdict != overlay.Below {
			return nil
		}
	} else if d.view.over.Hides(name) {
		return nil
	}
	d.count(name)
	return nil
}

// groupExists reports whether a group has a live row.
func (v *view) groupExists(group string, now int64, p *pace) (bool, error) {
	if !v.touches(kv.GroupRange(group)) {
		return v.groupExistsBelow(group, now, p)
	}
	q := storage.GroupQuery(group)
	q.Limit, q.KeysOnly = 1, true
	found := false
	err := v.walk(newScan(q, now), p, func(*kv.Row) { found = true })
	return found, err
}

// walk calls row with all that a scan yields.
func (v *view) walk(s *mergedPages, p *pace, row func(*kv.Row)) error {
	rows := s.room()
	defer func() { s.free(rows) }()
	if err := s.begin(v); err != nil {
		return err
	}
	for more := true; more; {
		var err error
		clear(rows)
		if rows, more, err = s.chunk(v, rows[:0], firstChunkRows, firstChunkBytes); err != nil {
			return err
		}
		bytes := 0
		for i := range rows {
			row(&rows[i])
			bytes += len(rows[i].Key) + len(rows[i].Value)
		}
		if more {
			if err := p.step(1 + s.passed + bytes*fewRows/firstChunkBytes); err != nil {
				return err
			}
		}
	}
	return nil
}

// mergedPages is pageScan over what a view shows.
type mergedPages struct {
	*pageScan // of the pages
	merger
	query  storage.Query
	merges bool // the overlay has something: otherwise the pages' rows are all
	view   *view
}

func newScan(q storage.Query, now int64) *mergedPages {
	return &mergedPages{pageScan: newPageScan(q, now), query: q, merger: newMerger(q, now)}
}

func (s *mergedPages) begin(v *view) error {
	if s.merges = v.over != nil && s.merger.begin(v.over, s); !s.merges {
		s.pageScan.skip = s.merger.skip
		return s.pageScan.begin(v)
	}
	s.view = v
	return s.restart(s.below())
}

func (s *mergedPages) wide() bool { return s.query.Wide() }

func (s *mergedPages) chunk(v *view, into []kv.Row, rows, bytes int) (_ []kv.Row, more bool, err error) {
	if !s.merges {
		n := len(into)
		into, more, err = s.pageScan.chunk(v, into, rows, bytes)
		s.passed = len(into) - n
		return into, more, err
	}
	s.view = v
	return s.merger.chunk(into, rows, bytes)
}

// fetch is the next rows of the pages.
func (s *mergedPages) fetch(into []kv.Row, rows int) (_ []kv.Row, more bool, err error) {
	return s.pageScan.chunk(s.view, into, rows, firstChunkBytes)
}

// restart has the pages be read from somewhere else.
func (s *mergedPages) restart(q storage.Query) error {
	s.pageScan.free(nil)
	s.pageScan = newPageScan(q, s.merger.now)
	return s.pageScan.begin(s.view)
}

func (s *mergedPages) behind(last *kv.Row) source[kv.Row] {
	return (&pageScan{query: s.query, single: s.merger.single, now: s.merger.now}).behind(last)
}

// mergedGroups is pageGroups over what a view shows.
type mergedGroups struct {
	*pageGroups
	merges   bool
	rng      kv.Range
	from     string // of the overlay's groups
	over     string
	hasOver  bool
	hasBelow bool
	done     bool // the pages have no more
}

func newGroups(rng kv.Range, now int64) *mergedGroups {
	return &mergedGroups{pageGroups: newPageGroups(rng, now), rng: rng, from: rng.From}
}

func (s *mergedGroups) room() []string { return nil }

func (s *mergedGroups) free([]string) {}

func (s *mergedGroups) begin(v *view) error {
	s.merges = v.touches(s.rng)
	return s.pageGroups.begin(v)
}

// nextOf goes to the next group that lives.
func (s *mergedGroups) nextOf(v *view, p *pace) (name string, found bool, err error) {
	for {
		if !s.hasBelow && !s.done {
			if s.hasBelow, err = s.pageGroups.next(v, p); err != nil {
				return "", false, err
			}
			s.done = !s.hasBelow
		}
		if !s.hasOver {
			s.over, s.hasOver = v.over.NextGroup(s.from, s.rng)
		}
		switch {
		case !s.hasBelow && !s.hasOver:
			return "", false, nil
		case s.hasBelow && (!s.hasOver || string(s.name) < s.over):
			s.hasBelow = false
			return string(s.name), true, nil
		}
		if err := p.step(1); err != nil {
			return "", false, err
		}
		q := boundless()
		live, err := v.groupExists(s.over, s.now, &q)
		if err != nil {
			return "", false, err
		}
		if s.hasBelow && string(s.name) == s.over {
			s.hasBelow = false
		}
		name, s.from, s.hasOver = s.over, s.over+"\x00", false
		if live {
			return name, true, nil
		}
	}
}

func (s *mergedGroups) chunk(v *view, into []string, rows, bytes int) (_ []string, more bool, err error) {
	if !s.merges {
		return s.pageGroups.chunk(v, into, rows, bytes)
	}
	p := pace{left: patience * rows}
	for rows > 0 && bytes > 0 {
		name, found, err := s.nextOf(v, &p)
		if errors.Is(err, errLong) {
			return into, true, nil
		}
		if err != nil {
			return into, false, err
		}
		if !found {
			if s.everything {
				err = v.allNamed(s.now)
			}
			return into, false, err
		}
		into = append(into, name)
		rows--
		bytes -= len(name)
	}
	return into, true, nil
}
