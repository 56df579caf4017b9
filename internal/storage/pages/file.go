// Package pages knows the format of an SQLite database and of its WAL: header, records,
// frames. With that it reads by itself what SQLite refuses to read: a file that is
// damaged. What reads healthy ones, and fast, is package btree.
//
// Nothing that it reads is believed: every number is checked before it is used,
// and nothing is followed for ever. It never writes, locks or creates anything.
//
// The format: https://www.sqlite.org/fileformat.html
package pages

import (
	"encoding/binary"
	"fmt"
	"io"
)

// File is a database with what is committed in its WAL.
type File struct {
	Header Header
	Size   int    // of a page
	Count  uint32 // of pages
	Frames int    // committed ones in the WAL, which count

	usable   int // of a page
	database io.ReaderAt
	wal      io.ReaderAt
	overlay  map[uint32]int64 // where in the WAL the latest of a page lies
}

// New reads what a database of so many bytes says of itself, and its WAL, if
// there is one. It fails only if nothing can be read.
func New(database io.ReaderAt, size int64, wal io.ReaderAt, walSize int64) (*File, error) {
	f := &File{database: database, wal: wal, overlay: make(map[uint32]int64)}
	first := make([]byte, HeaderSize)
	if _, err := database.ReadAt(first, 0); err != nil && err != io.EOF {
		return nil, err
	}
	f.Header = ParseHeader(first)
	f.Size = f.Header.Size
	if f.Size == 0 {
		f.Size = guessSize(database, size)
	}
	f.usable = f.Size - f.Header.Reserved
	inFile := (size + int64(f.Size) - 1) / int64(f.Size)
	f.Count = uint32(min(inFile, 1<<32-2))
	if f.Header.Count > 0 && int64(f.Header.Count) < inFile {
		f.Count = f.Header.Count // what lies behind is left over
	}
	if wal != nil && (f.Header.WAL || !f.Header.Valid) {
		if inWAL := f.readWAL(walSize); f.Frames > 0 {
			f.Count = uint32(min(int64(inWAL), inFile+int64(f.Frames)))
			if page, err := f.Page(1); err == nil {
				if h := ParseHeader(page); h.Valid && h.Size == f.Size {
					f.Header = h
				}
			}
		}
	}
	return f, nil
}

// guessSize is the size at which most places where a page would begin look as if
// one did, with all its cells within that size.
func guessSize(database io.ReaderAt, size int64) int {
	const within = 16 << 20
	best, most := 4096, 0
	for candidate := leastPage; candidate <= mostPage; candidate *= 2 {
		fit := 0
		page := make([]byte, candidate)
		for offset := int64(candidate); offset+int64(candidate) <= min(size, within); offset += int64(candidate) {
			if _, err := database.ReadAt(page, offset); err == nil && plausible(page) {
				fit++
			}
		}
		if fit > most {
			best, most = candidate, fit
		}
	}
	return best
}

func plausible(page []byte) bool {
	pointers := 8
	switch page[0] {
	case LeafTable, LeafIndex:
	case InteriorTable, InteriorIndex:
		pointers = 12
	default:
		return false
	}
	cells := int(binary.BigEndian.Uint16(page[3:]))
	if cells == 0 || pointers+2*cells > len(page) {
		return false
	}
	for i := range cells {
		cell := int(binary.BigEndian.Uint16(page[pointers+2*i:]))
		if cell < pointers+2*cells || cell+4 > len(page) {
			return false
		}
	}
	return true
}

// Page is a page as it was committed last; the last one may be cut off.
func (f *File) Page(n uint32) ([]byte, error) {
	if n == 0 || n > f.Count {
		return nil, fmt.Errorf("there is no page %d", n)
	}
	page := make([]byte, f.Size)
	from, offset := f.database, int64(n-1)*int64(f.Size)
	if frame, ok := f.overlay[n]; ok {
		from, offset = f.wal, frame
	}
	if read, err := from.ReadAt(page, offset); err != nil && (err != io.EOF || read == 0) {
		return nil, fmt.Errorf("page %d: %w", n, err)
	}
	return page, nil
}

// pending reports whether a page is the one that is never used.
func (f *File) pending(n uint32) bool { return n == Pending(f.Size) }
