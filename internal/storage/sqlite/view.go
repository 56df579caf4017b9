package sqlite

import (
	"errors"
	"runtime/debug"

	"forge.lthn.ai/core/go-store/internal/storage/btree"
	"forge.lthn.ai/core/go-store/internal/storage/frames"
	"forge.lthn.ai/core/go-store/internal/storage/mapped"
	"forge.lthn.ai/core/go-store/internal/storage/overlay"
	"forge.lthn.ai/core/go-store/internal/storage/pages"
)

// view is the database as it was at one moment: its pages, read without SQLite. A page is the newest in the WAL's frames up to the view's last one, or what
// lies in the database. It never changes while it is pinned.
type view struct {
	anchor  *anchor
	drained chan<- struct{} // told when a view of a retired anchor is released

	sequence   uint64 // even: see sequence
	change     uint32 // of the shared memory: see walIndex
	generation uint32 // of the WAL, which begins anew now and then
	last       uint32 // the last frame; 0: the WAL is not looked at
	upTo       uint32 // the frames of the generation that were committed
	pages      uint32

	frames        *frames.Index
	wal, database mapped.Extent
	cache         *frames.Cache

	// What was committed and is not in the table yet, and how much of the frozen run is: nil,
	// and of no meaning, where everything is written to the table at once.
	over   *overlay.State
	folded overlay.Cursor

	shape *shape
	table btree.Table
	index btree.Index
}

// ready has the trees be read from the view's pages. It is called once the view is what
// it will be.
func (v *view) ready(usable int) {
	pages := btree.Pages{Source: v, Size: v.shape.pageSize, Usable: usable, Count: v.pages}
	v.table = btree.Table{Pages: pages, Root: v.shape.table}
	v.index = btree.Index{Pages: pages, Root: v.shape.index}
}

// errUnread says that SQLite is to be asked instead: it has the words for what is wrong,
// and knows what this reader does not.
var errUnread = errors.New("left to SQLite")

// Page is page n, which must not be changed.
func (v *view) Page(n uint32) ([]byte, error) {
	if n == 0 || n > v.pages {
		return nil, errUnread
	}
	size := v.shape.pageSize
	from, frame, at := &v.database, uint32(0), int64(n-1)*int64(size)
	if v.last != 0 {
		if frame = v.frames.Find(n, v.generation, v.last); frame != 0 {
			from, at = &v.wal, walHeaderSize+int64(frame-1)*int64(frameHeaderSize+size)+frameHeaderSize
		}
	}
	if from.Memory == nil {
		return v.read(n, frame, from.File, at)
	}
	return slice(from.Memory, at, size)
}

func slice(memory []byte, at int64, size int) ([]byte, error) {
	if at+int64(size) > int64(len(memory)) {
		return nil, errUnread
	}
	return memory[at : at+int64(size) : at+int64(size)], nil
}

// header is the database's.
func (v *view) header() (h pages.Header, err error) {
	first, err := v.Page(1)
	if err != nil {
		return h, err
	}
	if h = pages.ParseHeader(first); !h.Valid {
		return h, errUnread
	}
	return h, nil
}

// onFault makes errUnread of a fault: the file was cut where it is mapped. It is to be
// deferred, with what SetPanicOnFault was before, by whoever looks at pages.
func onFault(before bool, err *error) {
	debug.SetPanicOnFault(before)
	if recovered := recover(); recovered != nil {
		if _, isFault := recovered.(interface{ Addr() uintptr }); !isFault {
			panic(recovered)
		}
		*err = errUnread
	}
}
