package memory

import (
	"strings"
	"sync"
	"sync/atomic"

	"forge.lthn.ai/core/go-store/kv"

	"github.com/tidwall/btree"
)

// cell is a key and its versions, the newest first. The trees hold cells: a Set of a
// key that is there gives its cell a version and changes no tree, so nothing of one is
// copied. Only keys that come and go change the tree itself, by copy-on-write.
//
// Readers take, of each cell, the newest version that is no later than their forest.
// A reader that has something between the load of a forest and its end that others must not
// take away pins the forest's number: see pins.
type cell struct {
	group, key string
	newest     atomic.Pointer[version]
}

// version is a row as a commit made it.
type version struct {
	kv.Row
	commit uint64                  // the number of the forest that shows it first
	before atomic.Pointer[version] // what it replaced; nil: no reader needs that any more
	place  int                     // among the writer's kept, from 1; 0: it is not there
}

// at is the row as a forest shows it. If no reader has pinned that forest, and a later one has
// been published, it may be nil, or an older one: a reader without a pin looks
// afterwards whether the forest is still what is committed.
func (c *cell) at(commit uint64) *version {
	v := c.newest.Load()
	for v != nil && v.commit > commit {
		v = v.before.Load()
	}
	return v
}

// pins are the numbers of the forests that are read for longer than one key.
type pins struct {
	mu struct {
		sync.Mutex
		counts map[uint64]int
	}
}

// pin loads what is committed and pins it.
func (p *pins) pin(committed *atomic.Pointer[forest]) *forest {
	p.mu.Lock()
	defer p.mu.Unlock()
	f := committed.Load() // under the lock: oldest is asked after it was published
	p.count(f.number, 1)
	return f
}

// open is how many pins there are.
func (p *pins) open() (n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, count := range p.mu.counts {
		n += count
	}
	return n
}

func (p *pins) unpin(number uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.count(number, -1)
}

func (p *pins) count(number uint64, by int) {
	if p.mu.counts == nil {
		p.mu.counts = make(map[uint64]int)
	}
	if p.mu.counts[number] += by; p.mu.counts[number] == 0 {
		delete(p.mu.counts, number)
	}
}

// bounds are the least number that is pinned, at most the given one, and the greatest,
// 0 if there is none.
func (p *pins) bounds(number uint64) (oldest, newest uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	oldest = number
	for pinned := range p.mu.counts {
		oldest, newest = min(oldest, pinned), max(newest, pinned)
	}
	return oldest, newest
}

// cells are the cells of a forest in order, as it shows them.
type cells struct {
	tree *btree.BTreeG[*cell]
	at   uint64 // the forest's number
}

func cellLess(a, b *cell) bool {
	if c := strings.Compare(a.group, b.group); c != 0 {
		return c < 0
	}
	return a.key < b.key
}

// Get is the key's row. Of a forest that is not pinned it is sure only if it is the key's
// newest: otherwise see cell.at.
func (c cells) Get(group, key string) (row *kv.Row, found, sure bool) {
	cell, found := c.tree.Get(&cell{group: group, key: key})
	if !found {
		return nil, false, true
	}
	if v := cell.newest.Load(); v.commit <= c.at {
		return &v.Row, true, true
	}
	v := cell.at(c.at)
	if v == nil {
		return nil, false, false
	}
	return &v.Row, true, false
}

func (c cells) shown(visit func(*kv.Row) bool) func(*cell) bool {
	return func(cell *cell) bool { return visit(&cell.at(c.at).Row) }
}

func (c cells) Scan(visit func(*kv.Row) bool) { c.tree.Scan(c.shown(visit)) }

func (c cells) Reverse(visit func(*kv.Row) bool) { c.tree.Reverse(c.shown(visit)) }

func (c cells) Ascend(from *kv.Row, visit func(*kv.Row) bool) {
	c.tree.Ascend(&cell{group: from.Group, key: from.Key}, c.shown(visit))
}

func (c cells) Descend(from *kv.Row, visit func(*kv.Row) bool) {
	c.tree.Descend(&cell{group: from.Group, key: from.Key}, c.shown(visit))
}
