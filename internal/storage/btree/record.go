package btree

import (
	"fmt"
	"math"
	"slices"
	"unsafe"

	"forge.lthn.ai/core/go-store/internal/storage/pages"
)

// Value is one column. Its bytes are a part of a page or of a Record.
type Value = pages.Value

// Text is a key's column.
func Text(s string) Value {
	return Value{Kind: pages.Text, Bytes: unsafe.Slice(unsafe.StringData(s), len(s))}
}

// Integer is a key's column.
func Integer(n int64) Value { return Value{Kind: pages.Integer, Int: n} }

// Record is a row or an entry of an index. Columns are looked for when they are asked
// for. It is meant to be used for one row after the other: its values are good until
// the next is read into it.
type Record struct {
	Rowid int64 // of a table's row

	pages *Pages
	page  uint32
	size  int    // of the payload
	local []byte // its first part
	first uint32 // of the pages with what follows

	header int // its length; 0: it was not looked at
	known  int // columns of which the following is known
	types  [knownColumns]uint64
	starts [knownColumns + 1]int // where in the payload they begin
	at     [knownColumns + 1]int // where in the header

	chain   overflow
	scratch []byte
}

const (
	knownColumns = 6
	mostHeader   = 98307 // SQLite's own limit
)

// overflow is how far into a chain of pages a record was read.
type overflow struct {
	number uint32 // of the page; 0: none was read
	index  int
	data   []byte
	mark   uint32 // a page before it
}

// tableRecord reads a cell of a table's leaf.
func (r *Record) tableRecord(s *Pages, p *page, i int) error {
	c := p.cell(i)
	size, n := varint(c)
	if n == 0 {
		return p.damaged(reasonPointer)
	}
	rowid, m := varint(c[n:])
	if m == 0 {
		return p.damaged(reasonCell)
	}
	r.Rowid = int64(rowid)
	return r.payload(s, p, c[n+m:], size, true)
}

// tableRecordOf is tableRecord if the cell is that row's, and nothing otherwise.
func (r *Record) tableRecordOf(s *Pages, p *page, i int, rowid int64) (found bool, err error) {
	c := p.cell(i)
	size, n := varint(c)
	if n == 0 {
		return false, nil
	}
	is, m := varint(c[n:])
	if m == 0 || int64(is) != rowid {
		return false, nil
	}
	r.Rowid = rowid
	err = r.payload(s, p, c[n+m:], size, true)
	return err == nil, err
}

// indexRecord reads a cell of an index's page.
func (r *Record) indexRecord(s *Pages, p *page, i int) error {
	c := p.entry(i)
	size, n := varint(c)
	if n == 0 {
		return p.damaged(reasonPointer)
	}
	return r.payload(s, p, c[n:], size, false)
}

func (r *Record) payload(s *Pages, p *page, c []byte, size uint64, table bool) error {
	r.pages, r.page = s, p.number
	r.header, r.known, r.chain.number, r.chain.data, r.scratch = 0, 0, 0, nil, r.scratch[:0]
	if size > math.MaxInt32 {
		return p.damaged(reasonCell)
	}
	r.size = int(size)
	local := pages.Local(r.size, s.Usable, table)
	if local == r.size {
		if local > len(c) {
			return p.damaged(reasonCell)
		}
		r.local = c[:local:local]
		return nil
	}
	if local+4 > len(c) || int64(r.size-local) > int64(s.Count)*int64(s.Usable-4) {
		return p.damaged(reasonCell)
	}
	r.local, r.first = c[:local:local], be32(c, local)
	return nil
}

// Column is one of the columns, counted from 0. A column that the record does not have is
// Missing: its table got it later, and its default holds.
func (r *Record) Column(i int) (v Value, err error) {
	serial, start, end, err := r.column(i)
	if err != nil || end < 0 {
		return Value{Kind: pages.Missing}, err
	}
	b, err := r.bytes(start, end)
	if err != nil {
		return v, err
	}
	v, _, _ = pages.ParseValue(serial, b)
	return v, nil
}

// Measure is what kind a column is of and, of a Text or a Blob, how many bytes it has.
// They are not read.
func (r *Record) Measure(i int) (kind pages.Kind, n int, err error) {
	serial, start, end, err := r.column(i)
	switch {
	case err != nil || end < 0:
		return pages.Missing, 0, err
	case serial >= 12:
		return pages.Blob - pages.Kind(serial&1), end - start, nil
	}
	v, _, _ := pages.ParseValue(serial, make([]byte, 8))
	return v.Kind, 0, nil
}

// AppendColumn appends the bytes of a column that is a Text or a Blob. Where that does
// not lie in its page as a whole it costs one copy less than Column.
func (r *Record) AppendColumn(to []byte, i int) ([]byte, error) {
	serial, start, end, err := r.column(i)
	if err != nil || end < 0 || serial < 12 {
		return to, err
	}
	return r.gather(to, start, end)
}

// column is where in the payload a column is; end is -1 if there is none.
func (r *Record) column(i int) (serial uint64, start, end int, err error) {
	if r.header == 0 {
		if err := r.begin(); err != nil {
			return 0, 0, 0, err
		}
	}
	k := min(i, r.known)
	at, start := r.at[min(k, knownColumns)], r.starts[min(k, knownColumns)]
	if i < r.known {
		return r.types[i], start, r.starts[i+1], nil
	}
	header, err := r.bytes(0, r.header)
	if err != nil {
		return 0, 0, 0, err
	}
	for ; ; k++ {
		if at == len(header) {
			return 0, 0, -1, nil
		}
		serial, n := varint(header[at:])
		size, ok := pages.SerialSize(serial)
		if n == 0 || !ok || size > uint64(r.size-start) {
			return 0, 0, 0, r.damaged()
		}
		at, end = at+n, start+int(size)
		if at == len(header) && end != r.size {
			return 0, 0, 0, r.damaged()
		}
		if k < knownColumns {
			r.types[k], r.starts[k+1], r.at[k+1] = serial, end, at
			r.known = k + 1
		}
		if k == i {
			return serial, start, end, nil
		}
		start = end
	}
}

// begin reads how long the header is, and the columns as far as they are of the common
// kind: what it leaves is for column to read, or to refuse.
func (r *Record) begin() error {
	b, err := r.bytes(0, min(r.size, 9))
	if err != nil {
		return err
	}
	header, n := varint(b)
	if n == 0 || header < uint64(n) || header > uint64(min(r.size, mostHeader)) {
		return r.damaged()
	}
	r.header, r.at[0], r.starts[0] = int(header), n, int(header)
	if r.header > len(r.local) {
		return nil
	}
	types, at, start := r.local[:r.header], n, r.header
	for k := 0; k < knownColumns && at < len(types); k++ {
		serial := uint64(types[at])
		at++
		if serial >= 0x80 {
			if at == len(types) || types[at] >= 0x80 {
				return nil
			}
			serial = serial&0x7F<<7 | uint64(types[at])
			at++
		}
		size, ok := pages.SerialSize(serial)
		start += int(size)
		if !ok || start > r.size || at == len(types) && start != r.size {
			return nil
		}
		r.types[k], r.starts[k+1], r.at[k+1] = serial, start, at
		r.known = k + 1
	}
	return nil
}

// Near is where a column lies in its page, and of which serial type it is. Not ok: it may
// lie elsewhere, or not be there, and Column tells.
func (r *Record) Near(i int) (serial uint64, bytes []byte, ok bool) {
	if i >= r.known && !r.nearby(i) {
		return 0, nil, false
	}
	start, end := r.starts[i], r.starts[i+1]
	if end > len(r.local) {
		return 0, nil, false
	}
	return r.types[i], r.local[start:end:end], true
}

// nearby is Near's look at a record that was not looked at.
func (r *Record) nearby(i int) bool {
	return r.header == 0 && r.begin() == nil && i < r.known
}

// NearPair is Near for two columns of which the second follows the first: the bytes of both,
// and how many are the first's.
func (r *Record) NearPair(i int) (first, second uint64, bytes []byte, n int, ok bool) {
	if i+1 >= r.known && !r.nearby(i+1) {
		return 0, 0, nil, 0, false
	}
	start, end := r.starts[i], r.starts[i+2]
	if end > len(r.local) {
		return 0, 0, nil, 0, false
	}
	return r.types[i], r.types[i+1], r.local[start:end:end], r.starts[i+1] - start, true
}

func (r *Record) damaged() error {
	return &DamagedError{r.page, "the lengths in a record don't fit together"}
}

// bytes are a part of the payload.
func (r *Record) bytes(from, to int) ([]byte, error) {
	if to <= len(r.local) {
		return r.local[from:to:to], nil
	}
	before := len(r.scratch) // what lies there is in use
	all, err := r.gather(r.scratch, from, to)
	if err != nil {
		return nil, err
	}
	r.scratch = all
	return all[before:len(all):len(all)], nil
}

// gather appends a part of the payload, with what of it lies in overflow pages.
func (r *Record) gather(b []byte, from, to int) ([]byte, error) {
	each := r.pages.Usable - 4
	if to > len(r.local) {
		// What is not there is not made room for.
		if _, err := r.follow((to - len(r.local) - 1) / each); err != nil {
			return b, err
		}
	}
	b = slices.Grow(b, to-from)
	if from < len(r.local) {
		part := r.local[from:min(to, len(r.local))]
		b, from = append(b, part...), from+len(part)
	}
	for from < to {
		index, skip := (from-len(r.local))/each, (from-len(r.local))%each
		data, err := r.follow(index)
		if err != nil {
			return b, err
		}
		part := data[4+skip : 4+skip+min(each-skip, to-from)]
		b, from = append(b, part...), from+len(part)
	}
	return b, nil
}

// follow is a page of the chain, counted from 0.
func (r *Record) follow(index int) ([]byte, error) {
	c := &r.chain
	if c.number == 0 || index < c.index {
		data, err := r.pages.bytes(r.first, r.page)
		if err != nil {
			return nil, err
		}
		*c = overflow{number: r.first, data: data}
	}
	for c.index < index {
		if c.index&(c.index+1) == 0 {
			c.mark = c.number // at every power of two: a circle comes back to one
		}
		next := be32(c.data, 0)
		if next == c.mark {
			return nil, &DamagedError{c.number, fmt.Sprintf("the row of page %d leads round in a circle", r.page)}
		}
		data, err := r.pages.bytes(next, c.number)
		if err != nil {
			return nil, err
		}
		c.number, c.data = next, data
		c.index++
	}
	return c.data, nil
}
