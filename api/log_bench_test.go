package api_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"testing"

	"forge.lthn.ai/core/go-store/api"
	"forge.lthn.ai/core/go-store/engine"
	"forge.lthn.ai/core/go-store/internal/storage"
	"forge.lthn.ai/core/go-store/kv"
)

// unlogged has a store keep no log. Its revisions would not outlive it, so that only what
// is measured here has it.
func unlogged(c *engine.Config) error {
	c.Writer = func(writer storage.Writer) storage.Writer { return withoutLog{writer} }
	return nil
}

// withoutLog is a database whose log takes everything and keeps nothing.
type withoutLog struct{ storage.Writer }

func (withoutLog) AppendLog(kv.LogRow, int64) error { return nil }
func (withoutLog) TrimLog(uint64) error             { return nil }

// BenchmarkRatio_Log compares Sets with those of a store that keeps no log.
func BenchmarkRatio_Log(b *testing.B) {
	for _, each := range []struct {
		name    string
		path    string
		callers int
		want    string
	}{
		{"DurableSet/callers=64", "", benchCallers, "at most 1.18 (0.85 times the rate)"},
		{"DurableSet/callers=1", "", 1, "as little as possible"},
		{"MemorySet/callers=64", ":memory:", benchCallers, "as little as possible"},
		{"MemorySet/callers=1", ":memory:", 1, "as little as possible"},
	} {
		b.Run(each.name, func(b *testing.B) {
			keys := benchKeys(scaled(manyKeys))
			var sides []side
			for _, design := range []benchDesign{
				{"logged", func(path string) (benchStore, error) { return api.New(path) }},
				{"unlogged", func(path string) (benchStore, error) { return api.New(path, unlogged) }},
			} {
				call := setRandom(openBench(b, design, each.path, keys), keys)
				sides = append(sides, side{design.name, func() measurement { return hammer(b, each.callers, call) }})
			}
			ratio(b, each.want, sides[0], sides[1])
		})
	}
}

// BenchmarkLog_FileSize says what the log adds to the file of a store that
// 100,000 values of 100 bytes were written into by 64 callers, with the least
// history and with more than that.
func BenchmarkLog_FileSize(b *testing.B) {
	keys := benchKeys(scaled(manyKeys))
	for b.Loop() {
		var sizes []float64
		for _, history := range []api.Retention{{Revisions: 1}, {}} {
			path := filepath.Join(b.TempDir(), "size.db")
			store, err := api.New(path, api.WithHistory(history))
			if err != nil {
				b.Fatal(err)
			}
			fillBench(b, store, benchGroup, keys)
			if err := store.Close(); err != nil {
				b.Fatal(err)
			}
			info, err := os.Stat(path)
			if err != nil {
				b.Fatal(err)
			}
			sizes = append(sizes, float64(info.Size()))
		}
		b.ReportMetric(sizes[0]/float64(len(keys)), "B/key")
		b.ReportMetric((sizes[1]-sizes[0])/float64(len(keys)), "log-B/key")
	}
	b.ReportMetric(0, "ns/op")
}

// BenchmarkRatio_Transaction compares transactions of two reads and two writes
// with plain batches of two writes.
func BenchmarkRatio_Transaction(b *testing.B) {
	for _, each := range []struct {
		name string
		path string
		keys int
		want string
	}{
		{"Durable/keys=100000", "", manyKeys, "at most 2 (0.5 times the rate)"},
		{"Durable/keys=10", "", 10, "progress"},
		{"Memory/keys=100000", ":memory:", manyKeys, "as little as possible"},
	} {
		b.Run(each.name, func(b *testing.B) {
			keys := benchKeys(each.keys)
			if each.keys > 10 {
				keys = benchKeys(scaled(each.keys))
			}
			transacted := openBench(b, benchDesigns[0], each.path, keys).(*api.Store)
			batched := openBench(b, benchDesigns[0], each.path, keys).(*api.Store)
			var gaveUp, done atomic.Int64
			ratio(b, each.want,
				side{"transaction", func() measurement {
					return hammer(b, benchCallers, func(caller *benchCaller) (int, error) {
						done.Add(1)
						err := transact(transacted, caller, pick(caller.random, keys), pick(caller.random, keys))
						var conflict *api.ConflictError
						if errors.As(err, &conflict) {
							gaveUp.Add(1)
							return 0, nil
						}
						return 1, err
					})
				}},
				side{"batch", func() measurement {
					return hammer(b, benchCallers, func(caller *benchCaller) (int, error) {
						_, err := batched.Batch(new(api.Batch).
							Set(benchGroup, pick(caller.random, keys), benchValue(caller.random)).
							Set(benchGroup, pick(caller.random, keys), benchValue(caller.random)))
						return 1, err
					})
				}})
			b.ReportMetric(float64(transacted.Conflicts())/float64(done.Load()), "conflicts/transaction")
			b.ReportMetric(float64(gaveUp.Load())/float64(done.Load()), "given-up/transaction")
		})
	}
}

// transact reads two keys and writes both.
func transact(store *api.Store, caller *benchCaller, one, other string) error {
	return store.Transaction(func(tx *api.Transaction) error {
		for _, key := range []string{one, other} {
			if _, err := tx.Get(benchGroup, key); err != nil {
				return err
			}
		}
		return errors.Join(
			tx.Set(benchGroup, one, benchValue(caller.random)),
			tx.Set(benchGroup, other, benchValue(caller.random)))
	})
}

// BenchmarkIncrement_Hot counts on one key by 64 callers: what conditional
// writes can be spared by.
func BenchmarkIncrement_Hot(b *testing.B) {
	store := openBench(b, benchDesigns[0], ":memory:", nil).(*api.Store)
	b.SetParallelism(benchCallers / 2)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := store.Increment("hot", "key", 1); err != nil {
				b.Error(err)
				return
			}
		}
	})
	if value, err := store.Get("hot", "key"); err != nil || value != strconv.Itoa(b.N) {
		b.Error(fmt.Sprint("it counted ", value, " of ", b.N, ": "), err)
	}
}
