package btree

import (
	"encoding/binary"

	"forge.lthn.ai/core/go-store/internal/storage/pages"
)

// entry is cell without what leads to the page below.
func (p *page) entry(i int) []byte {
	c := p.cell(i)
	if !p.leaf && c != nil {
		c = c[4:]
	}
	return c
}

// Both lengths of an entry take one byte, almost always: its first bytes are the
// payload's size, the header's, and two texts' types, which are odd.
const (
	shortMask  = 0x80FF8181
	shortEntry = 0x00040101
)

// split takes an entry of the common kind apart, which lies in its page as a whole: where
// its two texts begin, where the value behind them, whose type is the byte before the
// texts, and its end. That is 0 if it is of another kind, or damaged.
func (p *page) split(i int) (first, second, rest, end int) {
	data := p.data
	at := be16(data, p.pointers+2*i)
	if at < p.least {
		return 0, 0, 0, 0
	}
	if !p.leaf {
		at += 4
	}
	if at+5 > len(data) {
		return 0, 0, 0, 0
	}
	head := binary.BigEndian.Uint32(data[at:])
	if head&shortMask != shortEntry {
		return p.splitLong(at)
	}
	n, m, size := int(head>>8&0xFF)-13, int(head&0xFF)-13, int(head>>24)
	first = at + 5
	second = first + n>>1
	rest = second + m>>1
	end = at + 1 + size
	if n|m < 0 || rest > end || end > len(data) || size > leastMost && size > pages.MostInIndex(len(data)) {
		return 0, 0, 0, 0
	}
	return first, second, rest, end
}

// leastMost is what lies in a cell as a whole in the smallest pages too.
const leastMost = (leastUsable-12)*64/255 - 23

// splitLong is split for an entry with any lengths.
func (p *page) splitLong(at int) (first, second, rest, end int) {
	c := p.data[at:]
	size, n := varint(c)
	if n == 0 || size > uint64(min(len(c)-n, pages.MostInIndex(len(p.data)))) {
		return 0, 0, 0, 0
	}
	c = c[n : n+int(size)]
	header, m := varint(c)
	if m == 0 || header < uint64(m) || header > size {
		return 0, 0, 0, 0
	}
	types := c[m:header]
	var lengths [2]int
	for i := range lengths {
		t, m := varint(types)
		if m == 0 || t < 13 || t&1 == 0 || t > 2*size+13 {
			return 0, 0, 0, 0
		}
		lengths[i], types = int(t-13)/2, types[m:]
	}
	first = at + n + int(header)
	second = first + lengths[0]
	rest = second + lengths[1]
	end = at + n + int(size)
	if len(types) != 1 || rest > end {
		return 0, 0, 0, 0
	}
	return first, second, rest, end
}
