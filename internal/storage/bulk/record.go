package bulk

import (
	"encoding/binary"

	"forge.lthn.ai/core/go-store/internal/storage/pages"
)

// mostColumns is how many columns a record of AppendRecord may have: its header's length
// takes one byte then.
const mostColumns = 12

// AppendRecord appends a record of columns that are texts, BLOBs, integers or NULL, of
// which it has a few.
func AppendRecord(to []byte, columns ...pages.Value) []byte {
	var types [9 * mostColumns]byte
	n := 0
	for i := range columns {
		n += putVarint(types[n:], serial(&columns[i]))
	}
	to = append(to, byte(n+1))
	to = append(to, types[:n]...)
	for i := range columns {
		if v := &columns[i]; v.Kind == pages.Integer {
			var b [8]byte
			binary.BigEndian.PutUint64(b[:], uint64(v.Int))
			size, _ := pages.SerialSize(serial(v))
			to = append(to, b[8-size:]...)
		} else {
			to = append(to, v.Bytes...)
		}
	}
	return to
}

// serial is the type by which SQLite stores a value.
func serial(v *pages.Value) uint64 {
	switch v.Kind {
	case pages.Null:
		return 0
	case pages.Integer:
		return integerSerial(v.Int)
	case pages.Text:
		return uint64(2*len(v.Bytes) + 13)
	case pages.Blob:
		return uint64(2*len(v.Bytes) + 12)
	}
	panic("bulk: a record of a column of another kind")
}

func integerSerial(n int64) uint64 {
	u := uint64(n)
	if n < 0 {
		u = ^u
	}
	switch {
	case n == 0 || n == 1:
		return uint64(8 + n)
	case u < 1<<7:
		return 1
	case u < 1<<15:
		return 2
	case u < 1<<23:
		return 3
	case u < 1<<31:
		return 4
	case u < 1<<47:
		return 5
	}
	return 6
}

// putVarint writes an integer as pages.Varint reads it, and says how many bytes it takes.
func putVarint(to []byte, v uint64) int {
	switch {
	case v < 1<<7:
		to[0] = byte(v)
		return 1
	case v < 1<<14:
		to[0], to[1] = byte(v>>7)|0x80, byte(v&0x7F)
		return 2
	}
	if v >= 1<<56 { // eight bytes of seven bits each, and one of eight
		for i := range 8 {
			to[i] = byte(v>>(57-7*i)) | 0x80
		}
		to[8] = byte(v)
		return 9
	}
	n := 3
	for v>>(7*n) != 0 {
		n++
	}
	for i := range n {
		to[i] = byte(v>>(7*(n-1-i))) | 0x80
	}
	to[n-1] &= 0x7F
	return n
}
