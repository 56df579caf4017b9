package btree

import "math"

// Table is one whose rows have rowids.
type Table struct {
	Pages Pages
	Root  uint32
}

// Get reads a row. For several rows keep a [TableReader].
func (t *Table) Get(rowid int64, into *Record) (found bool, err error) {
	var r TableReader
	r.Reset(t)
	return r.Get(rowid, into)
}

// TableReader reads rows by their rowids. It remembers where the last row lay: a row that
// lies beside it costs no search from the root.
type TableReader struct {
	table *Table
	leaf  below
	above below // the page that leads to the leaf
	i     int   // of the last row in the leaf

	levels int // of pages above the leaves; 0: not known, or none
	lines  int // of the processor's cache that the last row took
}

const (
	leastRowid = math.MinInt64
	mostRowid  = math.MaxInt64
)

// below is a page, and the rowids that belong below it: those in [from, to].
type below struct {
	page
	from, to int64
}

func (b *below) has(rowid int64) bool { return b.data != nil && rowid >= b.from && rowid <= b.to }

// Reset has the reader read a table.
func (r *TableReader) Reset(t *Table) {
	r.table, r.leaf.data, r.above.data, r.levels, r.lines = t, nil, nil, 0, 1
}

// Get reads a row.
func (r *TableReader) Get(rowid int64, into *Record) (found bool, err error) {
	if !r.leaf.has(rowid) {
		if err := r.descend(rowid); err != nil {
			r.leaf.data, r.above.data = nil, nil
			return false, err
		}
		r.i = guess(rowid, r.leaf.from, r.leaf.to, 0, r.leaf.n)
	} else if r.i++; r.i < r.leaf.n { // it is the next one, most likely
		found, err := into.tableRecordOf(&r.table.Pages, &r.leaf.page, r.i, rowid)
		if found || err != nil {
			r.lines = len(into.local)/64 + 1
			return found, err
		}
	} else {
		r.i = guess(rowid, r.leaf.from, r.leaf.to, 0, r.leaf.n)
	}
	i, found, err := r.leaf.find(rowid, r.i)
	if err != nil || !found {
		return false, err
	}
	r.i = i
	err = into.tableRecord(&r.table.Pages, &r.leaf.page, i)
	r.lines = len(into.local)/64 + 1
	return err == nil, err
}

// descend goes to the leaf where a rowid belongs.
func (r *TableReader) descend(rowid int64) error {
	s := &r.table.Pages
	p, known := r.above, true
	if !p.has(rowid) {
		known = false
		if err := s.root(&p.page, r.table.Root, tables); err != nil {
			return err
		}
		p.from, p.to = leastRowid, mostRowid
	}
	for level := range deepest {
		if p.leaf {
			r.leaf = p
			if !known {
				r.levels = level
			}
			return nil
		}
		r.above = p
		i, err := p.narrow(rowid)
		if err != nil {
			return err
		}
		child, err := p.child(i)
		if err != nil {
			return err
		}
		if err := s.load(&p.page, child, p.number, tables); err != nil {
			return err
		}
	}
	return p.damaged(reasonDeep)
}

// narrow is the child where a rowid belongs, and has the bounds be that child's.
func (b *below) narrow(rowid int64) (child int, err error) {
	from, to := b.from, b.to
	low, high := 0, b.n
	for tries := 0; low < high; tries++ {
		i := int(uint(low+high) / 2)
		if tries < evenTries {
			i = guess(rowid, from, to, low, high)
		}
		key, ok := b.key(i)
		if !ok {
			return 0, b.damaged(reasonCell)
		}
		if key < from || key > to {
			return 0, b.damaged(reasonOrder)
		}
		if key < rowid {
			low, from = i+1, key+1
		} else {
			high, to = i, key
		}
	}
	b.from, b.to = from, to
	return low, nil
}

// evenTries is how often a search goes by where a rowid would be if they were evenly
// spread, as they nearly are. Where they are not, halving goes on from there.
const evenTries = 4

// guess is where among [low, high) a rowid of [from, to] is, if they are evenly spread.
func guess(rowid, from, to int64, low, high int) int {
	width := uint64(to) - uint64(from)
	if width > 1<<32 { // unbounded, most likely
		return int(uint(low+high) / 2)
	}
	return low + int((uint64(rowid)-uint64(from))*uint64(high-low)/(width+1))
}

// key is the rowid of a cell.
func (p *page) key(i int) (rowid int64, ok bool) {
	c := p.cell(i)
	if c == nil {
		return 0, false
	}
	n := 4
	if p.leaf {
		if _, n = varint(c); n == 0 {
			return 0, false
		}
	}
	v, n := varint(c[n:])
	return int64(v), n > 0
}

// find is the cell of a rowid in a leaf, which is looked for at i first.
func (p *page) find(rowid int64, i int) (_ int, found bool, err error) {
	for low, high := 0, p.n; low < high; i = int(uint(low+high) / 2) {
		key, ok := p.key(i)
		switch {
		case !ok:
			return 0, false, p.damaged(reasonCell)
		case key < rowid:
			low = i + 1
		case key > rowid:
			high = i
		default:
			return i, true, nil
		}
	}
	return 0, false, nil
}
