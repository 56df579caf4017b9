package pages

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
)

// state says what a page was found to be.
type state uint8

const (
	unknown state = iota
	free
	tree     // of a b-tree
	overflow // the rest of a row that is too large for its page
	bad      // it should be something, and can't be read as it
	stray    // of a b-tree that nothing leads to
)

// Row is what a cell holds. Rowid is of tables only.
type Row struct {
	Page   uint32
	Rowid  int64
	Values []Value
}

// Scan goes through a file: first Tree and then Free, which say what each page is,
// then Rows, last Strays. It is not for more than one goroutine.
type Scan struct {
	file   *File
	states []state // by page
	vain   int64   // pages of chains that came to nothing
	local  int     // bytes of the last cell's payload that lay in the cell
	// Lost is told of each row that can't be read, and of each page.
	Lost func(page uint32, why error)
	// Step is called for each page that is read for its rows; an error ends the
	// scan.
	Step func() error
}

// NewScan knows nothing yet of any page.
func NewScan(f *File) *Scan {
	return &Scan{file: f, states: make([]state, int64(f.Count)+1), Lost: func(uint32, error) {}, Step: func() error { return nil }}
}

// Tree is a b-tree's pages that hold rows.
type Tree struct {
	pages []uint32
	Whole bool // all of its pages could be read
}

var (
	errTwice   = errors.New("two things lead to it")
	errKind    = errors.New("it is no page of a table or index")
	errPointer = errors.New("a pointer leads out of the page")
	errOverlap = errors.New("its cells lie over each other")
)

// Free marks the pages that hold nothing any more: what was removed must not come
// back. It reports whether the list of them could be read to its end.
func (s *Scan) Free() (whole bool) {
	whole = s.file.Header.Valid
	for trunk := s.file.Header.Freelist; trunk != 0; {
		page, err := s.claim(trunk, free)
		if err != nil {
			return false
		}
		next, n := binary.BigEndian.Uint32(page), binary.BigEndian.Uint32(page[4:])
		if int64(n) > int64(s.file.usable/4-2) {
			return false
		}
		for i := range n {
			leaf := binary.BigEndian.Uint32(page[8+4*i:])
			if leaf == 0 || leaf > s.file.Count || s.states[leaf] != unknown {
				whole = false
				continue
			}
			s.states[leaf] = free
		}
		trunk = next
	}
	return whole
}

// claim reads a page that nothing else has led to.
func (s *Scan) claim(n uint32, as state) ([]byte, error) {
	page, err := s.file.Page(n)
	if err != nil {
		return nil, err
	}
	if s.states[n] != unknown {
		return nil, fmt.Errorf("page %d: %w", n, errTwice)
	}
	s.states[n] = as
	return page, nil
}

// Tree finds the pages of the b-tree at root, whose kind is that of its pages.
func (s *Scan) Tree(root uint32) *Tree {
	t := &Tree{Whole: true}
	for todo := []uint32{root}; len(todo) > 0; {
		n := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		page, err := s.claim(n, tree)
		if err != nil {
			t.Whole = false
			s.Lost(n, err)
			continue
		}
		p, err := s.parse(n, page, func(uint32, error) { t.Whole = false }) // Rows tells of each
		if err != nil {
			t.Whole, s.states[n] = false, bad
			s.Lost(n, err)
			continue
		}
		if p.kind != InteriorTable {
			t.pages = append(t.pages, n)
		}
		if p.leaf() {
			continue
		}
		// The first child is to be read first.
		todo = append(todo, p.rightmost)
		for i := len(p.cells) - 1; i >= 0; i-- {
			if cell := p.cells[i]; cell+4 <= len(page) {
				todo = append(todo, binary.BigEndian.Uint32(page[cell:]))
			}
		}
	}
	return t
}

// btreePage is the outline of a page of a b-tree.
type btreePage struct {
	kind      byte
	rightmost uint32
	cells     []int // offsets, all within the page
}

func (p *btreePage) leaf() bool { return p.kind == LeafTable || p.kind == LeafIndex }

func (s *Scan) parse(n uint32, page []byte, lost func(uint32, error)) (p btreePage, err error) {
	at := 0
	if n == 1 {
		at = HeaderSize
	}
	p.kind = page[at]
	pointers := at + 8
	switch p.kind {
	case LeafTable, LeafIndex:
	case InteriorTable, InteriorIndex:
		p.rightmost = binary.BigEndian.Uint32(page[at+8:])
		pointers += 4
	default:
		return p, errKind
	}
	cells := int(binary.BigEndian.Uint16(page[at+3:]))
	if pointers+2*cells > s.file.usable {
		return p, errPointer
	}
	for i := range cells {
		cell := int(binary.BigEndian.Uint16(page[pointers+2*i:]))
		if cell < pointers+2*cells || cell+4 > s.file.usable {
			lost(n, errPointer)
			continue
		}
		p.cells = append(p.cells, cell)
	}
	return p, nil
}

// Rows calls row with everything that a tree holds and that can be read.
func (s *Scan) Rows(t *Tree, row func(Row) error) error {
	for _, n := range t.pages {
		if err := s.rows(n, row); err != nil {
			return err
		}
	}
	return nil
}

func (s *Scan) rows(n uint32, row func(Row) error) error {
	if err := s.Step(); err != nil {
		return err
	}
	page, err := s.file.Page(n)
	if err != nil {
		s.Lost(n, err)
		return nil
	}
	p, err := s.parse(n, page, s.Lost)
	if err != nil {
		s.Lost(n, err)
		return nil
	}
	used := 0
	for _, at := range p.cells {
		r, err := s.cell(page[:s.file.usable], p.kind, at)
		if used += s.local; err == nil && used > s.file.usable {
			err = errOverlap
		}
		if err != nil {
			s.Lost(n, err)
			continue
		}
		r.Page = n
		if err := row(r); err != nil {
			return err
		}
	}
	return nil
}

// cell reads a cell with what lies on overflow pages.
func (s *Scan) cell(page []byte, kind byte, at int) (r Row, err error) {
	s.local = 0
	cell := page[at:]
	if kind == InteriorIndex {
		cell = cell[4:]
	}
	size, n := Varint(cell)
	if n == 0 {
		return r, errRecord
	}
	cell = cell[n:]
	if kind == LeafTable {
		rowid, n := Varint(cell)
		if n == 0 {
			return r, errRecord
		}
		r.Rowid, cell = int64(rowid), cell[n:]
	}
	payload, err := s.payload(cell, size, kind == LeafTable)
	if err != nil {
		return r, err
	}
	r.Values, err = parseRecord(payload)
	return r, err
}

// payload is all bytes of a row, of which the first lie in its cell.
func (s *Scan) payload(cell []byte, size uint64, table bool) ([]byte, error) {
	usable := s.file.usable
	if size > uint64(s.file.Count)*uint64(usable) || size > math.MaxInt32 {
		return nil, errRecord
	}
	total := int(size)
	local := Local(total, usable, table)
	if local == total {
		if total > len(cell) {
			return nil, errRecord
		}
		s.local = total
		return cell[:total], nil
	}
	if local+4 > len(cell) {
		return nil, errRecord
	}
	s.local = local
	chain, err := s.chain(binary.BigEndian.Uint32(cell[local:]), total-local)
	if err != nil {
		// The pages may be another row's. But a file that was made so that all its
		// rows lead astray must not take for ever.
		if s.vain += int64(len(chain)); s.vain > 4*int64(s.file.Count) {
			s.mark(chain)
		}
		return nil, err
	}
	payload := append(make([]byte, 0, total), cell[:local]...)
	for _, n := range chain {
		page, err := s.file.Page(n)
		if err != nil {
			return nil, err
		}
		payload = append(payload, page[4:min(4+total-len(payload), usable)]...)
	}
	s.mark(chain)
	return payload, nil
}

func (s *Scan) mark(chain []uint32) {
	for _, n := range chain {
		s.states[n] = overflow
	}
}

// chain is the overflow pages of so many bytes: as many as they need, each of
// them nothing else, and the last without a next.
func (s *Scan) chain(first uint32, bytes int) (chain []uint32, err error) {
	seen := make(map[uint32]bool)
	next := first
	for left := bytes; left > 0; left -= s.file.usable - 4 {
		if next == 0 || next > s.file.Count || s.states[next] != unknown || seen[next] {
			return chain, fmt.Errorf("its overflow page %d is not one", next)
		}
		page, err := s.file.Page(next)
		if err != nil {
			return chain, err
		}
		seen[next] = true
		chain = append(chain, next)
		next = binary.BigEndian.Uint32(page)
	}
	if next != 0 {
		return chain, fmt.Errorf("its overflow pages go on after its end, with page %d", next)
	}
	return chain, nil
}

// Strays calls row with what lies on pages that look like a table's, to which
// nothing has led.
func (s *Scan) Strays(row func(Row) error) error {
	var found []uint32
	for n := uint32(1); n <= s.file.Count; n++ {
		if s.states[n] != unknown || s.file.pending(n) {
			continue
		}
		page, err := s.file.Page(n)
		if err != nil {
			continue
		}
		if p, err := s.parse(n, page, func(uint32, error) {}); err == nil && len(p.cells) > 0 {
			s.states[n] = stray
			if p.kind == LeafTable {
				found = append(found, n)
			}
		}
	}
	for _, n := range found {
		read := 0
		err := s.rows(n, func(r Row) error { read++; return row(r) })
		if err != nil {
			return err
		}
		if read == 0 {
			s.states[n] = bad
		}
	}
	return nil
}

// Unreadable lists the pages that nothing can be made of. Empty ones are not
// among them.
func (s *Scan) Unreadable() (all []uint32) {
	for n := uint32(1); n <= s.file.Count; n++ {
		switch s.states[n] {
		case bad:
			all = append(all, n)
		case unknown:
			if s.file.pending(n) {
				continue
			}
			if page, err := s.file.Page(n); err != nil || !zero(page) {
				all = append(all, n)
			}
		}
	}
	return all
}

func zero(page []byte) bool {
	for _, b := range page {
		if b != 0 {
			return false
		}
	}
	return true
}
