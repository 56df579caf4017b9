package overlay

import (
	"sort"
	"strings"
)

// index is the cells that a list had on one level when it was made, laid out for a search: a
// look at a cell is a line of the processor's cache that has to be fetched, and a search of the
// list looks at some twenty, nearly all of them while it is on its way. What is looked at here
// lies side by side, and does not change. From the cell that it leads to the list's own links
// lead on, past what was added since.
type index struct {
	level    int // that all of its cells have
	groups   []indexed
	prefixes []uint64 // of the keys, without what all of their group begin with
	cells    []*cell
}

// indexed is the part of an index that is of one group.
type indexed struct {
	group         string
	common        string // what all of its keys begin with
	first, behind int
}

// indexFrom is how many cells are worth an index. It is made anew when there are twice as many,
// so that each cell costs half a step of a walk. Only tests change it.
var indexFrom = 256

const (
	// indexMost is how many cells an index has, about, of more: to make it is to hold up
	// the callers that wait for the commit.
	indexMost = 32 << 10
	// indexSteps is how many cells on an index's level may have been added behind one of its
	// own before the search begins at the top: keys that come in their order are all added
	// behind the same one.
	indexSteps = 8
)

// remake makes the list's index. It is the writer's.
func (l *list) remake() {
	x := &index{level: 1}
	for l.length>>(2*x.level) > indexMost {
		x.level++
	}
	if x.level >= int(l.height.Load()) {
		return
	}
	x.cells = make([]*cell, 0, l.length>>(2*x.level)*9/8)
	for c := l.head.next(x.level).Load(); c != nil; c = c.next(x.level).Load() {
		x.cells = append(x.cells, c)
	}
	x.prefixes = make([]uint64, len(x.cells))
	for first := 0; first < len(x.cells); {
		g := indexed{group: x.cells[first].group, first: first, behind: first + 1}
		for g.behind < len(x.cells) && x.cells[g.behind].group == g.group {
			g.behind++
		}
		g.common = common(x.cells[first].key, x.cells[g.behind-1].key)
		for i, c := range x.cells[first:g.behind] {
			x.prefixes[first+i] = prefixOf(c.key[len(g.common):])
		}
		x.groups = append(x.groups, g)
		first = g.behind
	}
	l.index.Store(x)
}

// common is what two keys begin with, and so all that lie between them.
func common(a, b string) string {
	n := 0
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	return a[:n]
}

// before is the last of the index's cells before a position, nil if there is none.
func (x *index) before(group, key string) *cell {
	behind := sort.Search(len(x.groups), func(i int) bool { return x.groups[i].group > group })
	if behind == 0 {
		return nil
	}
	g := &x.groups[behind-1]
	n := g.behind
	if g.group == group {
		n = x.rank(g, key)
	}
	if n == 0 {
		return nil
	}
	return x.cells[n-1]
}

// rank is the first of a group's cells at a key or behind it.
func (x *index) rank(g *indexed, key string) int {
	if !strings.HasPrefix(key, g.common) {
		if key < g.common {
			return g.first
		}
		return g.behind
	}
	low, high, prefix := g.first, g.behind, prefixOf(key[len(g.common):])
	for low < high {
		middle := int(uint(low+high) >> 1)
		if p := x.prefixes[middle]; p < prefix || p == prefix && x.cells[middle].key < key {
			low = middle + 1
		} else {
			high = middle
		}
	}
	return low
}
