package sqlite

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
)

// BenchmarkOwnership is what looking after the files adds to a commit: beside a
// durable commit of one row, which has it too.
func BenchmarkOwnership(b *testing.B) {
	d := openWith(b, Config{Path: temporary(b)})
	w := fileOf(d)
	b.Run("looking", func(b *testing.B) {
		for range b.N {
			require.NoError(b, w.guard.Before())
			w.guard.Committed(false)
			w.last = 1 << 40
			w.acknowledge()
		}
	})
	b.Run("commit", func(b *testing.B) {
		for i := range b.N {
			require.NoError(b, write(d, row("g", fmt.Sprint(i%1000), fmt.Sprint(i))))
		}
	})
}
