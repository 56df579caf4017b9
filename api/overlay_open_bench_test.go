package api_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"forge.lthn.ai/core/go-store/api"
	"forge.lthn.ai/core/go-store/internal/testkit"
)

// BenchmarkOpenBehindOverlay opens what a process has left that was killed while 32 MiB of its
// overlay were not in the table: with an overlay, which loads it, and without, where it is
// folded first. The aim is less than a second, to the first Get.
func BenchmarkOpenBehindOverlay(b *testing.B) {
	left := filepath.Join(b.TempDir(), "left.db")
	unfolded, rows := killedWithUnfolded(b, left, 32<<20)
	for name, option := range map[string]api.Option{"overlay": api.WithOverlay(32 << 20), "table": api.WithOverlay(0)} {
		b.Run(name, func(b *testing.B) {
			var took, longest time.Duration
			for i := range b.N {
				path := filepath.Join(b.TempDir(), fmt.Sprint(i, ".db"))
				copyStore(b, left, path)
				began := time.Now()
				store, err := api.New(path, option)
				require.NoError(b, err)
				value, err := store.Get("g", fmt.Sprintf("%016d", rows-1))
				once := time.Since(began)
				require.NoError(b, err)
				require.NotEmpty(b, value)
				took, longest = took+once, max(longest, once)
				require.NoError(b, store.Close())
			}
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(float64(took.Microseconds())/1000/float64(b.N), "ms/open")
			b.ReportMetric(float64(longest.Microseconds())/1000, "ms/longest")
			b.ReportMetric(float64(unfolded)/(1<<20), "MiB")
			b.ReportMetric(float64(rows), "rows")
		})
	}
}

// killedWithUnfolded leaves at a path what a process would that is killed when so many bytes
// are not in the table.
func killedWithUnfolded(b *testing.B, path string, bytes int64) (unfolded int64, rows int) {
	b.Helper()
	owned := filepath.Join(b.TempDir(), "owned.db")
	// A clock that stands still: the store never rests.
	store, err := api.New(owned, api.WithOverlay(4*bytes), api.WithClock(testkit.NewClock()))
	require.NoError(b, err)
	defer func() { require.NoError(b, store.Close()) }()
	for unfolded < bytes {
		batch := make([]api.Item, 0, 500)
		for range cap(batch) {
			batch = append(batch, api.Item{Group: "g", Key: fmt.Sprintf("%016d", rows), Value: fmt.Sprintf("%08d", rows) + strings.Repeat("v", 92)})
			rows++
		}
		require.NoError(b, store.SetAll(batch))
		unfolded = store.Health().Unfolded
	}
	copyStore(b, owned, path)
	return unfolded, rows
}

// copyStore copies the files of a store as they lie there. The log first: a checkpoint may
// move it into the database meanwhile, but nothing is taken from it while no caller writes.
func copyStore(b *testing.B, from, to string) {
	b.Helper()
	for _, suffix := range []string{"-wal", "", "-lock"} {
		content, err := os.ReadFile(from + suffix)
		require.NoError(b, err)
		require.NoError(b, os.WriteFile(to+suffix, content, 0o600))
	}
}
