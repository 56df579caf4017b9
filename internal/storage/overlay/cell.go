package overlay

import (
	"sync/atomic"

	"forge.lthn.ai/core/go-store/kv"
)

// cell is a key of a run, or a group that has a mark, and what was said of it. It stays
// where it is for as long as its run does, also if all that was said was rolled back.
type cell struct {
	group, key string
	newest     atomic.Pointer[version]
	under      under
	turn       int // among those that are folded, from 0; the writer's until its run is arranged
	prev       atomic.Pointer[cell]
	next       []atomic.Pointer[cell] // by level; as long as it was made
}

// version is what a request made of a key.
type version struct {
	value    string
	deadline int64
	revision uint64
	gone     bool                    // the key has no row
	before   atomic.Pointer[version] // what it replaced; nil: there was nothing, or nobody needs it any more
	place    int                     // among the overlay's kept, from 1; 0: it is not there
}

// at is the version that a state of a revision shows, nil if there is none. Of a state
// that is not pinned it may have been taken away: see Overlay.Get.
func (c *cell) at(revision uint64) *version {
	v := c.newest.Load()
	for v != nil && v.revision > revision {
		v = v.before.Load()
	}
	return v
}

// row is the row that a version makes of its cell.
func (c *cell) row(v *version) kv.Row {
	return kv.Row{Group: c.group, Key: c.key, Value: v.value, Deadline: v.deadline, Revision: v.revision}
}

func (c *cell) compare(group, key string) int {
	if c.group != group { // equal ones are the same bytes, as a rule: see list.insert
		if c.group < group {
			return -1
		}
		return 1
	}
	switch {
	case c.key < key:
		return -1
	case c.key > key:
		return 1
	default:
		return 0
	}
}

// under is what lies under a run at a key, once it is known. It is the same for as long as
// the run is there, since folding what lies between a run and the base changes nothing that
// is seen through both, and what the run itself has folded is not asked about: so it is
// looked up at most once, by whoever counts.
type under struct {
	is       atomic.Uint32
	deadline atomic.Int64
}

const (
	unknown = iota
	nothing
	something
)

// know notes what was looked up. Those who look at the same time find the same.
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
	cellWeight    = 152
	versionWeight = 80
	levelWeight   = 8
)

func (v *version) weight() int64 { return versionWeight + int64(len(v.value)) }

func (c *cell) weight() int64 {
	return cellWeight + levelWeight*int64(len(c.next)) + int64(len(c.group)+len(c.key))
}
