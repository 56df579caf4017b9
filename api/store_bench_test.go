package api_test

import (
	"fmt"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"forge.lthn.ai/core/go-store/api"
)

// The benchmarks by the seed's names, each for the store and for the seed's
// own design: benchstat -col /design compares them. A Set overwrites a random
// one of 10,000 keys with a value that it does not hold.

const fewKeys = 10_000

func BenchmarkSet(b *testing.B)                    { benchmarkSet(b, ":memory:", one) }
func BenchmarkSetParallel(b *testing.B)            { benchmarkSet(b, ":memory:", parallel) }
func BenchmarkSet_FileBacked(b *testing.B)         { benchmarkSet(b, "", one) }
func BenchmarkSet_FileBackedParallel(b *testing.B) { benchmarkSet(b, "", parallel) }
func BenchmarkGet(b *testing.B)                    { benchmarkGet(b, ":memory:", one) }
func BenchmarkGetParallel(b *testing.B)            { benchmarkGet(b, ":memory:", parallel) }
func BenchmarkGet_FileBacked(b *testing.B)         { benchmarkGet(b, "", one) }
func BenchmarkGet_FileBackedParallel(b *testing.B) { benchmarkGet(b, "", parallel) }
func BenchmarkGetAll(b *testing.B)                 { benchmarkGetAll(b, one) }
func BenchmarkGetAllParallel(b *testing.B)         { benchmarkGetAll(b, parallel) }

type spreadCalls func(b *testing.B, call func(*benchCaller) (int, error))

// one makes the calls one after the other.
func one(b *testing.B, call func(*benchCaller) (int, error)) {
	caller := &benchCaller{random: newBenchRandom(2)}
	for b.Loop() {
		if _, err := call(caller); err != nil {
			b.Fatal(err)
		}
	}
}

// parallel spreads the calls over 64 callers in all, whatever the number of
// processors.
func parallel(b *testing.B, call func(*benchCaller) (int, error)) {
	processors := runtime.GOMAXPROCS(0)
	b.SetParallelism((benchCallers + processors - 1) / processors)
	var number atomic.Int64
	b.RunParallel(func(pb *testing.PB) {
		caller := &benchCaller{number: int(number.Add(1))}
		caller.random = newBenchRandom(uint64(caller.number))
		for pb.Next() {
			if _, err := call(caller); err != nil {
				b.Error(err)
				return
			}
		}
	})
}

func benchmarkSet(b *testing.B, path string, run spreadCalls) {
	keys := benchKeys(scaled(fewKeys))
	forEachDesign(b, path, keys, func(b *testing.B, store benchStore) { run(b, setRandom(store, keys)) })
}

func benchmarkGet(b *testing.B, path string, run spreadCalls) {
	keys := benchKeys(scaled(fewKeys))
	forEachDesign(b, path, keys, func(b *testing.B, store benchStore) { run(b, getRandom(store, keys)) })
}

func benchmarkGetAll(b *testing.B, run spreadCalls) {
	keys := benchKeys(scaled(fewKeys))
	forEachDesign(b, ":memory:", keys, func(b *testing.B, store benchStore) {
		run(b, func(*benchCaller) (int, error) {
			all, err := store.GetAll(benchGroup)
			if err == nil && len(all) != len(keys) {
				err = fmt.Errorf("GetAll returned %d keys of %d", len(all), len(keys))
			}
			return 1, err
		})
	})
}

// forEachDesign runs a benchmark on one design after the other; the one that
// is not measured is closed.
func forEachDesign(b *testing.B, path string, keys []string, measure func(*testing.B, benchStore)) {
	for _, design := range benchDesigns {
		b.Run("design="+design.name, func(b *testing.B) {
			store := openBench(b, design, path, keys)
			b.ReportAllocs()
			b.ResetTimer()
			measure(b, store)
			b.StopTimer()
		})
	}
}

// BenchmarkSet_Quota is a Set of a new key into a namespace with a quota. The
// seed counts the namespace each time.
func BenchmarkSet_Quota(b *testing.B) {
	for _, held := range []int{10, 200_000} {
		keys := benchKeys(min(held, scaled(200_000)))
		for _, design := range benchDesigns {
			b.Run(fmt.Sprintf("keys=%d/design=%s", held, design.name), func(b *testing.B) {
				store := openBench(b, design, ":memory:", nil)
				fillBench(b, store, "n:held", keys)
				var scope quotaHandle
				switch store := store.(type) {
				case *seedStore:
					scope = &seedScoped{store: store, namespace: "n", maxKeys: roomyQuota.MaxKeys, maxGroups: roomyQuota.MaxGroups}
				case *api.Store:
					limited, err := api.NewScopedWithQuota(store, "n", roomyQuota)
					if err != nil {
						b.Fatal(err)
					}
					scope = limited
				}
				call := setNew(scope)
				caller := &benchCaller{random: newBenchRandom(2)}
				begin := time.Now()
				for b.Loop() {
					if _, err := call(caller); err != nil {
						b.Fatal(err)
					}
					caller.calls++
				}
				// Without the deletes; stopping b's timer at each of them
				// would cost more than they do.
				b.ReportMetric(float64(time.Since(begin)-caller.untimed)/float64(caller.calls), "ns/op")
			})
		}
	}
}

// BenchmarkSet_Watched is the latency of a Set that 10,000 watchers wait for:
// when no goroutine reads their channels, so that each event is counted as dropped,
// and when a goroutine reads each.
func BenchmarkSet_Watched(b *testing.B) {
	for _, audience := range []string{"idle", "reading"} {
		b.Run("audience="+audience, func(b *testing.B) {
			store := openBench(b, benchDesigns[0], ":memory:", nil).(*api.Store)
			var readers sync.WaitGroup
			var watchers []*api.Watcher
			for range scaled(10_000) {
				watcher := store.Watch(benchGroup, "watched")
				watchers = append(watchers, watcher)
				if audience == "reading" {
					readers.Go(func() {
						for range watcher.Events { //nolint:revive // reading is all it does
						}
					})
				}
			}
			random := newBenchRandom(2)
			var latencies []time.Duration
			for b.Loop() {
				begin := time.Now()
				if err := store.Set(benchGroup, "watched", benchValue(random)); err != nil {
					b.Fatal(err)
				}
				latencies = append(latencies, time.Since(begin))
			}
			slices.Sort(latencies)
			for name, share := range map[string]float64{"p50": 0.5, "p99": 0.99, "max": 1} {
				b.ReportMetric(float64(percentile(latencies, share)), name+"-ns")
			}
			begin := time.Now()
			for _, watcher := range watchers {
				store.Unwatch(watcher)
			}
			b.ReportMetric(float64(time.Since(begin))/float64(len(watchers)), "unwatch-ns")
			readers.Wait()
		})
	}
}

// BenchmarkWatch is the time to add a watcher beside as many others of the
// same group, and to take it away.
func BenchmarkWatch(b *testing.B) {
	for _, others := range []int{0, 10_000} {
		b.Run("others="+strconv.Itoa(others), func(b *testing.B) {
			store := openBench(b, benchDesigns[0], ":memory:", nil).(*api.Store)
			for i := range others {
				store.Watch(benchGroup, "other-"+strconv.Itoa(i))
			}
			b.ReportAllocs()
			for b.Loop() {
				store.Unwatch(store.Watch(benchGroup, "key"))
			}
		})
	}
}
