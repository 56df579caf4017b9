package sqlite

import (
	"errors"
	"io"
	"os"

	"forge.lthn.ai/core/go-store/internal/planted"
	"forge.lthn.ai/core/go-store/internal/storage/disk"

	"zombiezen.com/go/sqlite"
)

// version names what page n of the view holds, which lies in that frame, or in the
// database if it is 0. Not ok: it can't be told any more, as the page was written again
// since.
func (v *view) version(n, frame uint32) (version uint64, ok bool) {
	version = uint64(v.generation)<<32 | uint64(frame)
	if frame == 0 {
		version = v.frames.Latest(n)
		if generation := uint32(version >> 32); generation > v.generation ||
			generation == v.generation && uint32(version) > v.upTo {
			return 0, false
		}
	}
	if planted.PageNamedByFrame {
		version = uint64(uint32(version))
	}
	return version, true
}

// pageFault is an error of the system's where a page was to be read. Whoever can ask SQLite
// takes it for errUnread; of a moment that SQLite can't show it is the answer, which is not
// that the store is damaged.
type pageFault struct{ cause error }

func (e *pageFault) Error() string { return "a page can't be read: " + e.cause.Error() }

func (e *pageFault) Unwrap() []error {
	return []error{errUnread, sqlite.ResultIOErrRead.ToError(), e.cause}
}

// unread is errUnread for every error, as SQLite says what is wrong, but for those of the
// system.
func unread(err error) error {
	if err == nil {
		return nil
	}
	if fault := (*pageFault)(nil); errors.As(err, &fault) {
		return fault
	}
	return errUnread
}

// faulty is unread of whoever must not go on, with an error or without.
func faulty(err error) error {
	if err == nil {
		return errUnread
	}
	return unread(err)
}

// read is page n, from a file that is not mapped.
func (v *view) read(n, frame uint32, file *os.File, at int64) ([]byte, error) {
	version, named := v.version(n, frame)
	if named {
		if page := v.cache.Find(n, version); page != nil {
			return page, nil
		}
	}
	page := make([]byte, v.shape.pageSize)
	if n, err := disk.ReadAt(file, page, at); n < len(page) {
		if err == nil || errors.Is(err, io.EOF) {
			return nil, errUnread
		}
		return nil, &pageFault{err}
	}
	if named {
		v.cache.Add(n, version, page)
	}
	return page, nil
}
