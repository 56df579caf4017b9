package moment

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"unsafe"

	"forge.lthn.ai/core/go-store/internal/storage/disk"
	"forge.lthn.ai/core/go-store/internal/storage/mapped"
)

// Index is the beginning of a database's shared memory, by which all connections of
// all processes agree on what is committed in the WAL. It is only looked at: in memory,
// as SQLite itself does, or with calls of the system where that can't be had.
//
// A commit writes the second copy of the header, then the first, and connections
// believe a header when both are the same: so while the first copy says nothing new,
// no connection has seen anything new.
// https://www.sqlite.org/walformat.html#the_wal_index_header
type Index struct {
	*mapped.Head
	owned bool // no other process has the file
}

// Where things are in it, in bytes. Numbers are in the machine's byte order, but the
// salts, which are copied from the WAL. What lies from 120 on must not be read: SQLite's
// locks are there, which on Windows keep others from it.
const (
	indexSize = 136

	indexChange     = 8  // counted up by every commit
	indexFrames     = 16 // that are committed
	indexPages      = 20 // of the database then
	indexSalts      = 32
	indexCopy       = 48 // the header's second copy
	indexBackfilled = 96 // frames that are moved into the database
)

// NewIndex looks at the shared memory of a database that is in WAL mode: by calls of the
// system if it is to be read. An owned file is closed with the index, and after an error.
func NewIndex(file *os.File, owned, read bool) (*Index, error) {
	x := &Index{Head: new(mapped.Head), owned: owned}
	x.File = file
	info, err := file.Stat()
	if err == nil && info.Size() < indexSize {
		err = fmt.Errorf("%s has only %d bytes", file.Name(), info.Size())
	}
	if err != nil {
		return nil, errors.Join(err, x.Close())
	}
	if !read {
		x.Head = mapped.NewHead(file, indexSize, false)
	}
	return x, nil
}

// words reads numbers from a place on. Each is one that was there.
func (x *Index) words(into []uint32, at int) (ok bool) {
	if x.Memory != nil {
		for i := range into {
			into[i] = atomic.LoadUint32((*uint32)(unsafe.Pointer(&x.Memory[at+4*i])))
		}
		return true
	}
	var b [indexCopy]byte
	n := 4 * len(into)
	if read, _ := disk.ReadAt(x.File, b[:n], int64(at)); read < n {
		return false
	}
	for i := range into {
		into[i] = binary.NativeEndian.Uint32(b[4*i:])
	}
	return true
}

// Change is the number of the last commit. It is the same as before as long as no
// connection can have seen a later one.
func (x *Index) Change() (n uint32, ok bool) {
	if x.Memory != nil {
		return atomic.LoadUint32((*uint32)(unsafe.Pointer(&x.Memory[indexChange]))), true
	}
	var word [1]uint32
	ok = x.words(word[:], indexChange)
	return word[0], ok
}

// State is what is committed in the WAL.
type State struct {
	Change uint32
	Frames uint32
	Pages  uint32 // of the database
	salts  [8]byte
}

// State is the header, if no writer is writing it at this moment: the first copy is read,
// then the second, which is written first.
func (x *Index) State() (s State, ok bool) {
	var first, second [indexCopy / 4]uint32
	if !x.words(first[:], 0) || !x.words(second[:], indexCopy) {
		return s, false
	}
	s = State{Change: first[indexChange/4], Frames: first[indexFrames/4], Pages: first[indexPages/4]}
	binary.NativeEndian.PutUint32(s.salts[:], first[indexSalts/4])
	binary.NativeEndian.PutUint32(s.salts[4:], first[indexSalts/4+1])
	return s, first == second
}

// Backfilled is how many frames are moved into the database, as far as is known.
func (x *Index) Backfilled() (n uint32, ok bool) {
	var word [1]uint32
	ok = x.words(word[:], indexBackfilled)
	return word[0], ok
}

// Close ends it. Others that have the file open keep it.
func (x *Index) Close() error {
	if x == nil {
		return nil
	}
	err := x.Unmap()
	if x.owned {
		err = errors.Join(err, x.File.Close())
	}
	return err
}
