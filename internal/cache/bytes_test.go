package cache

import (
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"testing"

	"forge.lthn.ai/core/go-store/internal/storage"
	"forge.lthn.ai/core/go-store/internal/testkit/report"
	"forge.lthn.ai/core/go-store/kv"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A row takes at most 64 bytes beside its own, whatever the size of the cache, full or
// not: all that is reachable is counted. And what is reachable is no more than was asked
// for.
func TestARowTakesLittleBesideItsBytes(t *testing.T) {
	const own = len(benchGroup) + len("key-00000000") + 100
	all := report.Rounds(100_000, 400_000, 400_000) // more than fit
	names := benchNames(all)
	for _, bytes := range []int{4 << 20, 16 << 20, 64 << 20} {
		if bytes/(own+64) > all {
			continue // the race detector, which needs no large one, looks on
		}
		for _, n := range []int{bytes / 400, all} {
			before := reachable()
			c := New(bytes, free{strings.Repeat("v", 100)}, nil)
			empty := reachable() - before
			for range 3 { // the last of them with a door
				for _, name := range names[:n] {
					_, _, err := c.Get(background, benchGroup, name)
					require.NoError(t, err)
				}
			}
			c.clearReady() // their rows are copies
			taken, stats := reachable()-before-empty, c.Stats()
			each := float64(taken)/float64(stats.Rows) - float64(own)
			t.Logf("%d MiB, %d rows: %.1f bytes beside each", bytes>>20, stats.Rows, each)
			assert.Less(t, each, 64.0)
			assert.LessOrEqual(t, stats.Bytes, bytes)
			assert.InDelta(t, taken, stats.Bytes, float64(stats.Bytes)/50+float64(128<<10), "what is said is what is taken")
			runtime.KeepAlive(c)
		}
	}
}

// However large a cache may become, what it takes is what it holds.
func TestALargeCacheTakesLittleAtFirst(t *testing.T) {
	most := int64(1) << 40
	before := reachable()
	c := New(int(min(most, math.MaxInt)), free{strings.Repeat("v", 1000)}, nil)
	assert.Less(t, reachable()-before, 8<<20)
	names := benchNames(20_000)
	for range 2 {
		for _, name := range names {
			_, found, err := c.Get(background, benchGroup, name)
			require.NoError(t, err)
			require.True(t, found)
		}
	}
	require.Equal(t, len(names), c.Stats().Rows)
	c.requireWhole(t)
	assert.Less(t, reachable()-before, 64<<20)
	c.Close()
	assert.Less(t, reachable()-before, 8<<20)
	_, found, err := c.Get(background, benchGroup, names[0])
	require.NoError(t, err)
	require.True(t, found)
	runtime.KeepAlive(c)
}

func reachable() int {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}

func (c *Cache) clearReady() {
	for i := range c.shards {
		c.shards[i].ready.clear()
	}
}

// Once the cache is full a key comes in when it is missed a second time: what is read
// once pushes nothing out.
func TestAFullCacheAdmitsAtTheSecondMiss(t *testing.T) {
	source := &counted{free: free{strings.Repeat("v", 100)}}
	c := New(1<<20, source, nil)
	names := benchNames(60_000)
	get := func(names []string) (misses int) {
		source.n = 0
		for _, name := range names {
			_, _, err := c.Get(background, benchGroup, name)
			require.NoError(t, err)
		}
		return source.n
	}
	few := names[:1000]
	get(few)
	assert.Zero(t, get(few), "while there is room all come in")
	get(names[1000:20_000])
	get(few)
	get(few) // and in
	before := c.Stats()
	get(names[20_000:])
	assert.Less(t, get(few), len(few)/10, "40,000 that were read once have pushed nothing out")
	assert.InDelta(t, before.Rows, c.Stats().Rows, float64(before.Rows)/10)
	get(names[50_000:50_500])
	get(names[50_000:50_500])
	assert.Less(t, get(names[50_000:50_500]), 100, "what is read again comes in")
}

// What is changed over and over leaves old rows behind. They make room, not those that
// are good.
func TestChangesPushNothingOut(t *testing.T) {
	b := newBench(t, storage.MemoryPath)
	for i := range 1000 {
		require.NoError(t, b.commit(put("g", fmt.Sprint(i), "v")))
		b.get("g", fmt.Sprint(i))
	}
	for n := range 20_000 {
		require.NoError(t, b.commit(put("g", fmt.Sprint(n%50), strings.Repeat("w", 100))))
	}
	b.reads = 0
	for i := range 1000 {
		b.get("g", fmt.Sprint(i))
	}
	assert.Less(t, b.reads, 50)
}

func TestRowsKeepAllTheyHave(t *testing.T) {
	long := strings.Repeat("n", 65_535)
	for _, from := range []kv.Row{
		{}, {Value: "v", Deadline: kv.NoDeadline, Revision: 1},
		{Group: "g", Key: "\x00", Value: "\xff", Deadline: -1, Revision: 1 << 63},
		{Group: long, Key: long, Value: "v", Deadline: 0},
		{Group: "ab", Key: "c", Value: strings.Repeat("v", 1<<20), Deadline: kv.NoDeadline - 1},
	} {
		size, fits := sizeOf(from.Group, from.Key, from)
		require.True(t, fits)
		c := &chunk{data: make([]byte, size)}
		r := row(c.data)
		r.encode(1<<24-1, from, true, 7)
		assert.Equal(t, size, r.size())
		assert.Equal(t, uint32(1<<24-1), r.tag())
		assert.Equal(t, uint64(7), r.epoch())
		assert.True(t, r.is(from.Group, from.Key))
		assert.Equal(t, from, kv.Row{Group: from.Group, Key: from.Key, Value: c.value(r), Deadline: r.deadline(), Revision: r.revision()})
		assert.False(t, r.is(from.Group+"a", from.Key))
		assert.False(t, r.is(from.Group+strings.Repeat("a", 1<<16), from.Key), "its length is 0, cut short")
		r.encode(1, from, false, 8)
		assert.False(t, r.found())
		assert.Empty(t, c.value(r))
	}
	_, fits := sizeOf(long+"n", "", kv.Row{})
	assert.False(t, fits)
}

// Whatever comes and goes: the index finds what is in it, and nothing else.
func TestIndexAgreesWithAMap(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 6))
	x, words := newIndex(leastIndex), map[uint64]bool{}
	for range 100_000 {
		// Few tags, so that many have one home, the last word of the table included.
		word := wordOf((uint32(random.IntN(40))-20)&(1<<24-1), uint64(random.IntN(8)), alignment*random.IntN(8))
		at, ok := x.find(word)
		require.Equal(t, words[word], ok)
		switch {
		case ok && random.IntN(2) == 0:
			x.remove(at)
			delete(words, word)
		case ok:
			x.words[at].Store(word | visited)
		default:
			if x.full() {
				x = x.doubled()
			}
			x.add(word)
			words[word] = true
		}
		require.Equal(t, len(words), x.used)
	}
}

// Readers, which fill and evict, beside a writer: no reader sees a key go back.
func TestNobodySeesAKeyGoBack(t *testing.T) {
	b := newBench(t, storage.MemoryPath)
	for _, bytes := range []int{8 << 10, 64 << 10, 1 << 20} {
		c := New(bytes, b.database, nil)
		w := c.Writer(b.database.Writer())
		const keys = 300
		var done sync.WaitGroup
		stop := make(chan struct{})
		for i := range 4 {
			done.Go(func() {
				random := rand.New(rand.NewPCG(uint64(i), 9))
				zipf := rand.NewZipf(random, 1.1, 1, keys-1)
				var last [keys]uint64
				for {
					select {
					case <-stop:
						return
					default:
					}
					n := zipf.Uint64()
					key := fmt.Sprint(n)
					row, found, err := c.Get(background, "g", key)
					if assert.NoError(t, err); found {
						if !assert.GreaterOrEqual(t, row.Revision, last[n]) ||
							!assert.Equal(t, fmt.Sprint(key, "=", row.Revision), row.Value) {
							return
						}
						last[n] = row.Revision
					}
				}
			})
		}
		random := rand.New(rand.NewPCG(1, 1))
		for n := range uint64(3000) {
			assert.NoError(t, w.Begin())
			for range 3 {
				key := fmt.Sprint(random.IntN(keys))
				assert.NoError(t, w.Upsert(kv.Row{Group: "g", Key: key, Value: fmt.Sprint(key, "=", n+1), Deadline: kv.NoDeadline, Revision: n + 1}))
			}
			assert.NoError(t, w.Commit())
		}
		close(stop)
		done.Wait()
		c.Close()
		require.NoError(t, b.commit(takeGroup("g")))
	}
}
