package bulk

import "encoding/binary"

// page is one that is being filled: cells from its end, and pointers to them from its
// beginning.
type page struct {
	data    []byte
	usable  int
	n       int // cells
	pointer int // where the next pointer goes
	start   int // where the cells begin
}

const (
	leafHeader     = 8
	interiorHeader = 12
)

// reset has the page be an empty one of a kind.
func (p *page) reset(f *File, kind byte, header int) {
	if p.data == nil {
		p.data = make([]byte, f.size)
	}
	clear(p.data[:header])
	p.data[0] = kind
	p.usable, p.n, p.pointer, p.start = f.usable, 0, header, f.usable
}

// fits reports whether there is room for a cell of so many bytes.
func (p *page) fits(n int) bool { return p.pointer+2+n <= p.start }

// put makes room for a cell, which fits.
func (p *page) put(n int) []byte {
	p.start -= n
	binary.BigEndian.PutUint16(p.data[p.pointer:], uint16(p.start))
	p.pointer += 2
	p.n++
	return p.data[p.start:][:n]
}

// pop takes the last cell away. It is good until the next is put.
func (p *page) pop() []byte {
	end := p.usable
	if p.n > 1 {
		end = int(binary.BigEndian.Uint16(p.data[p.pointer-4:]))
	}
	cell := p.data[p.start:end]
	p.pointer -= 2
	p.n--
	p.start = end
	return cell
}

// finish is what the page is in the file. right is the child behind all cells.
func (p *page) finish(right uint32) []byte {
	clear(p.data[p.pointer:p.start])
	clear(p.data[p.usable:])
	binary.BigEndian.PutUint16(p.data[3:], uint16(p.n))
	binary.BigEndian.PutUint16(p.data[5:], uint16(p.start)) // 0 is 65536
	if right != 0 {
		binary.BigEndian.PutUint32(p.data[8:], right)
	}
	return p.data
}
