package cache

import (
	"encoding/binary"
	"math"
	"unsafe"

	"forge.lthn.ai/core/go-store/kv"
)

// row is a key's row, or that it has none, as it lies in a chunk: what is behind its
// end belongs to others. It never changes. The format: tag (24 bits) and flags, the
// lengths of value (32 bits), group and key (16 each), epoch, revision, a deadline if
// it has one; group, key and value; little-endian, and zeros up to a multiple of 8.
type row []byte

const (
	flagFound    = 1 << 24
	flagDeadline = 1 << 25

	atValueLength = 4
	atGroupLength = 8
	atKeyLength   = 10
	atEpoch       = 12
	atRevision    = 20
	atDeadline    = 28
	headLength    = 28 // without a deadline
	alignment     = 8
)

// encode writes a row to b, which has its size.
func (r row) encode(tag uint32, from kv.Row, found bool, epoch uint64) {
	if found {
		tag |= flagFound
	} else {
		from.Value, from.Deadline, from.Revision = "", kv.NoDeadline, 0
	}
	at := headLength
	if from.Deadline != kv.NoDeadline {
		tag |= flagDeadline
		binary.LittleEndian.PutUint64(r[atDeadline:], uint64(from.Deadline))
		at += 8
	}
	binary.LittleEndian.PutUint32(r, tag)
	binary.LittleEndian.PutUint32(r[atValueLength:], uint32(len(from.Value)))
	binary.LittleEndian.PutUint16(r[atGroupLength:], uint16(len(from.Group)))
	binary.LittleEndian.PutUint16(r[atKeyLength:], uint16(len(from.Key)))
	binary.LittleEndian.PutUint64(r[atEpoch:], epoch)
	binary.LittleEndian.PutUint64(r[atRevision:], from.Revision)
	at += copy(r[at:], from.Group)
	at += copy(r[at:], from.Key)
	copy(r[at:], from.Value)
}

func (r row) head() uint32     { return binary.LittleEndian.Uint32(r) }
func (r row) tag() uint32      { return r.head() & (1<<24 - 1) }
func (r row) found() bool      { return r.head()&flagFound != 0 }
func (r row) valueLength() int { return int(binary.LittleEndian.Uint32(r[atValueLength:])) }
func (r row) groupLength() int { return int(binary.LittleEndian.Uint16(r[atGroupLength:])) }
func (r row) keyLength() int   { return int(binary.LittleEndian.Uint16(r[atKeyLength:])) }
func (r row) epoch() uint64    { return binary.LittleEndian.Uint64(r[atEpoch:]) }
func (r row) revision() uint64 { return binary.LittleEndian.Uint64(r[atRevision:]) }

// names is where the group begins.
func (r row) names() int {
	if r.head()&flagDeadline != 0 {
		return headLength + 8
	}
	return headLength
}

func (r row) deadline() int64 {
	if r.head()&flagDeadline == 0 {
		return kv.NoDeadline
	}
	return int64(binary.LittleEndian.Uint64(r[atDeadline:]))
}

// is reports whether the row is of this key.
func (r row) is(group, key string) bool {
	if binary.LittleEndian.Uint32(r[atGroupLength:]) != uint32(len(group)|len(key)<<16) || len(group) > math.MaxUint16 {
		return false // one look at both lengths, which are beside each other
	}
	at := r.names()
	return string(r[at:at+len(group)]) == group && string(r[at+len(group):at+len(group)+len(key)]) == key
}

func (r row) size() int {
	return align(r.names() + r.groupLength() + r.keyLength() + r.valueLength())
}

// value is a string of its own: what a caller keeps of a small row must not keep a
// whole chunk. A row that has one to itself is all that is in it.
func (c *chunk) value(r row) string {
	n := r.valueLength()
	at := r.names() + r.groupLength() + r.keyLength()
	if c.single && n > 0 {
		return unsafe.String(&r[at], n) // a chunk's bytes never change
	}
	return string(r[at : at+n])
}

// sizeOf is what a row takes in a chunk, and whether its names' lengths fit in.
func sizeOf(group, key string, r kv.Row) (size int, fits bool) {
	size = headLength + len(group) + len(key) + len(r.Value)
	if r.Deadline != kv.NoDeadline {
		size += 8
	}
	return align(size), len(group) <= math.MaxUint16 && len(key) <= math.MaxUint16
}

func align(size int) int { return (size + alignment - 1) &^ (alignment - 1) }
