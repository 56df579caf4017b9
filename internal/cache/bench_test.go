package cache

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"forge.lthn.ai/core/go-store/internal/storage"
	"forge.lthn.ai/core/go-store/kv"
)

// free is a source that costs nothing, so that what is measured is the cache.
type free struct{ value string }

func (f free) GetAt(_ context.Context, group, key string) (kv.Row, bool, storage.Version, error) {
	return kv.Row{Group: group, Key: key, Value: f.value, Deadline: kv.NoDeadline, Revision: 1}, true, 0, nil
}

func (f free) Current(storage.Version, string, string) bool { return true }

const benchGroup = "group-0001"

func benchNames(n int) []string {
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprintf("key-%08d", i)
	}
	return names
}

func benchCache(b *testing.B, bytes int) *Cache {
	c := New(bytes, free{strings.Repeat("v", 100)}, nil)
	b.Cleanup(c.Close)
	return c
}

func mustGet(b *testing.B, c *Cache, key string) {
	if _, found, err := c.Get(background, benchGroup, key); !found || err != nil {
		b.Fatal(found, err)
	}
}

// BenchmarkHit is a Get of one of so many keys that are all in the cache.
func BenchmarkHit(b *testing.B) {
	for _, n := range []int{1_000, 30_000} {
		c, names := benchCache(b, 16<<20), benchNames(n)
		for _, name := range names {
			mustGet(b, c, name)
		}
		b.Run(fmt.Sprintf("keys=%d/callers=1", n), func(b *testing.B) {
			b.ReportAllocs()
			random := rand.New(rand.NewPCG(1, 2))
			for b.Loop() {
				mustGet(b, c, names[random.IntN(n)])
			}
		})
		b.Run(fmt.Sprintf("keys=%d/callers=64", n), func(b *testing.B) {
			b.ReportAllocs()
			b.SetParallelism(32)
			b.RunParallel(func(pb *testing.PB) {
				random := rand.New(rand.NewPCG(rand.Uint64(), 2))
				for pb.Next() {
					mustGet(b, c, names[random.IntN(n)])
				}
			})
		})
	}
}

// BenchmarkUniform is a Get of any of a million keys, a tenth of which fit: what the
// cache takes of a miss, beside what the source takes.
func BenchmarkUniform(b *testing.B) {
	c, names := benchCache(b, 16<<20), benchNames(1_000_000)
	for _, name := range names {
		mustGet(b, c, name)
	}
	random := rand.New(rand.NewPCG(1, 2))
	b.ReportAllocs()
	for b.Loop() {
		mustGet(b, c, names[random.IntN(len(names))])
	}
}

// BenchmarkFill is a Get of a key that comes into a cache with room.
func BenchmarkFill(b *testing.B) {
	c, names := benchCache(b, 1<<30), benchNames(1_000_000)
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		if n == len(names) {
			b.StopTimer()
			c.Close()
			c, n = New(1<<30, free{strings.Repeat("v", 100)}, nil), 0
			b.StartTimer()
		}
		mustGet(b, c, names[n])
		n++
	}
}

// BenchmarkZipf says how many of a million keys' Gets are hits.
func BenchmarkZipf(b *testing.B) {
	source := &counted{free: free{strings.Repeat("v", 100)}}
	c, names := New(16<<20, source, nil), benchNames(1_000_000)
	b.Cleanup(c.Close)
	zipf := rand.NewZipf(rand.New(rand.NewPCG(1, 2)), 1.01, 1, uint64(len(names)-1))
	for range 2_000_000 {
		mustGet(b, c, names[zipf.Uint64()])
	}
	source.n = 0
	b.ReportAllocs()
	for b.Loop() {
		mustGet(b, c, names[zipf.Uint64()])
	}
	b.ReportMetric(100*(1-float64(source.n)/float64(b.N)), "%hits")
}

type counted struct {
	free
	n int
}

func (s *counted) GetAt(ctx context.Context, group, key string) (kv.Row, bool, storage.Version, error) {
	s.n++
	return s.free.GetAt(ctx, group, key)
}
