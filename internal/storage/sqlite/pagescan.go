package sqlite

import (
	"bytes"
	"errors"
	"slices"
	"sync"

	"forge.lthn.ai/core/go-store/internal/storage"
	"forge.lthn.ai/core/go-store/internal/storage/btree"
	"forge.lthn.ai/core/go-store/internal/storage/pages"
	"forge.lthn.ai/core/go-store/kv"
)

// pageScan yields the live rows of a query from a view's pages, some at a time. Between
// two chunks it stands where it was: the view must be the same.
type pageScan struct {
	query  storage.Query
	group  string // the query's single group, or that of the row before
	single bool
	now    int64
	left   int // rows that are still wanted
	skip   int // rows before them that are not

	entries btree.IndexCursor
	rows    btree.TableReader
	record  btree.Record
	ok      bool // entries is at one
	been    been
	failed  error   // behind the rows that were gathered
	rowids  []int64 // of rows that were gathered and not read
	buffer  []int64

	into  []kv.Row // rows of the present chunk, behind what was there
	most  int      // how long that may become
	bytes int      // how many more bytes it may have

	spare  []kv.Row // a buffer for its caller
	cutter cutter   // of strings that are kept together
}

// been is where a scan of several groups, or of some keys, has come to. In an index that is
// out of order it might otherwise come there again and again.
type been struct {
	group   []byte // of the last entry, if there are several
	entered bool   // there is one
	inside  bool   // no entry of it that follows may lie before the keys that are asked for
	left    bool   // no entry of it may follow
}

// patience is how many entries that are not wanted a chunk passes over for each row that
// it may have.
const patience = 16

// freeScans are those that are not in use: what a scan needs to know of where it is takes as long
// to allocate as some rows to read.
var freeScans = sync.Pool{New: func() any { return new(pageScan) }}

// newPageScan is a scan, which may be freed.
func newPageScan(q storage.Query, now int64) *pageScan {
	s := freeScans.Get().(*pageScan)
	s.query, s.now, s.left = q, now, q.Wanted()
	s.group, s.single = q.Single()
	return s
}

// room is a buffer for a chunk. It is its caller's until free.
func (s *pageScan) room() []kv.Row {
	room := s.spare[:0]
	s.spare = nil
	return room
}

// free gives a scan back that is not used any more, and what room gave, or another buffer.
func (s *pageScan) free(room []kv.Row) {
	clear(room)
	if cap(room) > firstChunkRows {
		room = nil
	}
	*s = pageScan{buffer: s.buffer[:0], spare: room[:0]}
	freeScans.Put(s)
}

// anyOrder: only what is all wanted may be read in another order.
func (s *pageScan) anyOrder() bool {
	q := &s.query
	return q.AnyOrder && s.single && !q.Reverse && q.Limit <= 0 && q.Keys == storage.AllKeys
}

// begin goes to the first entry.
func (s *pageScan) begin(v *view) (err error) {
	s.entries.Reset(&v.index)
	s.rows.Reset(&v.table)
	s.been = been{group: s.been.group}
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

func (s *pageScan) wide() bool { return s.query.Wide() }

// chunk appends rows until one of the limits is reached; more says that there may be
// others behind them.
func (s *pageScan) chunk(v *view, into []kv.Row, rows, bytes int) (_ []kv.Row, more bool, err error) {
	into, _, more, err = s.some(v, into, rows, bytes)
	return into, more, err
}

// some is chunk that says how many entries it has passed, which has a limit too.
func (s *pageScan) some(v *view, into []kv.Row, rows, bytes int) (_ []kv.Row, passed int, more bool, err error) {
	rows = min(rows, s.left)
	before := len(into)
	s.into, s.most, s.bytes = into, before+rows, bytes
	defer func() { s.into = nil }()
	for (s.ok || len(s.rowids) > 0) && len(s.into) < s.most && s.bytes > 0 && passed < patience*rows {
		if len(s.rowids) == 0 {
			most := gathered
			if s.skip < gathered { // it may be any number
				most = min(gathered, s.most-len(s.into)+s.skip)
			}
			n, err := s.gather(v, most, rows)
			if err != nil {
				s.ok, s.failed = false, err // what lies before it can be read
			}
			passed += n
		}
		if err := s.read(v); err != nil {
			return s.into, passed, false, err
		}
	}
	into = s.into
	s.left -= len(into) - before
	if s.failed != nil && len(s.rowids) == 0 && s.left > 0 {
		return into, passed, false, s.failed
	}
	more = s.ok || len(s.rowids) > 0
	if !more && s.left > 0 && isEverything(s.query.Groups) {
		err = v.allNamed(s.now)
	}
	return into, passed, more && s.left > 0 && err == nil, err
}

// behind is what SQLite is asked for if a page can't be read: the rows behind the last
// that was yielded.
func (s *pageScan) behind(last *kv.Row) source[kv.Row] {
	q := s.query
	if last != nil && !s.anyOrder() {
		q.After = &kv.Key{Group: last.Group, Key: last.Key}
	}
	return newMergedRows(q, s.now)
}

// gathered is how many rows are looked for at a time.
const gathered = 32

// gather goes along the index for n rows that may be wanted, or, where their order does
// not matter, for many that are then read in the order of the table: rows that were
// written together lie together. It reports how many entries it has passed.
func (s *pageScan) gather(v *view, n, many int) (passed int, err error) {
	unordered := s.anyOrder()
	if unordered {
		n = many
	}
	if cap(s.buffer) < n {
		s.buffer = make([]int64, 0, n)
	}
	s.rowids = s.buffer[:0:n]
	keys := &s.query.Keys
	along := s.single && !s.query.Reverse
	for s.ok && len(s.rowids) < n && passed < patience*n {
		if along {
			before := len(s.rowids)
			s.rowids, s.ok, err = s.entries.Gather(s.group, keys.To, !keys.Unbounded, s.rowids)
			passed += len(s.rowids) - before
			if err != nil {
				return passed, err
			}
			if !s.ok || len(s.rowids) == n {
				break
			}
		}
		group, key, rowid, err := s.entries.Pair()
		var moved, wanted bool
		if err != nil {
			err = s.odd(v)
		} else {
			moved, wanted, err = s.judge(group, key)
		}
		if err != nil {
			return passed, err
		}
		passed++
		if wanted {
			s.rowids = append(s.rowids, rowid)
		}
		if s.ok && !moved {
			if s.ok, err = s.step(); err != nil {
				return passed, err
			}
		}
	}
	if unordered && !slices.IsSorted(s.rowids) {
		slices.Sort(s.rowids)
	}
	return passed, nil
}

// errEnough ends the reading of rows before the last.
var errEnough = errors.New("enough")

// read reads the rows that were gathered, and adds those that are live, until there are
// enough.
func (s *pageScan) read(v *view) error {
	next := 0
	err := s.rows.Each(s.rowids, &s.record, func(i int) error {
		if i != next {
			return errUnread // the index has a row that the table has not
		}
		next++
		if s.skip > 0 {
			live, err := v.live(&s.record, s.now)
			if live {
				s.skip--
			}
			return err
		}
		return s.add(v)
	})
	if err == nil && next != len(s.rowids) {
		err = errUnread
	}
	s.rowids = s.rowids[next:]
	if errors.Is(err, errEnough) {
		return nil
	}
	return err
}

// add adds the row that was read, if it is live.
func (s *pageScan) add(v *view) error {
	n := len(s.into)
	s.into = append(s.into, kv.Row{})
	row := &s.into[n]
	err := v.readMeta(&s.record, row)
	if err != nil || !row.Live(s.now) {
		s.into = s.into[:n]
		return err
	}
	if err := s.fill(v, row); err != nil {
		s.into[n] = kv.Row{}
		s.into = s.into[:n]
		return err
	}
	s.bytes -= len(row.Key) + len(row.Value)
	if len(s.into) == s.most || s.bytes <= 0 {
		return errEnough
	}
	return nil
}

func (s *pageScan) step() (bool, error) {
	if s.query.Reverse {
		return s.entries.Prev()
	}
	return s.entries.Next()
}

// odd judges an entry that is not two texts: it ends the scan if it lies behind the end of
// the range, and is passed over if its key, which comes before all text or behind it, is
// not asked for, or if its row is dead. Otherwise what is wrong with it is for SQLite to
// say.
func (s *pageScan) odd(v *view) error {
	group, rowid, err := groupAndRow(&s.entries)
	if err != nil {
		return err
	}
	if group.Kind != pages.Text || s.single && string(group.Bytes) != s.group || !s.single && !inRange(s.query.Groups, group.Bytes) {
		s.ok = false
		return nil
	}
	entry, err := s.entries.Entry()
	if err != nil {
		return err
	}
	key, err := entry.Column(1)
	if err != nil {
		return err
	}
	keys := s.query.Keys
	if key.Kind == pages.Blob && !keys.Unbounded || key.Kind < pages.Text && keys.From != "" {
		return nil
	}
	if found, err := s.rows.Get(rowid, &s.record); err != nil || !found {
		return faulty(err)
	}
	if live, err := v.live(&s.record, s.now); err != nil || live {
		return faulty(err)
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
	case !s.enter(group):
		return false, false, errUnread
	}
	if q.Keys == storage.AllKeys {
		return false, true, nil
	}
	early, late := string(key) < q.Keys.From, !q.Keys.Unbounded && string(key) >= q.Keys.To
	if !early && !late {
		s.been.inside = true
		return false, true, nil
	}
	switch before := early && !q.Reverse || late && q.Reverse; {
	case before && s.been.inside:
		return false, false, errUnread
	case before:
		s.been.inside = true
	default:
		s.been.left = true
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

// enter notes the group of an entry, unless it should have come before.
func (s *pageScan) enter(group []byte) (inOrder bool) {
	b := &s.been
	if b.entered {
		d := bytes.Compare(group, b.group)
		if d == 0 {
			return !b.left
		}
		if d < 0 != s.query.Reverse {
			return false
		}
	}
	*b = been{group: append(b.group[:0], group...), entered: true}
	return true
}

// joined is how many bytes of a value are copied together with its key, which saves an
// allocation: to keep one of them keeps little more.
const joined = 256

// fill copies the row that was read.
func (s *pageScan) fill(v *view, row *kv.Row) error {
	if row.Group = s.group; !s.single {
		if err := s.readGroup(v); err != nil {
			return err
		}
		row.Group = s.group
	}
	if s.fillNear(v, row) {
		return nil
	}
	key, err := s.record.Column(v.shape.columns[columnKey])
	if err != nil || key.Kind != pages.Text {
		return faulty(err)
	}
	column := v.shape.columns[columnValue]
	kind, n, err := s.record.Measure(column)
	if err != nil || kind != pages.Text && kind != pages.Blob {
		return faulty(err)
	}
	if s.query.KeysOnly || n > joined {
		row.Key = string(key.Bytes)
		if s.query.KeysOnly {
			return nil
		}
		value, err := s.record.AppendColumn(make([]byte, 0, n), column)
		row.Value = owned(value)
		return unread(err)
	}
	both := append(make([]byte, 0, len(key.Bytes)+n), key.Bytes...)
	if both, err = s.record.AppendColumn(both, column); err != nil {
		return faulty(err)
	}
	all := owned(both)
	row.Key, row.Value = all[:len(key.Bytes)], all[len(key.Bytes):]
	return nil
}

// readGroup reads the group, which is that of the row before, as a rule.
func (s *pageScan) readGroup(v *view) error {
	serial, name, ok := s.record.Near(v.shape.columns[columnGroup])
	if !ok || !ofText(serial) {
		group, err := s.record.Column(v.shape.columns[columnGroup])
		if err != nil || group.Kind != pages.Text {
			return faulty(err)
		}
		name = group.Bytes
	}
	if s.group != string(name) {
		s.group = string(name)
	}
	return nil
}

// fillNear is fill for a row whose key and value lie in its page, one behind the other, and
// that is copied as a whole.
func (s *pageScan) fillNear(v *view, row *kv.Row) (ok bool) {
	both, n, ok := s.near(v)
	if !ok {
		return false
	}
	switch {
	case s.query.KeysOnly:
		row.Key = string(both[:n])
	case len(both)-n > joined:
		row.Key, row.Value = string(both[:n]), string(both[n:])
	default:
		all := string(both)
		row.Key, row.Value = all[:n], all[n:]
	}
	return true
}

// near is where key and value of the row that was read lie in its page, one behind the other,
// and how many of the bytes are the key's.
func (s *pageScan) near(v *view) (both []byte, n int, ok bool) {
	column := v.shape.columns[columnKey]
	if v.shape.columns[columnValue] != column+1 {
		return nil, 0, false
	}
	key, value, both, n, ok := s.record.NearPair(column)
	return both, n, ok && ofText(key) && value >= blobTypes
}

// blobTypes are the serial types from this one on: even ones are BLOBs, and odd ones texts.
const blobTypes = 12

func ofText(serial uint64) bool { return serial > blobTypes && serial&1 == 1 }
