package api_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"

	"forge.lthn.ai/core/go-store/api"
)

// The targets of reads. Each ratio compares two sides in one process; the rest
// are figures of this machine.

const (
	million    = 1_000_000
	readGroups = 1_000
	hotKeys    = 1_000
)

// openMillion is a store of a million keys of 100 bytes in a thousand groups.
func openMillion(b *testing.B, path string, options ...api.Option) *api.Store {
	b.Helper()
	fillMillion(b, path)
	store, err := api.New(path, options...)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := store.Close(); err != nil {
			b.Error(err)
		}
	})
	return store
}

func fillMillion(b *testing.B, path string) {
	b.Helper()
	store, err := api.New(path, api.WithDurability(api.DurabilityBuffered), api.WithReadCache(0))
	if err != nil {
		b.Fatal(err)
	}
	random, each := newBenchRandom(1), scaled(million)/readGroups
	for group := range readGroups {
		items := make([]api.Item, each)
		for i := range items {
			items[i] = api.Item{Group: millionGroup(group), Key: millionKey(i), Value: benchValue(random)}
		}
		if err := store.SetAll(items); err != nil {
			b.Fatal(err)
		}
	}
	if err := store.Close(); err != nil {
		b.Fatal(err)
	}
}

func millionGroup(i int) string { return fmt.Sprintf("group-%04d", i) }
func millionKey(i int) string   { return fmt.Sprintf("key-%06d", i) }

// anyOfMillion is the place of a random key.
func anyOfMillion(random *rand.Rand) (group, key string) {
	return millionGroup(random.IntN(readGroups)), millionKey(random.IntN(max(scaled(million)/readGroups, 1)))
}

// BenchmarkRatio_GetHot compares Gets of 1,000 keys, all read lately, with the
// seed's design: at least 40 times as fast; and says what one takes: at most
// 250 ns.
func BenchmarkRatio_GetHot(b *testing.B) {
	for _, path := range []string{"", ":memory:"} {
		for _, callers := range []int{1, benchCallers} {
			b.Run(fmt.Sprintf("memory=%t/callers=%d", path != "", callers), func(b *testing.B) {
				keys := benchKeys(scaled(hotKeys))
				sides := make([]side, len(benchDesigns))
				for i, design := range benchDesigns {
					call := getRandom(openBench(b, design, path, keys), keys)
					sides[i] = side{design.name, func() measurement { return hammer(b, callers, call) }}
				}
				ratio(b, "at least 40", sides[1], sides[0])
			})
		}
	}
}

// BenchmarkRatio_GetCold compares Gets of any of a million keys, without the
// cache, with a held statement within one read transaction of bare SQLite on the
// same file: at most 1.3 times as long.
func BenchmarkRatio_GetCold(b *testing.B) {
	path := filepath.Join(b.TempDir(), "store.db")
	store := openMillion(b, path, api.WithReadCache(0))
	bare := openBareReader(b, path)
	get := bare.prepare(b, "SELECT entry_value, expires_at FROM entries WHERE group_name = ?1 AND entry_key = ?2")
	ratio(b, "at most 1.3",
		side{"store", func() measurement {
			return hammer(b, 1, func(caller *benchCaller) (int, error) {
				_, err := store.Get(anyOfMillion(caller.random))
				return 1, err
			})
		}},
		side{"bare", func() measurement {
			return hammer(b, 1, func(caller *benchCaller) (int, error) {
				group, key := anyOfMillion(caller.random)
				get.BindText(1, group)
				get.BindText(2, key)
				if _, err := get.Step(); err != nil {
					return 0, err
				}
				sinkText = get.ColumnText(0)
				return 1, get.Reset()
			})
		}})
}

// BenchmarkRatio_ReadCache compares Gets with the default read cache with Gets without one, of
// 100,000 keys that the cache holds and of a million that it does not, which are read each as often
// as the others, or a few far more often.
func BenchmarkRatio_ReadCache(b *testing.B) {
	path := filepath.Join(b.TempDir(), "store.db")
	fillMillion(b, path)
	for _, n := range []uint64{manyKeys, million} {
		for _, zipfian := range []bool{false, true} {
			for _, callers := range []int{1, benchCallers} {
				b.Run(fmt.Sprintf("keys=%d/zipfian=%t/callers=%d", n, zipfian, callers), func(b *testing.B) {
					each := uint64(max(scaled(million)/readGroups, 1))
					most := min(n, readGroups*each)
					timed := func(options ...api.Option) func() measurement {
						return func() measurement {
							// One opening of a file at a time: the rounds fill the cache anew, and then are measured.
							store, err := api.New(path, options...)
							if err != nil {
								b.Fatal(err)
							}
							defer func() { _ = store.Close() }()
							get := func(caller *benchCaller) (int, error) {
								if caller.zipf == nil && zipfian {
									caller.zipf = rand.NewZipf(caller.random, 1.01, 1, most-1)
								}
								at := uint64(0)
								if zipfian {
									at = caller.zipf.Uint64()
								} else {
									at = caller.random.Uint64N(most)
								}
								_, err := store.Get(millionGroup(int(at/each)), millionKey(int(at%each)))
								return 1, err
							}
							hammer(b, callers, get)
							return hammer(b, callers, get)
						}
					}
					ratio(b, "told", side{"cached", timed()}, side{"uncached", timed(api.WithReadCache(0))})
				})
			}
		}
	}
}

var sinkText string

// bareReader is a connection of its own, in one read transaction, with the page
// cache that the store's readers have.
type bareReader struct{ connection *sqlite.Conn }

func openBareReader(b *testing.B, path string) bareReader {
	b.Helper()
	connection, err := sqlite.OpenConn(path, sqlite.OpenReadOnly)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = connection.Close() })
	for _, statement := range []string{"PRAGMA cache_size=-2048", "BEGIN", "SELECT count(*) FROM sqlite_schema"} {
		if err := sqlitex.ExecuteTransient(connection, statement, nil); err != nil {
			b.Fatal(err)
		}
	}
	return bareReader{connection}
}

func (r bareReader) prepare(b *testing.B, text string) *sqlite.Stmt {
	b.Helper()
	statement, err := r.connection.Prepare(text)
	if err != nil {
		b.Fatal(err)
	}
	return statement
}

// BenchmarkRatio_Mixed compares 95 reads to 5 durable writes by 64 callers with
// the seed's design: at least 10 times as fast. 10,000 keys fit into the read
// cache, of 100,000 two in five do.
func BenchmarkRatio_Mixed(b *testing.B) {
	for _, n := range []int{10_000, manyKeys} {
		b.Run(fmt.Sprintf("keys=%d", n), func(b *testing.B) {
			keys := benchKeys(scaled(n))
			sides := make([]side, len(benchDesigns))
			for i, design := range benchDesigns {
				store := openBench(b, design, "", keys)
				get, set := getRandom(store, keys), setRandom(store, keys)
				sides[i] = side{design.name, func() measurement {
					return hammer(b, benchCallers, func(caller *benchCaller) (int, error) {
						if caller.random.IntN(100) < 5 {
							return set(caller)
						}
						return get(caller)
					})
				}}
			}
			ratio(b, "at least 10", sides[1], sides[0])
		})
	}
}

// BenchmarkRatio_GetAll compares a GetAll of 10,000 keys with the seed's design:
// at least 2.5 times as fast, with at most two allocations a key.
func BenchmarkRatio_GetAll(b *testing.B) {
	keys := benchKeys(scaled(10_000))
	sides := make([]side, len(benchDesigns))
	var allocations float64
	for i, design := range benchDesigns {
		store := openBench(b, design, "", keys)
		call := func() (int, error) { all, err := store.GetAll(benchGroup); return len(all), err }
		sides[i] = side{design.name, func() measurement {
			return hammer(b, 1, func(*benchCaller) (int, error) { _, err := call(); return 1, err })
		}}
		if i == 0 {
			allocations = testing.AllocsPerRun(3, func() {
				if n, err := call(); err != nil || n != len(keys) {
					b.Fatal(n, err)
				}
			}) / float64(len(keys))
		}
	}
	ratio(b, "at least 2.5", sides[1], sides[0])
	b.ReportMetric(allocations, "allocs/key")
}

// BenchmarkRatio_SetBesideScans compares the 99th percentile of durable Sets by
// 64 callers beside four endless scans over a million keys with the same without
// them: at most one and a half times as long. A round of half a second has some two
// hundred commits, so its percentile is the third longest: -round 5s tells more. It
// reports how many rows the scans see in a second, too.
func BenchmarkRatio_SetBesideScans(b *testing.B) {
	store := openMillion(b, filepath.Join(b.TempDir(), "store.db"))
	var scanned atomic.Int64
	var scanning time.Duration
	sets := func() measurement { return percentileOfSets(b, store) }
	ratio(b, "at most 1.5", side{"scanned", func() measurement {
		var stop atomic.Bool
		var scans sync.WaitGroup
		for range 4 {
			scans.Go(func() {
				rows := 0
				for !stop.Load() {
					for _, err := range store.Scan(api.ScanOptions{}) {
						if err != nil || stop.Load() {
							break
						}
						rows++
					}
				}
				scanned.Add(int64(rows))
			})
		}
		defer func(began time.Time) {
			stop.Store(true)
			scans.Wait()
			scanning += time.Since(began)
		}(time.Now())
		return sets()
	}}, side{"alone", sets})
	b.ReportMetric(float64(scanned.Load())/scanning.Seconds(), "scanned-rows/s")
}

// BenchmarkRatio_GetAllBesideWriters compares GetAll of a group of 10,000 keys beside 64
// goroutines that set its keys durably with the same without them: at most one and a half times
// as long.
func BenchmarkRatio_GetAllBesideWriters(b *testing.B) {
	store, err := api.New(filepath.Join(b.TempDir(), "store.db"))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := store.Close(); err != nil {
			b.Error(err)
		}
	})
	keys := benchKeys(scaled(10_000))
	random := newBenchRandom(1)
	items := make([]api.Item, len(keys))
	for i, key := range keys {
		items[i] = api.Item{Group: "all", Key: key, Value: benchValue(random)}
	}
	if err := errors.Join(store.SetAll(items), store.Fold(b.Context())); err != nil {
		b.Fatal(err)
	}
	getAll := func() measurement {
		return hammer(b, 1, func(*benchCaller) (int, error) {
			all, err := store.GetAll("all")
			if len(all) != len(keys) {
				err = errors.Join(err, fmt.Errorf("%d keys", len(all)))
			}
			return 1, err
		})
	}
	ratio(b, "at most 1.5", side{"beside", func() measurement {
		var stop atomic.Bool
		var writers sync.WaitGroup
		for number := range benchCallers {
			writers.Go(func() {
				random := newBenchRandom(uint64(number))
				for !stop.Load() {
					if err := store.Set("all", pick(random, keys), benchValue(random)); err != nil {
						b.Error(err)
						return
					}
				}
			})
		}
		defer func() {
			stop.Store(true)
			writers.Wait()
			if err := store.Fold(b.Context()); err != nil { // what comes next is alone
				b.Error(err)
			}
		}()
		return getAll()
	}}, side{"alone", getAll})
}

// BenchmarkRatio_PageOverWrites compares pages of 100 out of the middle of 100,000 keys, of which
// 10,000 were set since and are not in the table yet, with the same when they are.
func BenchmarkRatio_PageOverWrites(b *testing.B) {
	keys := benchKeys(scaled(manyKeys))
	random := newBenchRandom(1)
	open := func(written bool) side {
		store, err := api.New(filepath.Join(b.TempDir(), "store.db"), api.WithOverlay(256<<20))
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() {
			if err := store.Close(); err != nil {
				b.Error(err)
			}
		})
		items := make([]api.Item, len(keys))
		for i, key := range keys {
			items[i] = api.Item{Group: "all", Key: key, Value: benchValue(random)}
		}
		if err := errors.Join(store.SetAll(items), store.Fold(b.Context())); err != nil {
			b.Fatal(err)
		}
		name := "folded"
		if written {
			name = "written"
			stop := make(chan struct{})
			var writing sync.WaitGroup
			writing.Go(func() { // again and again: a store that rests folds
				for tick := time.Tick(100 * time.Millisecond); ; {
					if err := store.SetAll(items[:len(items)/10]); err != nil {
						b.Error(err)
						return
					}
					select {
					case <-tick:
					case <-stop:
						return
					}
				}
			})
			b.Cleanup(func() { close(stop); writing.Wait() })
		}
		return side{name, func() measurement {
			return hammer(b, 1, func(caller *benchCaller) (int, error) {
				page, err := store.GetPage("all", len(keys)/2+caller.random.IntN(1000), 100)
				if len(page) != 100 {
					err = errors.Join(err, fmt.Errorf("%d keys", len(page)))
				}
				return 1, err
			})
		}}
	}
	ratio(b, "no aim", open(true), open(false))
}

// percentileOfSets is a measurement whose time is the 99th percentile.
func percentileOfSets(b *testing.B, store *api.Store) measurement {
	var mu sync.Mutex
	var all []time.Duration
	hammer(b, benchCallers, func(caller *benchCaller) (int, error) {
		group, key := anyOfMillion(caller.random)
		start := time.Now()
		err := store.Set(group, key, benchValue(caller.random))
		took := time.Since(start)
		mu.Lock()
		all = append(all, took)
		mu.Unlock()
		return 1, err
	})
	slices.Sort(all)
	return measurement{elapsed: percentile(all, 0.99), operations: 1}
}

// BenchmarkRatio_CountAll compares CountAll of a million keys with SQLite's own
// count over the same range: at most 1.2 times as long.
func BenchmarkRatio_CountAll(b *testing.B) {
	path := filepath.Join(b.TempDir(), "store.db")
	store := openMillion(b, path)
	count := openBareReader(b, path).prepare(b, "SELECT count(*) FROM entries WHERE group_name >= 'group-' AND group_name < 'group.'")
	ratio(b, "at most 1.2",
		side{"store", func() measurement {
			return hammer(b, 1, func(*benchCaller) (int, error) { _, err := store.CountAll("group-"); return 1, err })
		}},
		side{"bare", func() measurement {
			return hammer(b, 1, func(*benchCaller) (int, error) {
				if _, err := count.Step(); err != nil {
					return 0, err
				}
				return 1, count.Reset()
			})
		}})
}

// BenchmarkGroups_Million lists 1,000 groups of a million keys: under 20 ms.
func BenchmarkGroups_Million(b *testing.B) {
	store := openMillion(b, filepath.Join(b.TempDir(), "store.db"))
	for b.Loop() {
		groups, err := store.Groups("")
		if err != nil || len(groups) != readGroups {
			b.Fatal(len(groups), err)
		}
	}
}

// BenchmarkOpen_Million opens a file of a million keys: under 50 ms. Closing it
// is not measured.
func BenchmarkOpen_Million(b *testing.B) {
	path := filepath.Join(b.TempDir(), "store.db")
	fillMillion(b, path)
	for b.Loop() {
		store, err := api.New(path)
		if err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		if err := store.Close(); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
}

// BenchmarkZipf_Million reads a million keys as they come in life, with the
// defaults, and says what the process takes: under 200 MB. Run it alone, on a
// file made before (RSS counts what filling took): STORE_BENCH_FILE.
func BenchmarkZipf_Million(b *testing.B) {
	path := os.Getenv("STORE_BENCH_FILE")
	if path == "" {
		path = filepath.Join(b.TempDir(), "store.db")
	}
	if _, err := os.Stat(path); err != nil {
		fillMillion(b, path)
	}
	store, err := api.New(path)
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = store.Close() }()
	each := uint64(max(scaled(million)/readGroups, 1))
	zipf := rand.NewZipf(newBenchRandom(7), 1.01, 1, readGroups*each-1)
	for b.Loop() {
		n := zipf.Uint64()
		if _, err := store.Get(millionGroup(int(n/each)), millionKey(int(n%each))); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(residentMB(b), "RSS-MB")
}

// residentMB is what the process holds of the machine's memory; 0 where the
// system does not say.
func residentMB(b *testing.B) float64 {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(status)) {
		if rest, found := strings.CutPrefix(line, "VmRSS:"); found {
			kB, err := strconv.ParseFloat(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(rest), "kB")), 64)
			if err != nil {
				b.Fatal(err)
			}
			return kB / 1024
		}
	}
	return 0
}
