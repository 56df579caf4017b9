package pagecache

// A cache holds the pages of one connection's file (or temporary table). Each
// page that was ever asked for lies in a slot; a slot's memory is SQLite's, what
// is known of it is here, in Go. Nothing is locked: SQLite uses a cache under the
// lock of its connection.
type cache struct {
	pageBytes, extraBytes int
	purgeable             bool // pages that nobody uses may be dropped
	limit                 int  // pages that are kept, if purgeable

	slots  []slot
	byKey  []int32 // the first slot of each chain; its length is a power of two
	count  int     // pages
	pinned int     // of them, in use
	most   uint32  // no page has a greater key

	free   int32 // the first slot that holds no page
	newest int32 // of the pages that nobody uses, the one used last
	oldest int32 // and the one to be dropped first

	slabs []uintptr
}

// slot is one page, or none. Slots are known by their index; none stands for
// none.
type slot struct {
	memory       uintptr
	key          uint32
	inUse        bool
	chain        int32 // the next with the same place in byKey, or the next free one
	newer, older int32 // among those that nobody uses
}

const (
	none        = int32(-1)
	leastChains = 64
	// Slabs grow from so few slots to so many: a temporary table has a page or
	// two, a connection thousands.
	firstSlab, largestSlab = 4, 64
)

func newCache(pageBytes, extraBytes int, purgeable bool) *cache {
	c := &cache{pageBytes: pageBytes, extraBytes: extraBytes, purgeable: purgeable, free: none, newest: none, oldest: none}
	c.byKey = emptyChains(leastChains)
	return c
}

// fetch pins the page of that key. If there is none it makes room for one: never
// (0), only if pages in use are few (1), or if memory can be had at all (2).
func (c *cache) fetch(key uint32, create int32) (memory uintptr, found bool) {
	for i := *c.chainOf(key); i != none; i = c.slots[i].chain {
		if s := &c.slots[i]; s.key == key {
			if !s.inUse {
				c.unlist(i)
				s.inUse = true
				c.pinned++
			}
			return s.memory, true
		}
	}
	if create == 0 || create == 1 && c.purgeable && int64(c.pinned) >= int64(c.limit)*9/10 {
		return 0, false
	}
	i := c.room()
	if i == none {
		return 0, false
	}
	c.insert(i, key)
	return c.slots[i].memory, false
}

// room is a slot that holds no page, if need be by dropping the page that was
// used least lately.
func (c *cache) room() int32 {
	if c.purgeable && c.count >= c.limit && c.oldest != none {
		i := c.oldest
		c.drop(i)
	}
	if c.free == none && !c.grow() {
		return none
	}
	i := c.free
	c.free = c.slots[i].chain
	return i
}

func (c *cache) insert(i int32, key uint32) {
	if c.count >= len(c.byKey) {
		c.rehash()
	}
	s, chain := &c.slots[i], c.chainOf(key)
	s.key, s.inUse, s.chain = key, true, *chain
	*chain = i
	c.count++
	c.pinned++
	c.most = max(c.most, key)
}

// unpin says that nobody uses a page any more. It is kept for a while, or not.
func (c *cache) unpin(i int32, discard bool) {
	if discard || c.purgeable && c.count > c.limit {
		c.drop(i)
		return
	}
	s := &c.slots[i]
	s.inUse, s.newer, s.older = false, none, c.newest
	if c.newest != none {
		c.slots[c.newest].newer = i
	} else {
		c.oldest = i
	}
	c.newest = i
	c.pinned--
}

// rekey gives a page another key, and drops what had it.
func (c *cache) rekey(i int32, to uint32) {
	for other := *c.chainOf(to); other != none; other = c.slots[other].chain {
		if c.slots[other].key == to && other != i {
			c.drop(other)
			break
		}
	}
	c.unchain(i)
	s, chain := &c.slots[i], c.chainOf(to)
	s.key, s.chain = to, *chain
	*chain = i
	c.most = max(c.most, to)
}

// truncate drops the pages from a key on, used or not.
func (c *cache) truncate(from uint32) {
	if from > c.most || c.count == 0 {
		return
	}
	for chain := range c.byKey {
		for i := c.byKey[chain]; i != none; {
			next := c.slots[i].chain
			if c.slots[i].key >= from {
				c.drop(i)
			}
			i = next
		}
	}
	c.most = max(from, 1) - 1
}

// resize sets the limit.
func (c *cache) resize(limit int) {
	c.limit = max(limit, 0)
	if !c.purgeable {
		return
	}
	for c.count > c.limit && c.oldest != none {
		c.drop(c.oldest)
	}
}

// shrink drops all that nobody uses.
func (c *cache) shrink() {
	for c.oldest != none {
		c.drop(c.oldest)
	}
}

// drop takes a page out of its slot.
func (c *cache) drop(i int32) {
	c.unchain(i)
	s := &c.slots[i]
	if s.inUse {
		s.inUse = false
		c.pinned--
	} else {
		c.unlist(i)
	}
	c.count--
	s.chain, c.free = c.free, i
}

// unlist takes a slot out of those that nobody uses.
func (c *cache) unlist(i int32) {
	s := &c.slots[i]
	if s.newer != none {
		c.slots[s.newer].older = s.older
	} else {
		c.newest = s.older
	}
	if s.older != none {
		c.slots[s.older].newer = s.newer
	} else {
		c.oldest = s.newer
	}
}

func (c *cache) unchain(i int32) {
	at := c.chainOf(c.slots[i].key)
	for *at != i {
		at = &c.slots[*at].chain
	}
	*at = c.slots[i].chain
}

// chainOf is where the slots of a key begin. Pages that follow each other in the
// file have chains that do.
func (c *cache) chainOf(key uint32) *int32 { return &c.byKey[key&uint32(len(c.byKey)-1)] }

func (c *cache) rehash() {
	old := c.byKey
	c.byKey = emptyChains(2 * len(old))
	for _, i := range old {
		for i != none {
			s := &c.slots[i]
			next, chain := s.chain, c.chainOf(s.key)
			s.chain, *chain = *chain, i
			i = next
		}
	}
}

func emptyChains(n int) []int32 {
	chains := make([]int32, n)
	for i := range chains {
		chains[i] = none
	}
	return chains
}

// grow adds a slab of free slots.
func (c *cache) grow() bool {
	n, each := min(max(len(c.slots), firstSlab), largestSlab), c.slotBytes()
	slab := allocate(n * each)
	if slab == 0 {
		return false
	}
	c.slabs = append(c.slabs, slab)
	for k := range n {
		i := int32(len(c.slots))
		c.slots = append(c.slots, slot{memory: c.layOut(slab+uintptr(k*each), i), chain: c.free})
		c.free = i
	}
	return true
}

// destroy gives all memory back.
func (c *cache) destroy() {
	for _, slab := range c.slabs {
		release(slab)
	}
	c.slabs, c.slots = nil, nil
}
