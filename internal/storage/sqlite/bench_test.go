package sqlite

import (
	"context"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"testing"

	"forge.lthn.ai/core/go-store/internal/storage"
	"forge.lthn.ai/core/go-store/kv"

	"github.com/stretchr/testify/require"
)

const benchKeys = 100_000

// benchRow is a row of about 100 bytes whose value never repeats.
func benchRow(n uint64) kv.Row {
	return kv.Row{
		Group: "bench", Key: fmt.Sprintf("key-%08d", rand.Uint64N(benchKeys)),
		Value: fmt.Sprintf("%0100d", n), Deadline: kv.NoDeadline,
	}
}

func benchDatabase(b *testing.B, path string) *Database {
	d, err := Open(Config{Path: path})
	require.NoError(b, err)
	b.Cleanup(func() { require.NoError(b, d.Close()) })
	w := d.Writer()
	require.NoError(b, w.Begin())
	for i := range benchKeys {
		row := benchRow(uint64(i))
		row.Key = fmt.Sprintf("key-%08d", i)
		require.NoError(b, w.Upsert(row))
	}
	require.NoError(b, w.Commit())
	return d
}

// BenchmarkCommit is the cost of a row in commits of random upserts, each under
// a savepoint, as the writer actor makes them.
func BenchmarkCommit(b *testing.B) {
	for _, where := range []string{"memory", "file"} {
		for _, batch := range []int{1, 64, 512} {
			b.Run(fmt.Sprintf("%s/batch=%d", where, batch), func(b *testing.B) {
				path := storage.MemoryPath
				if where == "file" {
					path = filepath.Join(b.TempDir(), "bench.db")
				}
				d := benchDatabase(b, path)
				w := d.Writer()
				b.ReportAllocs()
				for n := 0; b.Loop(); n++ {
					if n%batch == 0 {
						if n > 0 {
							require.NoError(b, w.Commit())
						}
						require.NoError(b, w.Begin())
					}
					if err := w.Savepoint(); err != nil {
						b.Fatal(err)
					}
					if err := w.Upsert(benchRow(uint64(n))); err != nil {
						b.Fatal(err)
					}
					if err := w.Release(); err != nil {
						b.Fatal(err)
					}
				}
				require.NoError(b, w.Commit())
			})
		}
	}
}

func BenchmarkGet(b *testing.B) {
	for _, where := range []string{"memory", "file"} {
		b.Run(where, func(b *testing.B) {
			path := storage.MemoryPath
			if where == "file" {
				path = filepath.Join(b.TempDir(), "bench.db")
			}
			reads := benchDatabase(b, path).Reads()
			keys := make([]string, 1<<12)
			for i := range keys {
				keys[i] = benchRow(0).Key
			}
			b.ReportAllocs()
			for n := 0; b.Loop(); n++ {
				if _, found, err := reads.Get(context.Background(), "bench", keys[n%len(keys)]); err != nil || !found {
					b.Fatal(found, err)
				}
			}
		})
	}
}

func BenchmarkScan(b *testing.B) {
	for _, where := range []string{"memory", "file"} {
		b.Run(where, func(b *testing.B) {
			path := storage.MemoryPath
			if where == "file" {
				path = filepath.Join(b.TempDir(), "bench.db")
			}
			reads := benchDatabase(b, path).Reads()
			b.ReportAllocs()
			for b.Loop() {
				n := 0
				for _, err := range reads.Scan(context.Background(), storage.GroupQuery("bench"), 0) {
					if err != nil {
						b.Fatal(err)
					}
					n++
				}
				require.Equal(b, benchKeys, n)
			}
		})
	}
}

// BenchmarkSnapshot is what a transaction costs its reads: 64 callers each open
// a snapshot, look two keys up and close it, alone or beside a writer.
func BenchmarkSnapshot(b *testing.B) {
	for _, writing := range []bool{false, true} {
		b.Run(fmt.Sprintf("file/writing=%t", writing), func(b *testing.B) {
			d := benchDatabase(b, filepath.Join(b.TempDir(), "bench.db"))
			ended, quit := make(chan struct{}), make(chan struct{})
			go func() {
				defer close(ended)
				for n := uint64(0); writing; n++ {
					select {
					case <-quit:
						return
					default:
						_ = write(d, benchRow(n))
					}
				}
			}()
			b.SetParallelism(32)
			b.ReportAllocs()
			b.ResetTimer()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					s, err := d.Snapshot(context.Background())
					if err != nil {
						b.Error(err)
						return
					}
					for range 2 {
						if _, _, err := s.Get(context.Background(), "bench", fmt.Sprintf("key-%08d", rand.Uint64N(benchKeys))); err != nil {
							b.Error(err)
						}
					}
					s.Close()
				}
			})
			b.StopTimer()
			close(quit)
			<-ended
		})
	}
}
