package storage

import (
	"slices"

	"forge.lthn.ai/core/go-store/internal/storage/btree"
	"forge.lthn.ai/core/go-store/internal/storage/pages"
	"forge.lthn.ai/core/go-store/kv"
)

// pageScan yields the live rows of a query from a view's pages, some at a time. Between
// two chunks it stands where it was: the view must be the same.
type pageScan struct {
	query  Query
	group  string // the query's single group, or that of the row before
	single bool
	now    int64
	left   int // rows that are still wanted

	entries btree.IndexCursor
	rows    btree.TableReader
	record  btree.Record
	ok      bool    // entries is at one
	rowids  []int64 // of entries that were passed: see Query.AnyOrder
}

// patience is how many entries that are not wanted a chunk passes over for each row that
// it may have.
const patience = 16

func newPageScan(q Query, now int64) *pageScan {
	s := &pageScan{query: q, now: now, left: q.Limit}
	s.group, s.single = q.single()
	if q.Limit <= 0 {
		s.left = int(^uint(0) >> 1)
	}
	return s
}

// wide: see rowScan.
func (s *pageScan) wide() bool { return !s.single && s.query.Keys != AllKeys }

// anyOrder: only what is all wanted may be read in another order.
func (s *pageScan) anyOrder() bool {
	q := &s.query
	return q.AnyOrder && s.single && !q.Reverse && q.Limit <= 0 && q.Keys == AllKeys
}

// begin goes to the first entry.
func (s *pageScan) begin(v *view) (err error) {
	s.entries.Reset(&v.index)
	s.rows.Reset(&v.table)
	q := &s.query
	switch {
	case q.Reverse:
		s.ok, err = s.last()
	case s.single && q.After != nil && q.After.Key >= q.Keys.From:
		s.ok, err = s.entries.SeekGT(btree.Text(s.group), btree.Text(q.After.Key))
	case s.single && q.Keys.From == "":
		s.ok, err = s.entries.SeekGE(btree.Text(s.group)) // with keys that are no text
	case s.single:
		s.ok, err = s.entries.SeekGE(btree.Text(s.group), btree.Text(q.Keys.From))
	case q.After != nil && q.After.Group >= q.Groups.From:
		s.ok, err = s.entries.SeekGT(btree.Text(q.After.Group), btree.Text(q.After.Key))
	default:
		s.ok, err = s.entries.SeekGE(btree.Text(q.Groups.From))
	}
	return err
}

// last is begin for a scan that goes backward.
func (s *pageScan) last() (ok bool, err error) {
	q := &s.query
	if s.single {
		end, bounded := q.Keys.To, !q.Keys.Unbounded
		if q.After != nil && (!bounded || q.After.Key < end) {
			end, bounded = q.After.Key, true
		}
		if bounded {
			return s.entries.SeekLT(btree.Text(s.group), btree.Text(end))
		}
		return s.entries.SeekLE(btree.Text(s.group))
	}
	switch {
	case q.After != nil && (q.Groups.Unbounded || q.After.Group < q.Groups.To):
		return s.entries.SeekLT(btree.Text(q.After.Group), btree.Text(q.After.Key))
	case q.Groups.Unbounded:
		return s.entries.SeekLT(btree.Value{Kind: pages.Blob}) // behind all text
	default:
		return s.entries.SeekLT(btree.Text(q.Groups.To))
	}
}

// chunk appends rows until one of the limits is reached; more says that there may be
// others behind them. Its error is errUnread.
func (s *pageScan) chunk(v *view, into []kv.Row, rows, bytes int) (_ []kv.Row, more bool, err error) {
	if rows = min(rows, s.left); s.anyOrder() {
		into, more, err = s.unordered(v, into, rows, bytes)
		return into, more, unread(err)
	}
	begun, passed := len(into), 0
	for s.ok && len(into)-begun < rows && bytes > 0 && passed < patience*rows {
		group, key, rowid, err := s.entries.Pair()
		if err != nil {
			if err := s.beyond(); err != nil {
				return into, false, errUnread
			}
			s.ok = false
			break
		}
		moved, wanted, err := s.judge(group, key)
		if err != nil {
			return into, false, errUnread
		}
		passed++
		if wanted {
			row := kv.Row{}
			live, err := s.row(v, rowid, &row)
			if err != nil {
				return into, false, err
			}
			if live {
				row.Group = s.named(group)
				if err := s.fill(v, key, &row); err != nil {
					return into, false, err
				}
				into = append(into, row)
				bytes -= len(row.Key) + len(row.Value)
			}
		}
		if s.ok && !moved {
			if s.ok, err = s.step(); err != nil {
				return into, false, errUnread
			}
		}
	}
	s.left -= len(into) - begun
	if !s.ok && isEverything(s.query.Groups) && !named(v) {
		return into, false, errUnread
	}
	return into, s.ok && s.left > 0, nil
}

func (s *pageScan) step() (bool, error) {
	if s.query.Reverse {
		return s.entries.Prev()
	}
	return s.entries.Next()
}

// beyond is asked of an entry that is not two texts. It is nil if that lies behind the
// end of the range; otherwise what is wrong with it is for SQLite to say.
func (s *pageScan) beyond() error {
	entry, err := s.entries.Entry()
	if err != nil {
		return err
	}
	group, err := entry.Column(0)
	if err != nil {
		return err
	}
	if group.Kind == pages.Text && (!s.single || string(group.Bytes) == s.group) {
		return errUnread
	}
	return nil
}

// judge says whether an entry is wanted, and ends the scan where none follows that is. It
// goes to the next that may be wanted if there are many that are not.
func (s *pageScan) judge(group, key []byte) (moved, wanted bool, err error) {
	q := &s.query
	switch {
	case s.single:
		if string(group) != s.group {
			s.ok = false
			return false, false, nil
		}
	case q.Reverse && string(group) < q.Groups.From, !q.Reverse && !q.Groups.Unbounded && string(group) >= q.Groups.To:
		s.ok = false
		return false, false, nil
	}
	if q.Keys == AllKeys {
		return false, true, nil
	}
	early, late := string(key) < q.Keys.From, !q.Keys.Unbounded && string(key) >= q.Keys.To
	if !early && !late {
		return false, true, nil
	}
	this := btree.Text(string(group)) // the page's bytes are not good while the cursor moves
	switch {
	case early && !q.Reverse:
		s.ok, err = s.entries.SeekGE(this, btree.Text(q.Keys.From))
	case late && q.Reverse:
		s.ok, err = s.entries.SeekLT(this, btree.Text(q.Keys.To))
	case s.single: // nothing of the group follows
		s.ok = false
	case q.Reverse:
		s.ok, err = s.entries.SeekLT(this)
	default:
		s.ok, err = s.entries.SeekGT(this)
	}
	return true, false, err
}

// named is the group as a string: that of the row before, if it is the same.
func (s *pageScan) named(group []byte) string {
	if s.group != string(group) {
		s.group = string(group)
	}
	return s.group
}

// row reads a row's deadline and revision, and reports whether it is live.
func (s *pageScan) row(v *view, rowid int64, row *kv.Row) (live bool, err error) {
	found, err := s.rows.Get(rowid, &s.record)
	if err != nil || !found {
		return false, errUnread
	}
	if err := v.readMeta(&s.record, row); err != nil {
		return false, err
	}
	return row.Live(s.now), nil
}

// fill copies the key and the value of the row that was read last, together: whoever
// keeps one of them keeps little more.
func (s *pageScan) fill(v *view, key []byte, row *kv.Row) error {
	column := v.shape.columns[columnValue]
	kind, n, err := s.record.Measure(column)
	if err != nil || kind != pages.Text && kind != pages.Blob {
		return errUnread
	}
	if s.query.KeysOnly || n == 0 {
		row.Key = string(key)
		return nil
	}
	both := append(make([]byte, 0, len(key)+n), key...)
	if both, err = s.record.AppendColumn(both, column); err != nil {
		return errUnread
	}
	all := owned(both)
	row.Key, row.Value = all[:len(key)], all[len(key):]
	return nil
}

// unordered reads a chunk in the order of the table, where rows that were written
// together lie together.
func (s *pageScan) unordered(v *view, into []kv.Row, rows, bytes int) (_ []kv.Row, more bool, err error) {
	if len(s.rowids) == 0 {
		for s.ok && len(s.rowids) < rows {
			group, _, rowid, err := s.entries.Pair()
			if err != nil {
				if err := s.beyond(); err != nil {
					return into, false, err
				}
				s.ok = false
				break
			}
			if string(group) != s.group {
				s.ok = false
				break
			}
			s.rowids = append(s.rowids, rowid)
			if s.ok, err = s.entries.Next(); err != nil {
				return into, false, err
			}
		}
		slices.Sort(s.rowids)
	}
	taken := 0
	for _, rowid := range s.rowids {
		if bytes <= 0 {
			break
		}
		taken++
		row := kv.Row{Group: s.group}
		live, err := s.row(v, rowid, &row)
		if err != nil {
			return into, false, err
		}
		if !live {
			continue
		}
		key, err := s.record.Column(v.shape.columns[columnKey])
		if err != nil || key.Kind != pages.Text {
			return into, false, errUnread
		}
		if err := s.fill(v, key.Bytes, &row); err != nil {
			return into, false, err
		}
		into = append(into, row)
		bytes -= len(row.Key) + len(row.Value)
	}
	s.rowids = s.rowids[:copy(s.rowids, s.rowids[taken:])]
	return into, s.ok || len(s.rowids) > 0, nil
}

// named reports whether every row of the table has a group that is text: the others
// come before all text, or behind it.
func named(v *view) bool {
	var c btree.IndexCursor
	c.Reset(&v.index)
	for _, end := range []func() (bool, error){c.First, c.Last} {
		ok, err := end()
		if err != nil {
			return false
		}
		if !ok {
			return true
		}
		entry, err := c.Entry()
		if err != nil {
			return false
		}
		if group, err := entry.Column(0); err != nil || group.Kind != pages.Text {
			return false
		}
	}
	return true
}
