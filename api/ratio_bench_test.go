package api_test

import (
	"fmt"
	"math"
	"strconv"
	"sync"
	"testing"
	"time"

	"forge.lthn.ai/core/go-store/api"
)

// The targets for speed, each as the quotient of two times. BenchmarkRatio_Append
// is the one that needs Linux.

// setRandom overwrites one random key.
func setRandom(store benchStore, keys []string) func(*benchCaller) (int, error) {
	return func(caller *benchCaller) (int, error) {
		return 1, store.Set(benchGroup, pick(caller.random, keys), benchValue(caller.random))
	}
}

func getRandom(store benchStore, keys []string) func(*benchCaller) (int, error) {
	return func(caller *benchCaller) (int, error) {
		_, err := store.Get(benchGroup, pick(caller.random, keys))
		return 1, err
	}
}

// BenchmarkRatio_Control compares two stores that are the same. What it finds
// is what the machine and the method add to every other ratio.
func BenchmarkRatio_Control(b *testing.B) {
	for _, each := range []struct {
		name    string
		path    string
		callers int
	}{
		{"MemorySet/callers=1", ":memory:", 1},
		{"DurableSet/callers=1", "", 1},
		{"DurableSet/callers=64", "", benchCallers},
	} {
		b.Run(each.name, func(b *testing.B) {
			keys := benchKeys(scaled(manyKeys))
			var sides []side
			for _, name := range []string{"one", "other"} {
				call := setRandom(openBench(b, benchDesigns[0], each.path, keys), keys)
				sides = append(sides, side{name, func() measurement { return hammer(b, each.callers, call) }})
			}
			ratio(b, "1", sides[0], sides[1])
		})
	}
}

// BenchmarkRatio_Seed compares the store with the seed's design: how many
// times as fast it is.
func BenchmarkRatio_Seed(b *testing.B) {
	type operation func(benchStore, []string) func(*benchCaller) (int, error)
	for _, each := range []struct {
		name    string
		path    string // empty: a file
		callers int
		call    operation
		want    string
	}{
		{"DurableSet/callers=64", "", benchCallers, setRandom, "at least 5"},
		{"MemorySet/callers=1", ":memory:", 1, setRandom, "at least 1"},
		{"MemoryGet/callers=1", ":memory:", 1, getRandom, "at least 1"},
		{"MemorySet/callers=64", ":memory:", benchCallers, setRandom, "at least 3"},
	} {
		b.Run(each.name, func(b *testing.B) {
			keys := benchKeys(scaled(manyKeys))
			sides := make([]side, len(benchDesigns))
			for i, design := range benchDesigns {
				call := each.call(openBench(b, design, each.path, keys), keys)
				sides[i] = side{design.name, func() measurement { return hammer(b, each.callers, call) }}
			}
			ratio(b, each.want, sides[1], sides[0])
		})
	}
}

// BenchmarkRatio_Bare compares durable Sets by 64 callers with one goroutine
// that writes batches of the same size and does nothing else.
func BenchmarkRatio_Bare(b *testing.B) {
	keys := benchKeys(scaled(manyKeys))
	store := openBench(b, benchDesigns[0], "", keys)
	call := setRandom(store, keys)
	batch := meanBatch(store.(*api.Store), func() measurement { return hammer(b, benchCallers, call) })
	bare := openBare(b, keys)
	ratio(b, "at least 0.7",
		side{"bare", func() measurement {
			return hammer(b, 1, func(caller *benchCaller) (int, error) {
				return batch, bare.write(batch, func() (string, string) {
					return pick(caller.random, keys), benchValue(caller.random)
				})
			})
		}},
		side{"store", func() measurement { return hammer(b, benchCallers, call) }})
	b.ReportMetric(float64(batch), "rows/batch")
}

// meanBatch counts how many writes the store commits at a time, seen from
// outside: every event of a commit carries the commit's time. The round that
// it watches is not measured.
func meanBatch(store *api.Store, round func() measurement) int {
	var mu sync.Mutex
	commits := make(map[time.Time]struct{})
	unregister := store.OnChange(func(event api.Event) {
		mu.Lock()
		defer mu.Unlock()
		commits[event.Timestamp] = struct{}{}
	})
	defer unregister()
	operations := round().operations
	mean := int(math.Round(float64(operations) / float64(len(commits))))
	return min(max(mean, 1), benchCallers) // each caller has one write under way
}

// quotaHandle is what BenchmarkRatio_Quota and BenchmarkSet_Quota call.
type quotaHandle interface {
	Set(group, key, value string) error
	Delete(group, key string) error
}

var roomyQuota = api.QuotaConfig{MaxKeys: 1 << 30, MaxGroups: 1 << 20}

// setNew writes a key that is not there and takes it away again, so that the
// namespace stays as large as it was. The key is alone in its group: both
// limits are checked, and its place in the tree has the same neighbours in
// every namespace; only the rows that a careless quota would count differ.
func setNew(scope quotaHandle) func(*benchCaller) (int, error) {
	return func(caller *benchCaller) (int, error) {
		group, key := "new-"+strconv.Itoa(caller.number), strconv.Itoa(caller.calls)
		if err := scope.Set(group, key, benchValue(caller.random)); err != nil {
			return 0, err
		}
		begin := time.Now()
		err := scope.Delete(group, key)
		caller.untimed += time.Since(begin)
		return 1, err
	}
}

// setAndDeleteNew counts both: with many callers the time of one can't be
// told from that of the others.
func setAndDeleteNew(scope quotaHandle) func(*benchCaller) (int, error) {
	call := setNew(scope)
	return func(caller *benchCaller) (int, error) {
		n, err := call(caller)
		caller.untimed = 0
		return n, err
	}
}

// BenchmarkRatio_Quota compares a namespace of 200,000 keys with one of 10.
// Both live in the same store, so that the database is the same size.
func BenchmarkRatio_Quota(b *testing.B) {
	for _, each := range []struct {
		name    string
		path    string
		callers int
		call    func(quotaHandle) func(*benchCaller) (int, error)
	}{
		{"MemorySet/callers=1", ":memory:", 1, setNew},
		{"MemorySetDelete/callers=64", ":memory:", benchCallers, setAndDeleteNew},
		{"DurableSet/callers=1", "", 1, setNew},
		{"DurableSetDelete/callers=64", "", benchCallers, setAndDeleteNew},
	} {
		b.Run(each.name, func(b *testing.B) {
			store := openBench(b, benchDesigns[0], each.path, nil).(*api.Store)
			var sides []side
			for _, keys := range []int{scaled(200_000), 10} {
				namespace := fmt.Sprintf("n%d", keys)
				fillBench(b, store, namespace+":held", benchKeys(keys))
				scope, err := api.NewScopedWithQuota(store, namespace, roomyQuota)
				if err != nil {
					b.Fatal(err)
				}
				begin := time.Now()
				if err := scope.Set("first", "key", ""); err != nil {
					b.Fatal(err)
				}
				b.Logf("the first Set into %d keys, which counts them: %v", keys, time.Since(begin))
				call := each.call(scope)
				sides = append(sides, side{fmt.Sprintf("keys%d", keys), func() measurement { return hammer(b, each.callers, call) }})
			}
			ratio(b, "at most 1.2", sides[0], sides[1])
		})
	}
}

// BenchmarkRatio_Watchers compares Sets in a store with 10,000 watchers of
// other keys of the same group with Sets in a store with none.
func BenchmarkRatio_Watchers(b *testing.B) {
	for _, each := range []struct {
		name    string
		path    string
		callers int
	}{
		{"MemorySet/callers=1", ":memory:", 1},
		{"MemorySet/callers=64", ":memory:", benchCallers},
		{"DurableSet/callers=1", "", 1},
		{"DurableSet/callers=64", "", benchCallers},
	} {
		b.Run(each.name, func(b *testing.B) {
			keys := benchKeys(scaled(manyKeys))
			watchers := scaled(10_000)
			var sides []side
			for _, watched := range []int{watchers, 0} {
				store := openBench(b, benchDesigns[0], each.path, keys)
				for i := range watched {
					store.(*api.Store).Watch(benchGroup, "other-"+strconv.Itoa(i))
				}
				call := setRandom(store, keys)
				sides = append(sides, side{
					fmt.Sprintf("watchers%d", watched),
					func() measurement { return hammer(b, each.callers, call) },
				})
			}
			ratio(b, "at most 1.1", sides[0], sides[1])
		})
	}
}
