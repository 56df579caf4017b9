package overlay

import (
	"cmp"
	"strings"
	"sync/atomic"

	"forge.lthn.ai/core/go-store/internal/planted"
	"forge.lthn.ai/core/go-store/kv"
)

// cell is a key of a run, or a group that has a mark, and what was said of it. It stays
// where it is for as long as its run does, also if all that was said was rolled back.
type cell struct {
	// What a search looks at, in one line of the processor's cache.
	prefix     uint64 // of the key: see prefixOf
	low        [lowLinks]atomic.Pointer[cell]
	newest     atomic.Pointer[version]
	group, key string

	high  []atomic.Pointer[cell] // the links above low, as many as the cell was made with
	prev  atomic.Pointer[cell]
	under under
	turn  int // among those that are folded, from 0; the writer's until its run is arranged
}

// lowLinks is how many levels every cell has room for: of sixteen, fifteen have no more.
const lowLinks = 2

// next is the link to the next cell on a level that the cell has.
func (c *cell) next(level int) *atomic.Pointer[cell] {
	if level < lowLinks {
		return &c.low[level]
	}
	return &c.high[level-lowLinks]
}

// prefixOf is the first eight bytes of a key. If two are not the same their order is that of
// the keys.
func prefixOf(key string) (prefix uint64) {
	if len(key) >= 8 {
		return uint64(key[0])<<56 | uint64(key[1])<<48 | uint64(key[2])<<40 | uint64(key[3])<<32 |
			uint64(key[4])<<24 | uint64(key[5])<<16 | uint64(key[6])<<8 | uint64(key[7])
	}
	for i := range len(key) {
		prefix |= uint64(key[i]) << (56 - 8*i)
	}
	return prefix
}

// version is what a request made of a key.
type version struct {
	value    string
	deadline int64
	revision uint64                  // of the row
	number   uint64                  // of the publication that shows it first
	gone     bool                    // the key has no row
	before   atomic.Pointer[version] // what it replaced; nil: there was nothing, or no reader needs it
	place    int                     // among the overlay's kept, from 1; 0: it is not there
}

// at is the version that a state of a number shows, nil if there is none. Of a state
// that is not pinned it may have been taken away: see Overlay.Get.
func (c *cell) at(number uint64) *version {
	v := c.newest.Load()
	for v != nil && v.number > number && !planted.OverlayNewest {
		v = v.before.Load()
	}
	return v
}

// row is the row that a version makes of its cell.
func (c *cell) row(v *version) kv.Row {
	return kv.Row{Group: c.group, Key: c.key, Value: v.value, Deadline: v.deadline, Revision: v.revision}
}

// compare is the order of the cell and a position.
func (c *cell) compare(group, key string) int { return c.compareTo(group, key, prefixOf(key)) }

func (c *cell) compareTo(group, key string, prefix uint64) int {
	if c.group != group { // equal ones are the same bytes, as a rule: see list.insert
		return strings.Compare(c.group, group)
	}
	if c.prefix != prefix {
		return cmp.Compare(c.prefix, prefix)
	}
	return strings.Compare(c.key, key)
}

// under is what lies under a run at a key, once it is known. It is the same for as long as
// the run is there, since folding what lies between a run and the base changes nothing that
// is seen through both, and what the run itself has folded is not asked about: so it is
// looked up at most once, by a count.
type under struct {
	is       atomic.Uint32
	deadline atomic.Int64
}

const (
	unknown = iota
	nothing
	something
)

// know notes what was looked up. Concurrent look-ups find the same.
func (u *under) know(deadline int64, found bool) {
	if !found {
		u.is.Store(nothing)
		return
	}
	u.deadline.Store(deadline)
	u.is.Store(something)
}

// what is what is known.
func (u *under) what() (deadline int64, found, known bool) {
	switch u.is.Load() {
	case nothing:
		return 0, false, true
	case something:
		return u.deadline.Load(), true, true
	default:
		return 0, false, false
	}
}

// What things weigh beside their bytes, with the allocator's rounding.
const (
	cellWeight    = 148 // with its part of an index
	versionWeight = 80
	levelWeight   = 8
)

func (v *version) weight() int64 { return versionWeight + int64(len(v.value)) }

func (c *cell) weight() int64 {
	return cellWeight + levelWeight*int64(len(c.high)) + int64(len(c.group)+len(c.key))
}
