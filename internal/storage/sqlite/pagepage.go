package sqlite

import (
	"math"
	"slices"

	"forge.lthn.ai/core/go-store/internal/storage"
	"forge.lthn.ai/core/go-store/internal/storage/btree"
	"forge.lthn.ai/core/go-store/internal/storage/pages"
	"forge.lthn.ai/core/go-store/kv"
)

// page is limit rows of a group, after the first offset.
func (v *view) page(group string, offset, limit int, now int64, p *pace) (page []kv.KeyValue, err error) {
	if limit <= 0 || !v.touches(kv.GroupRange(group)) {
		return v.pageBelow(group, offset, limit, now, p)
	}
	q := storage.GroupQuery(group)
	q.Limit = limit
	skip := max(offset, 0)
	if skip >= farOff {
		found := false
		if q.Keys.From, skip, found, err = v.pageAt(group, skip, now, p); err != nil || !found {
			return nil, err
		}
	}
	s := newScan(q, now)
	s.merger.skip = skip
	err = v.walk(s, p, func(row *kv.Row) { page = append(page, kv.KeyValue{Key: row.Key, Value: row.Value}) })
	return page, err
}

// farOff is from which offset on it is worth while to look for where a page begins. Only tests
// change it.
var farOff = 256

// pageAt is where the row behind so many live ones of a group is looked for: behind rest of
// them from a key on. Not found: there are fewer. Between two keys that the overlay decides the
// pages' rows are all, so it is enough to know how many of both are before each of those; where
// rows of the pages may be dead, or none counts, it is the group's beginning.
func (v *view) pageAt(group string, offset int, now int64, p *pace) (from string, rest int, found bool, err error) {
	dead, err := v.mayBeDead(kv.GroupRange(group), now, p)
	if err != nil || dead {
		return "", offset, true, err
	}
	ranks, behind, ok, err := v.over.Ranks(group, now, int64(offset), v.folded, pageBase{v, p}, p.one)
	if err != nil || !ok {
		return "", offset, true, err
	}
	// counted is how many rows the pages have before start, where the last rank is that is known
	// to be no further than the offset: those from before next.
	start, counted := []btree.Value{btree.Text(group)}, 0
	next := 0
	for end := len(ranks); next < end; {
		middle := int(uint(next+end) >> 1)
		key := []btree.Value{btree.Text(group), btree.Text(ranks[middle].Key)}
		n, err := v.index.Count(start, key, p.one)
		if err != nil {
			return "", 0, false, err
		}
		if counted+n+int(ranks[middle].Before) > offset {
			end = middle
		} else {
			next, start, counted = middle+1, key, counted+n
		}
	}
	if next > 0 {
		last := ranks[next-1]
		switch rest = offset - counted - int(last.Before); {
		case rest < 0:
			return "", 0, false, errUnread // the index is out of order
		case rest <= gathered:
			return last.Key, rest, true, nil
		}
	}
	if next < len(ranks) {
		behind = ranks[next].Before
	}
	return v.keyAt(group, min(offset, math.MaxInt/2)-int(behind), now, p)
}

// keyAt is pageAt for what the pages alone have.
func (v *view) keyAt(group string, offset int, now int64, p *pace) (from string, rest int, found bool, err error) {
	s := newPageScan(storage.GroupQuery(group), now)
	defer s.free(nil)
	if err = s.begin(v); err == nil {
		err = s.pass(offset, p)
	}
	if err != nil || !s.ok {
		return "", 0, false, err
	}
	name, key, _, err := s.entries.Pair()
	return string(key), 0, string(name) == group, unread(err) // of a key that is no text
}

// skipped is how many entries of the index are passed at a time, and so the most that may
// be behind the end of a group.
const skipped = 4096

// pageBelow is page of the pages alone. Where nothing of the group is
// dead it goes there by the index alone.
func (v *view) pageBelow(group string, offset, limit int, now int64, p *pace) (page []kv.KeyValue, err error) {
	if limit <= 0 {
		return nil, nil
	}
	q := storage.GroupQuery(group)
	q.Limit = limit
	s := newPageScan(q, now)
	rows := s.room()
	defer func() { s.free(rows) }()
	if err := s.begin(v); err != nil {
		return nil, err
	}
	if offset > 0 {
		dead, err := v.mayBeDead(q.Groups, now, p)
		switch {
		case err != nil:
			return nil, err
		case dead:
			s.skip = offset
		default:
			if err := s.pass(offset, p); err != nil {
				return nil, err
			}
		}
	}
	for more := s.ok; more; {
		var passed, bytes int
		clear(rows)
		rows, passed, more, err = s.some(v, rows[:0], firstChunkRows, firstChunkBytes)
		if err != nil {
			return nil, err
		}
		page = slices.Grow(page, len(rows))
		for i := range rows {
			page = append(page, kv.KeyValue{Key: rows[i].Key, Value: rows[i].Value})
			bytes += len(rows[i].Key) + len(rows[i].Value)
		}
		if more {
			if err := p.step(passed + bytes*fewRows/firstChunkBytes); err != nil {
				return nil, err
			}
		}
	}
	return page, nil
}

// mayBeDead reports whether there may be dead rows in a range: where many are dead it does
// not look which.
func (v *view) mayBeDead(rng kv.Range, now int64, p *pace) (bool, error) {
	d, err := v.doubts(now, p)
	if err != nil || d.all {
		return true, err
	}
	for name := range d.names {
		if rng.Contains(name) {
			return true, nil
		}
	}
	return false, nil
}

// pass goes on by so many entries, or behind the group.
func (s *pageScan) pass(entries int, p *pace) (err error) {
	for entries > 0 && s.ok {
		n := min(entries, skipped)
		entries -= n
		if err := p.step(1 + n/gathered); err != nil {
			return err
		}
		if s.ok, err = s.entries.Skip(n); err != nil || !s.ok {
			return err
		}
		group, _, err := groupAndRow(&s.entries)
		if err != nil {
			return err
		}
		s.ok = group.Kind == pages.Text && string(group.Bytes) == s.group
	}
	return nil
}
