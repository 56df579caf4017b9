package frames

import "sync/atomic"

// cacheBytes is how much of the pages that were read with calls of the system is
// kept, for each store.
const cacheBytes = 8 << 20

// ways is how many pages of a set are kept.
const ways = 4

// Cache keeps pages that were read with calls of the system, where files are not
// mapped into memory. What a page holds is named by the frame of the WAL that wrote it
// last, and that frame's generation: it is the same whether it is read from the WAL or,
// after a checkpoint, from the database. So nothing in it is ever wrong, and no goroutine has to
// remove anything; see docs/adr/0058-pages-that-are-read.md.
//
// Readers look without a lock, and keep what they were given for as long as they like:
// the memory of a page is used once.
type Cache struct {
	sets []pageSet
	mask uint32
}

type pageSet [ways]atomic.Pointer[cachedPage]

type cachedPage struct {
	version uint64
	number  uint32
	used    atomic.Bool // since the last look for a place
	data    []byte
}

// NewCache is an empty cache of pages of a size.
func NewCache(pageSize int) *Cache {
	n := 1
	for 2*n*ways*pageSize <= cacheBytes {
		n *= 2
	}
	return &Cache{make([]pageSet, n), uint32(n - 1)}
}

// set is where a page may be, whatever its version.
func (c *Cache) set(number uint32) *pageSet {
	return &c.sets[(number*0x9E3779B1)>>7&c.mask]
}

// Find is a version of a page, nil if it is not kept.
func (c *Cache) Find(number uint32, version uint64) []byte {
	set := c.set(number)
	for i := range set {
		p := set[i].Load()
		if p != nil && p.number == number && p.version == version {
			if !p.used.Load() { // most are, and then no other processor's cache line is written to
				p.used.Store(true)
			}
			return p.data
		}
	}
	return nil
}

// Add keeps a version of a page, in the place of a version not looked for since
// the last was added, or of an older version.
func (c *Cache) Add(number uint32, version uint64, data []byte) {
	set := c.set(number)
	place := int(version % ways)
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
