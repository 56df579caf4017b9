package api_test

import (
	"context"
	"math/rand/v2"
	"path/filepath"
	"testing"

	"forge.lthn.ai/core/go-store/api"
)

const orderEach = 1000 // keys a group

// orderGroups are a million keys, or a tenth of them.
func orderGroups() int {
	if testing.Short() {
		return million / orderEach / 10
	}
	return million / orderEach
}

// BenchmarkOrder_Scan is a scan of 1 to 100 rows (YCSB E) of a million keys of 100 bytes
// by the order in which they were loaded, and once they were compacted. With -short of
// 100,000.
func BenchmarkOrder_Scan(b *testing.B) {
	for _, load := range []struct {
		name            string
		sorted, compact bool
	}{{"random", false, false}, {"compacted", false, true}, {"sorted", true, false}} {
		b.Run(load.name, func(b *testing.B) {
			path := filepath.Join(b.TempDir(), "store.db")
			fillOrdered(b, path, load.sorted, load.compact)
			store, err := api.New(path)
			if err != nil {
				b.Fatal(err)
			}
			defer store.Close()
			random := newBenchRandom(2)
			scan := func() {
				group, key := millionGroup(random.IntN(orderGroups())), millionKey(random.IntN(orderEach))
				for _, err := range store.Scan(api.ScanOptions{Groups: api.Exactly(group), From: key, Limit: 1 + random.IntN(100)}) {
					if err != nil {
						b.Fatal(err)
					}
				}
			}
			for range 2000 { // what is read for the first time is mapped first
				scan()
			}
			for b.Loop() {
				scan()
			}
		})
	}
}

// BenchmarkOrder_Compact is how long a compaction of those keys takes.
func BenchmarkOrder_Compact(b *testing.B) {
	for name, sorted := range map[string]bool{"random": false, "sorted": true} {
		b.Run(name, func(b *testing.B) {
			for range b.N {
				b.StopTimer()
				path := filepath.Join(b.TempDir(), "store.db")
				fillOrdered(b, path, sorted, false)
				store, err := api.New(path)
				if err != nil {
					b.Fatal(err)
				}
				b.StartTimer()
				if _, err := store.Compact(context.Background()); err != nil {
					b.Fatal(err)
				}
				b.StopTimer()
				store.Close()
			}
		})
	}
}

func fillOrdered(b *testing.B, path string, sorted, compact bool) {
	b.Helper()
	store, err := api.New(path, api.WithDurability(api.DurabilityBuffered), api.WithReadCache(0))
	if err != nil {
		b.Fatal(err)
	}
	random, each := newBenchRandom(1), orderEach
	places := rand.New(rand.NewPCG(1, 2)).Perm(orderGroups() * each)
	items := make([]api.Item, 0, 1000)
	for i, place := range places {
		if sorted {
			place = i
		}
		items = append(items, api.Item{Group: millionGroup(place / each), Key: millionKey(place % each), Value: benchValue(random)})
		if len(items) == cap(items) || i == len(places)-1 {
			if err := store.SetAll(items); err != nil {
				b.Fatal(err)
			}
			items = items[:0]
		}
	}
	if compact {
		if _, err := store.Compact(context.Background()); err != nil {
			b.Fatal(err)
		}
	}
	if err := store.Close(); err != nil {
		b.Fatal(err)
	}
}
