package cache

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"forge.lthn.ai/core/go-store/internal/storage"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// requireWhole compares what each shard says of itself with what is there: no word of the
// index leads to a row that has gone, and each chunk can be walked from row to row.
func (c *Cache) requireWhole(t *testing.T) {
	t.Helper()
	for i := range c.shards {
		s := &c.shards[i]
		x := s.index.Load()
		words, live := 0, 0
		for j := range x.words {
			word := x.words[j].Load()
			if word == 0 {
				continue
			}
			words++
			in := s.chunk(numberOf(word))
			require.NotNil(t, in, "shard %d: a word leads to a chunk that has gone", i)
			live += row(in.data[offsetOf(word):]).size()
		}
		require.Equal(t, words, x.used, "shard %d: words", i)
		require.Equal(t, live, s.mu.live, "shard %d: bytes of rows", i)
		for k := range s.ring.places {
			place := s.ring.place(k)
			if place == nil || place.Load() == nil {
				continue
			}
			in := place.Load()
			at, live := 0, 0
			for at < in.used {
				r := row(in.data[at:])
				if _, ok := x.find(wordOf(r.tag(), in.number, at)); ok {
					live += r.size()
				}
				at += r.size()
			}
			require.Equal(t, in.used, at, "shard %d: a chunk's rows", i)
			require.Equal(t, live, in.live, "shard %d: a chunk's live rows", i)
		}
	}
}

// Keys that are not there, that are deleted and that come back, more than fit.
func TestMissingKeysAreRowsToo(t *testing.T) {
	b := newBench(t, storage.MemoryPath)
	random := rand.New(rand.NewPCG(1, 1))
	const keys = 20_000
	want := map[string]string{}
	any := func() string { return fmt.Sprint(random.IntN(keys)) }
	for i := range 40_000 {
		key := any()
		if got := b.get("g", key); got != want[key] {
			require.Equal(t, want[key], got, key)
		}
		if i%3 == 0 {
			value := fmt.Sprint(i)
			require.NoError(t, b.commit(put("g", key, value)))
			want[key] = value
		}
		if i%5 == 0 {
			gone := any()
			require.NoError(t, b.commit(take("g", gone)))
			delete(want, gone)
		}
		if i%5000 == 0 {
			b.cache.requireWhole(t)
		}
	}
	b.cache.requireWhole(t)
}

// Look-ups of keys that are not there leave those alone that are read over and over.
func TestMissingKeysPushLittleOut(t *testing.T) {
	b := newBench(t, storage.MemoryPath)
	const few = 100
	for i := range few {
		require.NoError(t, b.commit(put("g", fmt.Sprint(i), "v")))
	}
	for i := range 50_000 {
		for range 2 {
			b.get("g", fmt.Sprint("none", i))
		}
		b.get("g", fmt.Sprint(i%few))
	}
	b.reads = 0
	for i := range few {
		b.get("g", fmt.Sprint(i))
	}
	assert.LessOrEqual(t, b.reads, few/10)
	b.cache.requireWhole(t)
}
