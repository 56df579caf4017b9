package storage

import (
	"encoding/binary"
	"os"
	"sync/atomic"
	"unsafe"
)

// walIndex is the beginning of a database's shared memory, by which all connections of
// all processes agree on what is committed in the WAL. It is only looked at.
//
// Whoever commits writes the second copy of the header, then the first, and connections
// believe a header when both are the same: so while the first copy says nothing new,
// nobody has seen anything new.
// https://www.sqlite.org/walformat.html#the_wal_index_header
type walIndex struct {
	file   *os.File
	memory []byte
}

// Where things are in it, in bytes. Numbers are in the machine's byte order, but the
// salts, which are copied from the WAL.
const (
	walIndexSize = 136

	indexChange     = 8  // counted up by every commit
	indexFrames     = 16 // that are committed
	indexPages      = 20 // of the database then
	indexSalts      = 32
	indexCopy       = 48 // the header's second copy
	indexBackfilled = 96 // frames that are moved into the database
)

// openIndex looks at the shared memory of a database that is in WAL mode.
func openIndex(file *os.File) (*walIndex, error) {
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	if !canMap || info.Size() < walIndexSize {
		return nil, errNotMapped
	}
	memory, err := mapAhead(file, walIndexSize)
	return &walIndex{file, memory}, err
}

func (x *walIndex) word(at int) uint32 {
	return atomic.LoadUint32((*uint32)(unsafe.Pointer(&x.memory[at])))
}

// change is the number of the last commit. It is the same as before as long as no
// connection can have seen a later one.
func (x *walIndex) change() uint32 { return x.word(indexChange) }

// walState is what is committed in the WAL.
type walState struct {
	change uint32
	frames uint32
	pages  uint32 // of the database
	salts  [8]byte
}

// state is the header, if nobody is writing it at this moment: the first copy is read,
// then the second, which is written first.
func (x *walIndex) state() (s walState, ok bool) {
	var first, second [indexCopy / 4]uint32
	for i := range first {
		first[i] = x.word(4 * i)
	}
	for i := range second {
		second[i] = x.word(indexCopy + 4*i)
	}
	s = walState{change: first[indexChange/4], frames: first[indexFrames/4], pages: first[indexPages/4]}
	binary.NativeEndian.PutUint32(s.salts[:], first[indexSalts/4])
	binary.NativeEndian.PutUint32(s.salts[4:], first[indexSalts/4+1])
	return s, first == second
}

// backfilled is how many frames are moved into the database.
func (x *walIndex) backfilled() uint32 { return x.word(indexBackfilled) }

// unmap ends the mapping; the file stays open.
func (x *walIndex) unmap() error {
	memory := x.memory
	x.memory = nil
	return unmapAhead(memory)
}
