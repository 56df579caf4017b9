package sqlite

import (
	"slices"

	"forge.lthn.ai/core/go-store/internal/storage"
	"forge.lthn.ai/core/go-store/internal/storage/pages"
	"forge.lthn.ai/core/go-store/kv"
)

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
