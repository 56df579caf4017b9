package btree

import (
	"encoding/binary"
	"errors"
	"fmt"

	"forge.lthn.ai/core/go-store/internal/storage/pages"
)

// Source has the pages of a database as they were at one moment.
type Source interface {
	// Page is a whole page, counted from 1. It must stay as it is for as long as
	// anything that was read from it is in use.
	Page(number uint32) ([]byte, error)
}

// Pages are a database's at one moment.
type Pages struct {
	Source Source
	Size   int    // of a page, in bytes
	Usable int    // of those the ones at its beginning that are not reserved
	Count  uint32 // of pages: none has a higher number
}

// DamagedError says that a page is not what it should be.
type DamagedError struct {
	Page   uint32
	Reason string
}

func (e *DamagedError) Error() string { return fmt.Sprintf("page %d is damaged: %s", e.Page, e.Reason) }

// RefusedError is that of a tree, or a size of pages, which this package does not read.
var RefusedError = errors.New("not a b-tree that is read without SQLite")

const (
	// deepest is how many levels a tree may have: SQLite's own limit.
	deepest = 20

	leastUsable = 480
	mostUsable  = 65536

	// Kinds of pages without the bit that leaves have.
	tables  = pages.InteriorTable
	indexes = pages.InteriorIndex
	leafBit = pages.LeafTable ^ pages.InteriorTable
)

// page is one of a b-tree.
type page struct {
	data     []byte // what is usable of it
	number   uint32
	leaf     bool
	n        int // cells
	pointers int // where those to the cells begin
	least    int // where cells may begin: behind the pointers
}

// bytes are those of a page to which another one leads.
func (s *Pages) bytes(number, from uint32) ([]byte, error) {
	if number == 0 || number > s.Count {
		return nil, &DamagedError{from, fmt.Sprintf("it leads to page %d of %d", number, s.Count)}
	}
	p, err := s.Source.Page(number)
	if err != nil {
		return nil, err
	}
	if len(p) < s.Usable {
		return nil, &DamagedError{number, "it is cut off"}
	}
	return p[:s.Usable:s.Usable], nil
}

// root loads the first page of a tree of that kind.
func (s *Pages) root(p *page, number uint32, kind byte) error {
	if s.Usable < leastUsable || s.Usable > min(s.Size, mostUsable) {
		return fmt.Errorf("%d bytes of a page of %d: %w", s.Usable, s.Size, RefusedError)
	}
	if number == 0 || number > s.Count {
		return fmt.Errorf("a tree at page %d of %d: %w", number, s.Count, RefusedError)
	}
	return s.load(p, number, number, kind)
}

// load reads a page's header. A root leads to itself.
func (s *Pages) load(p *page, number, from uint32, kind byte) error {
	data, err := s.bytes(number, from)
	if err != nil {
		return err
	}
	at := 0
	if number == 1 {
		at = pages.HeaderSize
	}
	header := data[at : at+8]
	p.data, p.number = data, number
	p.leaf = header[0]&leafBit != 0
	p.n = be16(header, 3)
	p.pointers = at + 8
	if !p.leaf {
		p.pointers += 4
	}
	p.least = p.pointers + 2*p.n
	if header[0]&^leafBit != kind || p.least > len(data) || p.n == 0 && number != from {
		return s.wrong(p, header[0], from, kind)
	}
	return nil
}

// wrong says why a page was not loaded.
func (s *Pages) wrong(p *page, is byte, from uint32, kind byte) error {
	switch other := tables ^ indexes ^ kind; {
	case is&^leafBit == other && p.number == from:
		return fmt.Errorf("the tree at page %d is of the other kind: %w", p.number, RefusedError)
	case is&^leafBit != kind:
		return &DamagedError{p.number, fmt.Sprintf("it is of kind %d, and page %d leads to it", is, from)}
	case p.n == 0:
		return &DamagedError{p.number, "it is empty"}
	}
	return &DamagedError{p.number, fmt.Sprintf("it can't have %d cells", p.n)}
}

// cell begins with one of the page's cells. It has at least 4 bytes, or it is nil: the
// pointer leads out of where cells can be.
func (p *page) cell(i int) []byte {
	at := be16(p.data, p.pointers+2*i)
	if at < p.least || at > len(p.data)-4 {
		return nil
	}
	return p.data[at:]
}

// child is the page below that is left of cell i, or right of all.
func (p *page) child(i int) (uint32, error) {
	if i == p.n {
		return be32(p.data, p.pointers-4), nil
	}
	c := p.cell(i)
	if c == nil {
		return 0, p.damaged("a pointer leads out of it")
	}
	return be32(c, 0), nil
}

func (p *page) damaged(reason string) error { return &DamagedError{p.number, reason} }

const (
	reasonPointer = "a pointer leads out of it"
	reasonCell    = "a cell does not end within it"
	reasonOrder   = "its keys are not in order"
	reasonDeep    = "its tree is too deep"
	reasonLoop    = "its tree has more pages than the database"
)

func be16(b []byte, at int) int    { return int(binary.BigEndian.Uint16(b[at:])) }
func be32(b []byte, at int) uint32 { return binary.BigEndian.Uint32(b[at:]) }

// varint is pages.Varint, inlined for a byte or two.
func varint(b []byte) (uint64, int) {
	if len(b) > 0 && b[0] < 0x80 {
		return uint64(b[0]), 1
	}
	return pages.Varint(b)
}
