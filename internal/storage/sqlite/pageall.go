package sqlite

import (
	"context"
	"maps"

	"forge.lthn.ai/core/go-store/internal/storage"
	"forge.lthn.ai/core/go-store/internal/storage/overlay"
	"forge.lthn.ai/core/go-store/internal/storage/pages"
	"forge.lthn.ai/core/go-store/kv"
)

// A whole group goes into a map, where its rows have no order. So nothing is merged: what the
// overlay says goes in first, and then rows that it does not decide, in the order of the table,
// from the page into the map without a list between.

func (f *fileReads) GetAll(ctx context.Context, group string, now int64) (all map[string]string, err error) {
	err = f.look(ctx, func(v *view, p *pace) (err error) {
		all, err = v.getAll(group, now, p)
		return err
	})
	return orSQLite(all, err, func() (map[string]string, error) { return f.sqlReads.GetAll(ctx, group, now) })
}

func (f sqlReads) GetAll(ctx context.Context, group string, now int64) (map[string]string, error) {
	return storage.Gather(f.Scan(ctx, storage.GroupQuery(group), now))
}

func (s pageMoment) GetAll(ctx context.Context, group string, now int64) (all map[string]string, err error) {
	err = s.look(ctx, func(v *view, p *pace) (err error) {
		all, err = v.getAll(group, now, p)
		return err
	}, func(reads sqlReads) error {
		_, err := reads.GetAll(ctx, group, now)
		return err
	})
	return all, err
}

func (s sqlMoment) GetAll(ctx context.Context, group string, now int64) (map[string]string, error) {
	return storage.Gather(s.Scan(ctx, storage.GroupQuery(group), now))
}

// whole is a group on its way into its map.
type whole struct {
	rows map[string]string
	laid map[string]string   // what the overlay has of it: rows, or only these if they are few
	gone map[string]struct{} // the keys that the overlay has no live row of
}

// decided reports whether the overlay decides a key.
func (w *whole) decided(key []byte) bool {
	if len(w.laid) > 0 {
		if _, has := w.laid[string(key)]; has {
			return true
		}
	}
	if len(w.gone) > 0 {
		_, gone := w.gone[string(key)]
		return gone
	}
	return false
}

// getAll is the live rows of a group.
func (v *view) getAll(group string, now int64, p *pace) (map[string]string, error) {
	r := kv.GroupRange(group)
	var w whole
	n, touched := 0, v.touches(r)
	if hidden := touched && v.over.Hides(group); !hidden {
		var err error
		if n, err = v.countStored(r, p); err == nil {
			err = p.fits(n)
		}
		if err != nil {
			return nil, err
		}
	}
	w.rows = make(map[string]string, min(n, v.most(group)))
	if touched {
		walk := v.over.Iterate(overlay.GroupBounds(r), false)
		for e, ok := walk.Next(); ok; e, ok = walk.Next() {
			if err := p.step(1); err != nil {
				return nil, err
			}
			w.lay(&e, now)
		}
		w.keepLaid(n)
	}
	if n > 0 {
		if err := v.pairs(&w, group, now, n, p); err != nil {
			return nil, err
		}
	}
	return w.rows, nil
}

// lay puts in what the overlay says of a key.
func (w *whole) lay(e *overlay.Entry, now int64) {
	switch {
	case !e.Gone && e.Row.Live(now):
		w.rows[e.Row.Key] = e.Row.Value
	case w.gone == nil:
		w.gone = map[string]struct{}{e.Row.Key: {}}
	default:
		w.gone[e.Row.Key] = struct{}{}
	}
}

// keepLaid has what was laid be asked for, while n rows of the pages come into the same map: a
// small map is looked at faster.
func (w *whole) keepLaid(n int) {
	if w.laid = w.rows; len(w.rows) < n/8 {
		w.laid = make(map[string]string, len(w.rows))
		maps.Copy(w.laid, w.rows)
	}
}

// most is how many rows of a group the pages have room for. A damaged index may tell of
// more, for which no memory is to be taken.
func (v *view) most(group string) int {
	// An entry and a row have five bytes each, at least, and the group.
	return int(int64(v.Count) * int64(v.shape.pageSize) / int64(10+2*len(group)))
}

// together is how many rows are read at a time, in the order of the table.
const together = 2048

// pairs puts in a group's live rows that the pages have, of which there are n, dead ones included.
func (v *view) pairs(w *whole, group string, now int64, n int, p *pace) error {
	q := storage.GroupQuery(group)
	q.AnyOrder = true
	s := newPageScan(q, now)
	defer s.free(nil)
	if err := s.begin(v); err != nil {
		return err
	}
	s.cutter.left = n
	for s.ok {
		passed, err := s.gather(v, together, max(1, min(n, together)))
		if err != nil {
			return err
		}
		next := 0
		err = s.rows.Each(s.rowids, &s.record, func(i int) error {
			if i != next {
				return errUnread // the index has a row that the table has not
			}
			next++
			if err := s.put(v, w); err != nil {
				return err
			}
			if s.bytes < firstChunkBytes {
				return nil
			}
			s.bytes = 0
			return p.step(fewRows)
		})
		if err == nil && next != len(s.rowids) {
			err = errUnread
		}
		if err == nil {
			err = p.step(passed)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// put puts in the row that was read, if it is live and the overlay does not decide.
func (s *pageScan) put(v *view, w *whole) error {
	s.cutter.left--
	var row kv.Row
	if err := v.readMeta(&s.record, &row); err != nil || !row.Live(s.now) {
		return err
	}
	both, n, near := s.near(v)
	if decided, err := s.decided(v, w, both[:n], near); err != nil || decided {
		return err
	}
	if near && len(both)-n <= joined {
		s.bytes += len(both)
		pair := s.cutter.cut(both)
		w.rows[pair[:n]] = pair[n:]
		return nil
	}
	if err := s.fill(v, &row); err != nil {
		return err
	}
	s.bytes += len(row.Key) + len(row.Value)
	w.rows[row.Key] = row.Value
	return nil
}

// decided reports whether the overlay decides the row that was read, whose key lies near or is
// to be looked for.
func (s *pageScan) decided(v *view, w *whole, key []byte, near bool) (bool, error) {
	if !near && len(w.laid)+len(w.gone) > 0 {
		column, err := s.record.Column(v.shape.columns[columnKey])
		if err != nil || column.Kind != pages.Text {
			return false, faulty(err)
		}
		key = column.Bytes
	}
	return w.decided(key), nil
}

// cutter makes strings that belong together out of few allocations: each costs as much as a
// row's way out of its page.
type cutter struct {
	room []byte
	left int // about how many are still to come behind the next
}

// shared is how many bytes are allocated together: one string of them keeps so
// many bytes alive.
const shared = 1 << 10

func (c *cutter) cut(b []byte) string {
	if len(b) > cap(c.room)-len(c.room) {
		c.room = make([]byte, 0, max(len(b), min(shared/len(b), max(c.left, 0)+1)*len(b)))
	}
	at := len(c.room)
	c.room = append(c.room, b...)
	return owned(c.room[at:])
}
