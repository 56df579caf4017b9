package overlay

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"forge.lthn.ai/core/go-store/kv"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// someKeys are keys in the order of their insertion, by what may be hard for an index.
func someKeys() map[string][]kv.Key {
	random := rand.New(rand.NewPCG(3, 3))
	all := make(map[string][]kv.Key)
	add := func(name string, n int, key func(i int) kv.Key) {
		for i := range n {
			all[name] = append(all[name], key(i))
		}
	}
	const n = 2_000
	add("any", n, func(int) kv.Key { return kv.Key{Group: "g", Key: fmt.Sprintf("%016x", random.Uint64())} })
	add("alike", n, func(int) kv.Key { return kv.Key{Group: "g", Key: fmt.Sprintf("user/profile/%08d", random.IntN(1e8))} })
	add("two kinds", n, func(i int) kv.Key {
		return kv.Key{Group: "g", Key: strings.Repeat(string(rune('a'+i%2)), 20) + fmt.Sprint(random.IntN(1e8))}
	})
	add("ascending", n, func(i int) kv.Key { return kv.Key{Group: "g", Key: fmt.Sprintf("%08d", i)} })
	add("descending", n, func(i int) kv.Key { return kv.Key{Group: "g", Key: fmt.Sprintf("%08d", n-i)} })
	add("one gap", n, func(i int) kv.Key { // all of the later ones between two of the earlier ones
		if i < n/2 {
			return kv.Key{Group: "g", Key: fmt.Sprintf("%d%04d", i%2, i)}
		}
		return kv.Key{Group: "g", Key: fmt.Sprintf("05%04d", random.IntN(1e4))}
	})
	add("groups", n, func(int) kv.Key {
		return kv.Key{Group: fmt.Sprintf("g%d", random.IntN(40)), Key: fmt.Sprint(random.IntN(1e5))}
	})
	add("groups of one", n, func(int) kv.Key { return kv.Key{Group: fmt.Sprint(random.IntN(1e5)), Key: "k"} })
	add("zeros", n, func(int) kv.Key { return kv.Key{Group: "g", Key: strings.Repeat("\x00", random.IntN(300))} })
	add("empty", n, func(i int) kv.Key {
		return kv.Key{Group: "", Key: strings.Repeat("k", i%3) + strings.Repeat("\xff", i%700)}
	})
	return all
}

// TestIndexedListsFindAll: whatever keys there are, a list that has been indexed, some time
// ago or just now, has its cells in order on every level, and leads to each.
func TestIndexedListsFindAll(t *testing.T) {
	for name, keys := range someKeys() {
		t.Run(name, func(t *testing.T) {
			var l list
			l.init()
			var sorted []kv.Key
			for i, k := range keys {
				c, made := l.insert(k.Group, k.Key)
				require.Equal(t, k, kv.Key{Group: c.group, Key: c.key})
				at, there := slices.BinarySearchFunc(sorted, k, kv.Key.Compare)
				require.Equal(t, !there, made)
				if made {
					sorted = slices.Insert(sorted, at, k)
				}
				if i%97 == 0 || i == len(keys)-1 {
					checkList(t, &l, sorted)
				}
			}
			if len(sorted) >= indexFrom {
				assert.NotNil(t, l.index.Load())
			}
		})
	}
}

// checkList compares a list with its keys in order.
func checkList(t *testing.T, l *list, sorted []kv.Key) {
	t.Helper()
	require.Equal(t, len(sorted), l.length)
	of := func(c *cell) kv.Key { return kv.Key{Group: c.group, Key: c.key} }
	for level := range int(l.height.Load()) {
		n, before := 0, (*cell)(nil)
		for c := l.head.next(level).Load(); c != nil; before, c = c, c.next(level).Load() {
			if n++; before != nil {
				require.Negative(t, of(before).Compare(of(c)), "level %d", level)
			}
		}
		if level == 0 {
			require.Equal(t, len(sorted), n)
		}
	}
	for i, k := range sorted {
		c := l.find(k.Group, k.Key)
		require.NotNil(t, c, "%q", k)
		require.Equal(t, k, of(c))
		if before := l.seekBefore(k.Group, k.Key); i == 0 {
			require.Nil(t, before)
		} else {
			require.Equal(t, sorted[i-1], of(before))
		}
		if after := l.seek(k.Group, k.Key+"\x00"); i == len(sorted)-1 {
			require.Nil(t, after)
		} else {
			require.Equal(t, sorted[i+1], of(after))
		}
		if next := (kv.Key{Group: k.Group + "\x00"}); l.seekBefore(next.Group, "") != nil {
			require.GreaterOrEqual(t, of(l.seekBefore(next.Group, "")).Compare(k), 0)
		}
	}
}

// TestIndexesAreBounded: of a list that is large an index has a part, since a caller that waits for
// a commit waits for it to be made.
func TestIndexesAreBounded(t *testing.T) {
	var l list
	l.init()
	const n = 4*indexMost + indexMost
	for i := range n {
		l.insert("g", fmt.Sprintf("%016x", uint64(i)*0x9E3779B97F4A7C15))
	}
	x := l.index.Load()
	assert.Less(t, len(x.cells), 2*indexMost)
	l.remake()
	x = l.index.Load()
	assert.Equal(t, 2, x.level)
	assert.Less(t, len(x.cells), indexMost)
	for i := range n / 64 {
		key := fmt.Sprintf("%016x", uint64(i)*64*0x9E3779B97F4A7C15)
		require.Equal(t, key, l.find("g", key).key)
		l.insert("g", key+"+") // some of them have more levels than the path that the index gives
		require.Equal(t, key+"+", l.find("g", key).follows().key)
	}
}
