package api_test

import (
	"context"
	"database/sql"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"forge.lthn.ai/core/go-store/api"

	"github.com/stretchr/testify/require"
)

// BenchmarkRatio_Backup compares a backup of 1,000,000 keys of 100 bytes, beside
// 64 writers, with VACUUM INTO of the same file while it is idle, and the writers'
// 99th percentile during it with that without it. Targets: at most 2, both.
//
//	go test ./api -run '^$' -bench Ratio_Backup -benchtime 3x
func BenchmarkRatio_Backup(b *testing.B) {
	keys := benchKeys(scaled(1_000_000))
	path := filepath.Join(b.TempDir(), "store.db")
	store, err := api.New(path)
	require.NoError(b, err)
	for begin := 0; begin < len(keys); begin += 50_000 {
		random := newBenchRandom(uint64(begin))
		var items []api.Item
		for _, key := range keys[begin:min(begin+50_000, len(keys))] {
			items = append(items, api.Item{Group: benchGroup, Key: key, Value: benchValue(random)})
		}
		require.NoError(b, store.SetAll(items))
	}
	require.NoError(b, store.Close())

	var vacuum, backup, alone, beside []float64
	for b.Loop() {
		vacuum = append(vacuum, vacuumInto(b, path, filepath.Join(b.TempDir(), "vacuum.db")).Seconds())
		store, err := api.New(path)
		require.NoError(b, err)
		stop := writeFor(b, store, keys)
		time.Sleep(warmUp) // until the WAL has its size
		stop()
		stop = writeFor(b, store, keys)
		time.Sleep(time.Duration(vacuum[len(vacuum)-1] * float64(time.Second)))
		alone = append(alone, stop())
		stop = writeFor(b, store, keys)
		begin := time.Now()
		require.NoError(b, store.Backup(context.Background(), filepath.Join(b.TempDir(), "backup.db")))
		backup = append(backup, time.Since(begin).Seconds())
		beside = append(beside, stop())
		require.NoError(b, store.Close())
	}
	median := func(values []float64) float64 {
		slices.Sort(values)
		return values[len(values)/2]
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(median(vacuum), "s-vacuum")
	b.ReportMetric(median(backup), "s-backup")
	b.ReportMetric(median(alone)*1e3, "ms-p99-alone")
	b.ReportMetric(median(beside)*1e3, "ms-p99-beside")
	b.ReportMetric(median(backup)/median(vacuum), "backup/vacuum")
	b.ReportMetric(median(beside)/median(alone), "p99-ratio")
	b.Logf("want at most 2: backup %v of vacuum %v; p99 beside %v of alone %v", backup, vacuum, beside, alone)
}

// writeFor has 64 callers overwrite random keys until stop, which says the 99th
// percentile of how long a Set took, in seconds.
func writeFor(b *testing.B, store *api.Store, keys []string) (stop func() float64) {
	b.Helper()
	done := make(chan struct{})
	var writers sync.WaitGroup
	times := make([][]float64, benchCallers)
	for w := range benchCallers {
		writers.Go(func() {
			random := newBenchRandom(uint64(w))
			for {
				select {
				case <-done:
					return
				default:
				}
				begin := time.Now()
				if err := store.Set(benchGroup, pick(random, keys), benchValue(random)); err != nil {
					b.Error(err)
					return
				}
				times[w] = append(times[w], time.Since(begin).Seconds())
			}
		})
	}
	return func() float64 {
		close(done)
		writers.Wait()
		all := slices.Sorted(slices.Values(slices.Concat(times...)))
		if len(all) == 0 {
			b.Fatal("nothing was written")
		}
		b.Logf("%s sets, p50 %.2f ms, p99 %.2f ms, worst %.1f ms", strconv.Itoa(len(all)), all[len(all)/2]*1e3, all[len(all)*99/100]*1e3, all[len(all)-1]*1e3)
		return all[len(all)*99/100]
	}
}

// vacuumInto has SQLite copy an idle database.
func vacuumInto(b *testing.B, from, to string) time.Duration {
	b.Helper()
	database, err := sql.Open("sqlite", from)
	require.NoError(b, err)
	defer func() { require.NoError(b, database.Close()) }()
	require.NoError(b, database.Ping())
	begin := time.Now()
	_, err = database.Exec("VACUUM INTO ?", to)
	require.NoError(b, err)
	return time.Since(begin)
}
