package storage

import (
	"errors"
	"io"
	"os"
	"sync/atomic"

	"forge.lthn.ai/core/go-store/internal/planted"
	"forge.lthn.ai/core/go-store/internal/storage/disk"

	"zombiezen.com/go/sqlite"
)

// pageCacheBytes is how much of the pages that were read with calls of the system is
// kept, for each store.
const pageCacheBytes = 8 << 20

// pageWays is how many pages of a set are kept.
const pageWays = 4

// pageCache keeps pages that were read with calls of the system, where files are not
// mapped into memory. What a page holds is named by the frame of the WAL that wrote it
// last, and that frame's generation: it is the same whether it is read from the WAL or,
// after a checkpoint, from the database. So nothing in it is ever wrong, and nobody has to
// remove anything; see docs/adr/0058-pages-that-are-read.md.
//
// Readers look without a lock, and keep what they were given for as long as they like:
// the memory of a page is used once.
type pageCache struct {
	sets []pageSet
	mask uint32
}

type pageSet [pageWays]atomic.Pointer[cachedPage]

type cachedPage struct {
	version uint64
	number  uint32
	used    atomic.Bool // since somebody last looked for a place
	data    []byte
}

func newPageCache(pageSize int) *pageCache {
	n := 1
	for 2*n*pageWays*pageSize <= pageCacheBytes {
		n *= 2
	}
	return &pageCache{make([]pageSet, n), uint32(n - 1)}
}

// set is where a page may be, whatever its version.
func (c *pageCache) set(number uint32) *pageSet {
	return &c.sets[(number*0x9E3779B1)>>7&c.mask]
}

// find is a version of a page, nil if it is not kept.
func (c *pageCache) find(number uint32, version uint64) []byte {
	set := c.set(number)
	for i := range set {
		p := set[i].Load()
		if p != nil && p.number == number && p.version == version {
			if !p.used.Load() { // most are, and then nobody else's memory is written to
				p.used.Store(true)
			}
			return p.data
		}
	}
	return nil
}

// add keeps a version of a page, in the place of one that has not been looked for since
// the last was added, or of an older version.
func (c *pageCache) add(number uint32, version uint64, data []byte) {
	set := c.set(number)
	place := int(version % pageWays)
	for i := range set {
		p := set[i].Load()
		if p == nil || p.number == number && p.version <= version {
			place = i
			break
		}
		if !p.used.Swap(false) {
			place = i
		}
	}
	set[place].Store(&cachedPage{version: version, number: number, data: data})
}

// version names what page n of the view holds, which lies in that frame, or in the
// database if it is 0. Not ok: it can't be told any more, as the page was written again
// since.
func (v *view) version(n, frame uint32) (version uint64, ok bool) {
	version = uint64(v.generation)<<32 | uint64(frame)
	if frame == 0 {
		version = v.frames.latest(n)
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
		if page := v.cache.find(n, version); page != nil {
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
		v.cache.add(n, version, page)
	}
	return page, nil
}
