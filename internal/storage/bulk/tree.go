package bulk

import (
	"encoding/binary"

	"forge.lthn.ai/core/go-store/internal/storage/pages"
)

// tree is one that is filled from its left to its right.
//
// A page that is full waits until the next one of its level has a cell, and is written and
// named above then: no page but the root may be empty, so the last page takes a cell from
// the one before if nothing else is left for it.
type tree struct {
	file           *File
	root           uint32
	leaf, interior byte // kinds of its pages
	levels         []*level
	chain          []byte // a page of what is too large for its own
}

// level is those of a tree's pages that are as far above the leaves.
type level struct {
	page   page
	before page   // the one before, if waits
	right  uint32 // its last child
	waits  bool   // until page has a cell
	above  []byte // what stands above between the two
}

func (t *tree) open(f *File, root uint32, leaf, interior byte) {
	*t = tree{file: f, root: root, leaf: leaf, interior: interior}
	t.level(0)
}

func (t *tree) level(i int) *level {
	if i == len(t.levels) {
		t.levels = append(t.levels, new(level))
		t.empty(i)
	}
	return t.levels[i]
}

func (t *tree) empty(i int) {
	if i == 0 {
		t.levels[i].page.reset(t.file, t.leaf, leafHeader)
	} else {
		t.levels[i].page.reset(t.file, t.interior, interiorHeader)
	}
}

// waiting has the page of a level, which is full, wait for what follows, and another one be
// filled. The level below may use above again.
func (t *tree) waiting(i int, right uint32, above []byte) {
	l := t.levels[i]
	l.page, l.before = l.before, l.page
	l.right, l.waits, l.above = right, true, append(l.above[:0], above...)
	t.empty(i)
}

// written writes the page that waits, if one does.
func (t *tree) written(i int) error {
	l := t.levels[i]
	if !l.waits {
		return nil
	}
	l.waits = false
	number, err := t.file.append(l.before.finish(l.right))
	if err != nil {
		return err
	}
	return t.rise(i+1, number, l.above)
}

// rise puts a page into the level above, and behind it what parts it from the next.
func (t *tree) rise(i int, child uint32, above []byte) error {
	l := t.level(i)
	if !l.page.fits(4 + len(above)) {
		t.waiting(i, child, above)
		return nil
	}
	cell := l.page.put(4 + len(above))
	binary.BigEndian.PutUint32(cell, child)
	copy(cell[4:], above)
	return t.written(i)
}

// close writes the last page of each level, and that of the uppermost as the root.
func (t *tree) close() error {
	var last uint32 // page of the level below
	for i := 0; i < len(t.levels); i++ {
		l := t.levels[i]
		if l.waits {
			if err := t.share(i); err != nil {
				return err
			}
		}
		page := l.page.finish(last)
		if i == len(t.levels)-1 {
			return t.file.replace(t.root, page, t.leaf)
		}
		var err error
		if last, err = t.file.append(page); err != nil {
			return err
		}
	}
	return nil
}

// share has the last page of a level, which is empty, have a cell: what stood above it comes
// down, and the last cell of the page before goes there.
func (t *tree) share(i int) error {
	l := t.levels[i]
	cell := append([]byte(nil), l.before.pop()...)
	if i == 0 {
		copy(l.page.put(len(l.above)), l.above)
		l.above = cell
		return t.written(i)
	}
	down := l.page.put(4 + len(l.above))
	binary.BigEndian.PutUint32(down, l.right)
	copy(down[4:], l.above)
	l.right, l.above = binary.BigEndian.Uint32(cell), cell[4:]
	return t.written(i)
}

// spill writes what of a payload is not in its cell, and says where it begins.
func (t *tree) spill(payload []byte) (first uint32, err error) {
	f := t.file
	if t.chain == nil {
		t.chain = make([]byte, f.size)
	}
	first = f.after(f.count)
	for next := first; len(payload) > 0; {
		n := copy(t.chain[4:f.usable], payload)
		clear(t.chain[4+n:])
		if payload = payload[n:]; len(payload) > 0 {
			next = f.after(next)
		} else {
			next = 0
		}
		binary.BigEndian.PutUint32(t.chain, next)
		if _, err := f.append(t.chain); err != nil {
			return 0, err
		}
	}
	return first, nil
}

// cell is one that is about to be put into a leaf.
type cell struct {
	head  [18]byte
	heads int    // bytes of head
	local []byte // of the payload, what lies in the cell
	first uint32 // of the pages with the rest; 0: there is none
}

// leastCell is what SQLite takes the smallest cell for. No record of a column and a rowid
// makes a smaller one.
const leastCell = 4

// cut writes what is too large for a cell elsewhere.
func (t *tree) cut(c *cell, payload []byte, table bool) (err error) {
	if c.heads+len(payload) < leastCell {
		panic("bulk: a record without columns")
	}
	local := pages.Local(len(payload), t.file.usable, table)
	c.local, c.first = payload[:local], 0
	if local < len(payload) {
		c.first, err = t.spill(payload[local:])
	}
	return err
}

func (c *cell) size() int {
	n := c.heads + len(c.local)
	if c.first != 0 {
		n += 4
	}
	return n
}

func (c *cell) write(to []byte) {
	n := copy(to, c.head[:c.heads])
	n += copy(to[n:], c.local)
	if c.first != 0 {
		binary.BigEndian.PutUint32(to[n:], c.first)
	}
}

// Table is one that is filled.
type Table struct {
	tree  tree
	last  int64 // rowid
	begun bool
	cell  cell
	above [9]byte
}

// Table fills the one whose first page that is. It is whole once it is closed.
func (f *File) Table(root uint32) *Table {
	t := new(Table)
	t.tree.open(f, root, pages.LeafTable, pages.InteriorTable)
	return t
}

// Add adds a row, behind all others: its rowid must be greater. It keeps nothing of it.
func (t *Table) Add(rowid int64, payload []byte) error {
	if t.begun && rowid <= t.last {
		panic("bulk: a table's rows don't come in order")
	}
	c := &t.cell
	c.heads = putVarint(c.head[:], uint64(len(payload)))
	c.heads += putVarint(c.head[c.heads:], uint64(rowid))
	if err := t.tree.cut(c, payload, true); err != nil {
		return err
	}
	l := t.tree.levels[0]
	if !l.page.fits(c.size()) {
		number, err := t.tree.file.append(l.page.finish(0))
		if err != nil {
			return err
		}
		t.tree.empty(0)
		if err := t.tree.rise(1, number, t.above[:putVarint(t.above[:], uint64(t.last))]); err != nil {
			return err
		}
	}
	c.write(l.page.put(c.size()))
	t.last, t.begun = rowid, true
	return nil
}

// Close writes what is not written yet.
func (t *Table) Close() error { return t.tree.close() }

// Index is one that is filled.
type Index struct {
	tree  tree
	cell  cell
	above []byte
}

// Index fills the one whose first page that is. It is whole once it is closed.
func (f *File) Index(root uint32) *Index {
	x := new(Index)
	x.tree.open(f, root, pages.LeafIndex, pages.InteriorIndex)
	return x
}

// Add adds an entry, behind all others. It keeps nothing of it.
func (x *Index) Add(payload []byte) error {
	c := &x.cell
	c.heads = putVarint(c.head[:], uint64(len(payload)))
	if err := x.tree.cut(c, payload, false); err != nil {
		return err
	}
	n := c.size()
	l := x.tree.levels[0]
	if !l.page.fits(n) { // this one stands above, between that page and the next
		if cap(x.above) < n {
			x.above = make([]byte, 0, x.tree.file.usable)
		}
		x.above = x.above[:n]
		c.write(x.above)
		x.tree.waiting(0, 0, x.above)
		return nil
	}
	c.write(l.page.put(n))
	return x.tree.written(0)
}

// Close writes what is not written yet.
func (x *Index) Close() error { return x.tree.close() }
