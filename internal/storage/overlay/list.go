package overlay

import (
	"math"
	"math/bits"
	"strings"
	"sync/atomic"
)

// list is a skip list of cells in the order of groups and keys, both ways. One goroutine
// adds to it; any number read it meanwhile, without locks. Nothing is ever taken out.
//
// A cell is linked from below to above, each link by one atomic store. A reader of a
// published state came by a later load of its pointer, so every cell that the state shows
// is linked whole, both ways; of those that are just being added a reader meets some and
// not others, and none has a version for it.
type list struct {
	head   cell // before all others, with all levels
	last   atomic.Pointer[cell]
	height atomic.Int32 // levels that are in use
	index  atomic.Pointer[index]

	// The writer's.
	length  int
	indexed int // how many cells there are when the index is made anew
	random  uint64
}

// maxHeight is enough for 4^12 cells, since one in four is a level higher.
const maxHeight = 12

func (l *list) init() {
	l.head.high = make([]atomic.Pointer[cell], maxHeight-lowLinks)
	l.height.Store(1)
	l.random = 0x9E3779B97F4A7C15
	l.indexed = indexFrom
}

// around is the last cell before a position, the head if there is none, and the one that
// followed it when it was looked at, nil if there was none: by now a cell may lie between them
// that is before the position, so to ask the first for the next is not the same. path is given
// the last one before it on each of its levels that is in use.
func (l *list) around(group, key string, path []*cell) (at, next *cell) {
	if x := l.index.Load(); x != nil && len(path) <= x.level+1 {
		if from := x.before(group, key); from != nil {
			if at, next := from.walk(x.level, indexSteps, group, key, path); at != nil {
				return at, next
			}
		}
	}
	return l.head.walk(int(l.height.Load())-1, math.MaxInt, group, key, path)
}

// walk is around from a cell on, which lies before the position, and a level that it has. at is
// nil if there are more steps on that level.
func (c *cell) walk(level, steps int, group, key string, path []*cell) (at, next *cell) {
	at = c
	prefix := prefixOf(key)
	var behind *cell // that is known to lie at the position or behind it
	for top := level; level >= 0; level-- {
		for {
			next = at.next(level).Load()
			if next == nil || next == behind {
				break
			}
			if next.compareTo(group, key, prefix) >= 0 {
				behind = next
				break
			}
			at = next
			if level == top {
				if steps--; steps < 0 {
					return nil, nil
				}
			}
		}
		if level < len(path) {
			path[level] = at
		}
	}
	return at, next
}

// seek is the first cell at a position or behind it, nil if there is none.
func (l *list) seek(group, key string) *cell {
	_, next := l.around(group, key, nil)
	return next
}

// seekBefore is the last cell before a position, nil if there is none.
func (l *list) seekBefore(group, key string) *cell {
	if c, _ := l.around(group, key, nil); c != &l.head {
		return c
	}
	return nil
}

// first and final are the ends of the list, nil if it is empty.
func (l *list) first() *cell { return l.head.low[0].Load() }
func (l *list) final() *cell { return l.last.Load() }

// follows is the next cell, or the one before, nil if there is none.
func (c *cell) follows() *cell { return c.low[0].Load() }
func (c *cell) leads() *cell   { return c.prev.Load() }

// find is a position's cell, nil if it has none.
func (l *list) find(group, key string) *cell {
	if c := l.seek(group, key); c != nil && c.key == key && c.group == group {
		return c
	}
	return nil
}

// insert is a position's cell, which is made if there is none. The caller's strings are
// copied, as they may be small parts of something large; the neighbour's group serves
// again where it is the same.
func (l *list) insert(group, key string) (c *cell, made bool) {
	var path [maxHeight]*cell
	left, right := l.around(group, key, path[:lowLinks])
	if right != nil && right.compare(group, key) == 0 {
		return right, false
	}
	height := l.draw()
	if height > lowLinks { // one in sixteen
		l.around(group, key, path[:])
	}
	if used := int(l.height.Load()); height > used {
		for level := used; level < height; level++ {
			path[level] = &l.head
		}
		l.height.Store(int32(height))
	}
	c = &cell{prefix: prefixOf(key)}
	if height > lowLinks {
		c.high = make([]atomic.Pointer[cell], height-lowLinks)
	}
	switch {
	case left != &l.head && left.group == group:
		c.group, c.key = left.group, strings.Clone(key)
	case right != nil && right.group == group:
		c.group, c.key = right.group, strings.Clone(key)
	default:
		c.group, c.key = strings.Clone(group), strings.Clone(key)
	}
	if left != &l.head {
		c.prev.Store(left)
	}
	for level := range height {
		before := path[level].next(level)
		c.next(level).Store(before.Load())
		before.Store(c)
	}
	if right != nil {
		right.prev.Store(c)
	} else {
		l.last.Store(c)
	}
	if l.length++; l.length >= l.indexed {
		l.remake()
		l.indexed = 2 * l.length
	}
	return c, true
}

// draw is a height: one more with a probability of a quarter, again and again. The
// sequence is the same in each list: no program chooses keys by it.
func (l *list) draw() int {
	l.random ^= l.random << 13
	l.random ^= l.random >> 7
	l.random ^= l.random << 17
	return min(1+bits.TrailingZeros64(l.random|1<<62)/2, maxHeight)
}
