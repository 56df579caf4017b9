package sqlite

import (
	"errors"
	"slices"

	"forge.lthn.ai/core/go-store/internal/storage/btree"
	"forge.lthn.ai/core/go-store/internal/storage/pages"
	"forge.lthn.ai/core/go-store/kv"
)

// Rows are counted by the index, a page at a time, and what is dead is taken off. That
// is found by its deadlines, as it is little as a rule; where there is more of it than the
// range has rows, those are looked at one by one. So a count costs what the range has in
// pages, and the lesser of what is dead anywhere and what the range has in rows.

// ends are a range's, of the index: rows whose group is text.
func ends(rng kv.Range) (from, to []btree.Value) {
	from, to = []btree.Value{btree.Text(rng.From)}, []btree.Value{btree.Text(rng.To)}
	if rng.Unbounded {
		to = afterText
	}
	return from, to
}

var (
	firstText = []btree.Value{{Kind: pages.Text}}
	afterText = []btree.Value{{Kind: pages.Blob}}
)

// inRange reports whether a group is in a range. (As text it would be allocated.)
func inRange(rng kv.Range, group []byte) bool {
	return string(group) >= rng.From && (rng.Unbounded || string(group) < rng.To)
}

// countBelow is count of the pages alone.
func (v *view) countBelow(rng kv.Range, now int64, p *pace) (n int, err error) {
	from, to := ends(rng)
	if isEverything(rng) {
		from, to = nil, nil
	}
	if v.shape.deadlines == 0 {
		return v.countLive(from, to, now, p)
	}
	stored, err := v.index.Count(from, to, p.one)
	if err != nil || stored == 0 {
		return 0, err
	}
	dead, err := v.countDead(now, stored, p)
	switch {
	case err != nil:
		return 0, err
	case dead == 0:
		return stored, nil
	case from == nil:
		return stored - dead, nil
	case dead == stored:
		return v.countLive(from, to, now, p)
	}
	dead = 0
	err = v.eachDead(now, p, func(record *btree.Record) error {
		group, err := record.Column(v.shape.columns[columnGroup])
		if err == nil && group.Kind == pages.Text && inRange(rng, group.Bytes) {
			dead++
		}
		return err
	})
	return stored - dead, err
}

// countLive looks at each row between two places of the index.
func (v *view) countLive(from, to []btree.Value, now int64, p *pace) (n int, err error) {
	left := -1
	if to != nil {
		if left, err = v.index.Count(from, to, p.one); err != nil {
			return 0, err
		}
	}
	var c btree.IndexCursor
	c.Reset(&v.index)
	ok := false
	if from == nil {
		ok, err = c.First()
	} else {
		ok, err = c.SeekGE(from...)
	}
	var rows rowReader
	rows.reset(v)
	for ok && err == nil && left != 0 {
		var rowid int64
		if _, rowid, err = groupAndRow(&c); err != nil {
			return 0, err
		}
		left--
		if rows.add(rowid) {
			if err := rows.read(p, func(record *btree.Record) error { return v.ifLive(record, now, &n) }); err != nil {
				return 0, err
			}
		}
		ok, err = c.Next()
	}
	if err != nil {
		return 0, err
	}
	err = rows.read(p, func(record *btree.Record) error { return v.ifLive(record, now, &n) })
	return n, err
}

// ifLive counts a row that is live.
func (v *view) ifLive(record *btree.Record, now int64, n *int) error {
	live, err := v.live(record, now)
	if live {
		*n++
	}
	return err
}

// live is sqlLive: what is no integer is no deadline.
func (v *view) live(record *btree.Record, now int64) (bool, error) {
	deadline, err := record.Column(v.shape.columns[columnDeadline])
	return deadline.Kind != pages.Integer || deadline.Int > now, err
}

// groupAndRow is what an entry of the primary key's index begins and ends with.
func groupAndRow(c *btree.IndexCursor) (group btree.Value, rowid int64, err error) {
	first, _, rowid, err := c.Pair()
	if err == nil {
		return btree.Value{Kind: pages.Text, Bytes: first}, rowid, nil
	}
	entry, err := c.Entry()
	if err != nil {
		return group, 0, err
	}
	last, err := entry.Column(2)
	if err != nil || last.Kind != pages.Integer {
		return group, 0, faulty(err)
	}
	group, err = entry.Column(0)
	return group, last.Int, err
}

// rowReader reads rows of the table, some at a time and in its order.
type rowReader struct {
	rows   btree.TableReader
	record btree.Record
	n      int
	rowids [8 * gathered]int64
}

func (r *rowReader) reset(v *view) {
	r.rows.Reset(&v.table)
	r.n = 0
}

// add notes a row that is to be read; enough says that it is time to do so.
func (r *rowReader) add(rowid int64) (enough bool) {
	r.rowids[r.n] = rowid
	r.n++
	return r.n == len(r.rowids)
}

// read reads the rows that were added, all of which must be there.
func (r *rowReader) read(p *pace, row func(*btree.Record) error) error {
	if r.n == 0 {
		return nil
	}
	if err := p.step(r.n); err != nil {
		return err
	}
	rowids := r.rowids[:r.n]
	r.n = 0
	slices.Sort(rowids)
	next := 0
	err := r.rows.Each(rowids, &r.record, func(i int) error {
		if i != next {
			return errUnread // the index has a row that the table has not
		}
		next++
		return row(&r.record)
	})
	if err == nil && next != len(rowids) {
		err = errUnread
	}
	return err
}

// deadRows goes through the rows that are dead, by their deadlines.
type deadRows struct {
	now     int64
	index   btree.Index
	entries btree.IndexCursor
	ok      bool
}

// begin goes to the first. There must be an index of deadlines.
func (d *deadRows) begin(v *view, now int64) (err error) {
	d.now, d.index = now, btree.Index{Pages: v.index.Pages, Root: v.shape.deadlines}
	d.entries.Reset(&d.index)
	d.ok, err = d.entries.SeekGT(btree.Value{Kind: pages.Null})
	return err
}

// next is the next one's rowid. Numbers that are no integers lie among them, and are no
// deadlines; behind the numbers there is none.
func (d *deadRows) next(p *pace) (rowid int64, found bool, err error) {
	for d.ok && !found {
		if err := p.step(1); err != nil {
			return 0, false, err
		}
		entry, err := d.entries.Entry()
		if err != nil {
			return 0, false, err
		}
		deadline, err := entry.Column(0)
		if err != nil {
			return 0, false, err
		}
		switch {
		case deadline.Kind == pages.Integer && deadline.Int <= d.now:
			row, err := entry.Column(1)
			if err != nil || row.Kind != pages.Integer {
				return 0, false, faulty(err)
			}
			rowid, found = row.Int, true
		case deadline.Kind != pages.Float:
			d.ok = false
			return 0, false, nil
		}
		if d.ok, err = d.entries.Next(); err != nil {
			return 0, false, err
		}
	}
	return rowid, found, nil
}

// countDead is how many rows are dead, at most limit.
func (v *view) countDead(now int64, limit int, p *pace) (n int, err error) {
	var d deadRows
	if err := d.begin(v, now); err != nil {
		return 0, err
	}
	for n < limit {
		_, found, err := d.next(p)
		if err != nil || !found {
			return n, err
		}
		n++
	}
	return n, nil
}

// eachDead calls row with each row that is dead.
func (v *view) eachDead(now int64, p *pace, row func(*btree.Record) error) error {
	var d deadRows
	if err := d.begin(v, now); err != nil {
		return err
	}
	var rows rowReader
	rows.reset(v)
	for {
		rowid, found, err := d.next(p)
		if err != nil {
			return err
		}
		if !found {
			return rows.read(p, row)
		}
		if rows.add(rowid) {
			if err := rows.read(p, row); err != nil {
				return err
			}
		}
	}
}

// usageBelow is usage of the pages alone.
func (v *view) usageBelow(rng kv.Range, now int64, p *pace) (usage kv.Usage, err error) {
	n, err := v.countBelow(rng, now, p)
	if err != nil {
		return usage, err
	}
	usage.Keys = int64(n)
	groups := newPageGroups(rng, now)
	if err := groups.start(v, p); err != nil {
		return usage, err
	}
	usage.Groups, err = groups.count(v, p)
	return usage, err
}

// physicalBelow is physical of the pages alone.
func (v *view) physicalBelow(rng kv.Range, p *pace) (usage kv.Usage, err error) {
	n, err := v.countStored(rng, p)
	if err != nil {
		return usage, err
	}
	usage.Keys = int64(n)
	groups := newPageGroups(rng, 0)
	if err := groups.seek(v); err != nil {
		return usage, err
	}
	usage.Groups, err = groups.count(v, p)
	return usage, err
}

// expiredBelow is expired of the pages alone.
func (v *view) expiredBelow(rng kv.Range, now int64, p *pace) (usage kv.Usage, err error) {
	if v.shape.deadlines == 0 {
		return usage, errUnread
	}
	names := make(map[string]struct{})
	if err := v.eachDead(now, p, func(record *btree.Record) error {
		group, err := record.Column(v.shape.columns[columnGroup])
		if err != nil || group.Kind != pages.Text || !inRange(rng, group.Bytes) {
			return err
		}
		usage.Keys++
		if _, known := names[string(group.Bytes)]; !known {
			names[string(group.Bytes)] = struct{}{}
		}
		return nil
	}); err != nil {
		return usage, err
	}
	for name := range names {
		live, err := v.groupExistsBelow(name, now, p)
		if err != nil {
			return usage, err
		}
		if !live {
			usage.Groups++
		}
	}
	return usage, nil
}

// allNamed is an error if there is a live row whose group no call can name: those come
// before all text, or behind it.
func (v *view) allNamed(now int64) error {
	for _, ends := range [][2][]btree.Value{{nil, firstText}, {afterText, nil}} {
		p := short()
		n, err := v.countLive(ends[0], ends[1], now, &p)
		if n > 0 || errors.Is(err, errLong) {
			return errUnread
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// left makes errUnread of what is wrong with a page, and leaves other errors as they are.
func left(err error) error {
	if errors.As(err, new(*btree.DamagedError)) || errors.Is(err, btree.RefusedError) {
		return leftToSQLite(err)
	}
	return err
}
