package api_test

import (
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"forge.lthn.ai/core/go-store/api"
)

// BenchmarkMetrics does the same to a store that counts and to one that does not, in turn, some
// tens of microseconds each: whatever else the machine does, it does to both. It reports the
// medians of the rounds, in nanoseconds an operation, and the median of the differences within
// a round.
func BenchmarkMetrics(b *testing.B) {
	inMemory := func(testing.TB) string { return ":memory:" }
	inFile := func(t testing.TB) string { return filepath.Join(t.TempDir(), "store.db") }
	get := func(store *api.Store, n int) error {
		_, err := store.Get("g", "k")
		return err
	}
	set := func(store *api.Store, n int) error { return store.Set("g", "k", strconv.Itoa(n)) }
	next := 0
	setMany := func(store *api.Store, n int) error {
		next++
		return store.Set("g", strconv.Itoa(next%20_000/2), strconv.Itoa(next))
	}
	for _, bench := range []struct {
		name  string
		path  func(testing.TB) string
		do    func(*api.Store, int) error
		chunk int
	}{
		{"get=hot/file", inFile, get, 2000},
		{"get=hot/memory", inMemory, get, 2000},
		{"set=one/memory", inMemory, set, 20},
		{"set=many/memory", inMemory, setMany, 20},
		{"set=one/file", inFile, set, 5},
	} {
		b.Run(bench.name, func(b *testing.B) {
			plain, err := api.New(bench.path(b))
			require.NoError(b, err)
			defer plain.Close()
			counting, err := api.New(bench.path(b), api.WithMetrics())
			require.NoError(b, err)
			defer counting.Close()
			var off, on, more []float64
			measure := func(store *api.Store) float64 {
				began := time.Now()
				for n := range bench.chunk {
					if err := bench.do(store, n); err != nil {
						b.Fatal(err)
					}
				}
				return float64(time.Since(began)) / float64(bench.chunk)
			}
			for _, store := range []*api.Store{plain, counting} {
				require.NoError(b, store.Set("g", "k", "v"))
				for range 20 { // warm, and beyond what is measured first
					measure(store)
				}
			}
			b.ResetTimer()
			for round := 0; b.Loop(); round++ {
				first, second := plain, counting
				if round%2 == 1 {
					first, second = counting, plain
				}
				x, y := measure(first), measure(second)
				if round%2 == 1 {
					x, y = y, x
				}
				off, on, more = append(off, x), append(on, y), append(more, y-x)
			}
			b.ReportMetric(median(off), "off-ns")
			b.ReportMetric(median(on), "on-ns")
			b.ReportMetric(median(more), "more-ns")
			b.ReportMetric(100*median(more)/median(off), "more-%")
			b.ReportMetric(0, "ns/op")
		})
	}
}

func median(all []float64) float64 {
	slices.Sort(all)
	return all[len(all)/2]
}
