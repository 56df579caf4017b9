package pages

import (
	"bytes"
	"encoding/binary"
)

const (
	// HeaderSize is how many bytes of the first page are the database's header.
	HeaderSize = 100

	leastPage   = 512
	mostPage    = 65536
	pendingByte = 1 << 30 // the page there is never used
	magic       = "SQLite format 3\x00"
)

// Kinds of b-tree pages: the first byte of each.
const (
	InteriorIndex = 2
	InteriorTable = 5
	LeafIndex     = 10
	LeafTable     = 13
)

// Header is what the first page says of the database.
type Header struct {
	Valid         bool   // it is a database's: what follows can be read
	Size          int    // of a page, in bytes
	Reserved      int    // bytes at the end of each page that hold no data
	ReadVersion   uint8  // more than 2: a format that is not known here
	Change        uint32 // counted up by transactions outside WAL mode
	Count         uint32 // of pages; 0: not known
	Freelist      uint32 // its first page; 0: none is free
	SchemaCookie  uint32 // counted up with each change of the schema
	SchemaFormat  uint32 // more than 4: a format that is not known here
	Encoding      uint32 // 1: UTF-8
	UserVersion   uint32
	ApplicationID uint32
	WAL           bool // its WAL is a part of it
}

// ParseHeader reads the header at the beginning of the first page. It is not Valid
// where there is none.
func ParseHeader(page []byte) (h Header) {
	if len(page) < HeaderSize || !bytes.HasPrefix(page, []byte(magic)) {
		return h
	}
	word := func(at int) uint32 { return binary.BigEndian.Uint32(page[at:]) }
	size := int(binary.BigEndian.Uint16(page[16:]))
	if size == 1 {
		size = mostPage
	}
	reserved := int(page[20])
	if size < leastPage || size&(size-1) != 0 || size-reserved < 480 {
		return h
	}
	h = Header{
		Valid: true, Size: size, Reserved: reserved, ReadVersion: page[19], WAL: page[18] == 2 || page[19] == 2,
		Change: word(24), Freelist: word(32), SchemaCookie: word(40), SchemaFormat: word(44),
		Encoding: word(56), UserVersion: word(60), ApplicationID: word(68),
	}
	if bytes.Equal(page[24:28], page[92:96]) {
		h.Count = word(28)
	}
	return h
}

// Pending is the page that is never used where pages are of that size: SQLite's locks lie
// there. Only databases of more than a gibibyte have one.
func Pending(size int) uint32 { return uint32(pendingByte/size) + 1 }

// Varint reads SQLite's variable-length integer: seven bits a byte, the most
// significant ones first, and all eight of a ninth. n is 0 if there is none.
func Varint(b []byte) (value uint64, n int) {
	if len(b) >= 3 && b[2] < 0x80 { // it has three bytes at most
		switch {
		case b[0] < 0x80:
			return uint64(b[0]), 1
		case b[1] < 0x80:
			return uint64(b[0]&0x7F)<<7 | uint64(b[1]), 2
		}
		return uint64(b[0]&0x7F)<<14 | uint64(b[1]&0x7F)<<7 | uint64(b[2]), 3
	}
	for i := 0; i < len(b) && i < 8; i++ {
		value = value<<7 | uint64(b[i]&0x7F)
		if b[i] < 0x80 {
			return value, i + 1
		}
	}
	if len(b) < 9 {
		return 0, 0
	}
	return value<<8 | uint64(b[8]), 9
}

// Local is how many bytes of a payload lie in its cell, where the usable size of a page
// is at least 480. If these are not all, the number of the first overflow page follows
// them.
func Local(total, usable int, table bool) int {
	most := usable - 35
	if !table {
		most = MostInIndex(usable)
	}
	if total <= most {
		return total
	}
	least := (usable-12)*32/255 - 23
	if local := least + (total-least)%(usable-4); local <= most {
		return local
	}
	return least
}

// MostInIndex is the largest payload that lies in a cell of an index as a whole.
func MostInIndex(usable int) int { return (usable-12)*64/255 - 23 }
