package moment

import (
	"errors"
	"io"
	"os"
	"runtime/debug"

	"forge.lthn.ai/core/go-store/internal/planted"
	"forge.lthn.ai/core/go-store/internal/storage/disk"
	"forge.lthn.ai/core/go-store/internal/storage/frames"
	"forge.lthn.ai/core/go-store/internal/storage/mapped"
	"forge.lthn.ai/core/go-store/internal/storage/pages"
)

// Pages are those of a database at one moment. They never change while a read transaction keeps
// them in place.
type Pages struct {
	Size  int    // of a page, in bytes
	Count uint32 // of them

	Change     uint32        // of the shared memory: see Index.Change
	Generation uint32        // of the WAL, which begins anew now and then
	Last       uint32        // the last frame; 0: the WAL is not looked at
	UpTo       uint32        // the frames of the generation that were committed
	Cache      *frames.Cache // of what was read where files are not mapped

	frames        *frames.Index
	wal, database mapped.Extent
}

// UnreadError says that a page is not what this reader knows, or is not there: SQLite has
// the words for what is wrong.
var UnreadError = errors.New("left to SQLite")

// FaultError is an error of the system's where a page was to be read. It is an UnreadError
// for a caller that can ask SQLite; of a moment that SQLite can't show it is the answer, which is
// not that the database is damaged.
type FaultError struct{ Cause error }

func (e *FaultError) Error() string { return "a page can't be read: " + e.Cause.Error() }

// Unwrap has it be an UnreadError, and its cause.
func (e *FaultError) Unwrap() []error { return []error{UnreadError, e.Cause} }

// Page is page n, which must not be changed. Where files are mapped it may fault: see OnFault.
func (p *Pages) Page(n uint32) ([]byte, error) {
	if n == 0 || n > p.Count {
		return nil, UnreadError
	}
	size := p.Size
	from, frame, at := &p.database, uint32(0), int64(n-1)*int64(size)
	if p.Last != 0 {
		if frame = p.frames.Find(n, p.Generation, p.Last); frame != 0 {
			from, at = &p.wal, pages.WALHeaderSize+int64(frame-1)*int64(pages.FrameHeaderSize+size)+pages.FrameHeaderSize
		}
	}
	if from.Memory == nil {
		return p.read(n, frame, from.File, at)
	}
	return slice(from.Memory, at, size)
}

func slice(memory []byte, at int64, size int) ([]byte, error) {
	if at+int64(size) > int64(len(memory)) {
		return nil, UnreadError
	}
	return memory[at : at+int64(size) : at+int64(size)], nil
}

// Header is the database's.
func (p *Pages) Header() (h pages.Header, err error) {
	first, err := p.Page(1)
	if err != nil {
		return h, err
	}
	if h = pages.ParseHeader(first); !h.Valid {
		return h, UnreadError
	}
	return h, nil
}

// version names what page n holds at the moment, which lies in that frame, or in the
// database if it is 0. Not ok: it can't be told any more, as the page was written again
// since.
func (p *Pages) version(n, frame uint32) (version uint64, ok bool) {
	version = uint64(p.Generation)<<32 | uint64(frame)
	if frame == 0 {
		version = p.frames.Latest(n)
		if generation := uint32(version >> 32); generation > p.Generation ||
			generation == p.Generation && uint32(version) > p.UpTo {
			return 0, false
		}
	}
	if planted.PageNamedByFrame {
		version = uint64(uint32(version))
	}
	return version, true
}

// read is page n, from a file that is not mapped.
func (p *Pages) read(n, frame uint32, file *os.File, at int64) ([]byte, error) {
	version, named := p.version(n, frame)
	if named {
		if page := p.Cache.Find(n, version); page != nil {
			return page, nil
		}
	}
	page := make([]byte, p.Size)
	if n, err := disk.ReadAt(file, page, at); n < len(page) {
		if err == nil || errors.Is(err, io.EOF) {
			return nil, UnreadError
		}
		return nil, &FaultError{err}
	}
	if named {
		p.Cache.Add(n, version, page)
	}
	return page, nil
}

// OnFault makes an UnreadError of a fault: the file was cut where it is mapped. It is to be
// deferred, with what SetPanicOnFault was before, by the function that looks at pages.
func OnFault(before bool, err *error) {
	debug.SetPanicOnFault(before)
	if recovered := recover(); recovered != nil {
		if _, isFault := recovered.(interface{ Addr() uintptr }); !isFault {
			panic(recovered)
		}
		*err = UnreadError
	}
}
