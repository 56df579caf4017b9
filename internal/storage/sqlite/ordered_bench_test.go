package sqlite

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// BenchmarkCompactInto makes the new file of a compaction: what it costs to put the rows in
// order, beside VACUUM INTO alone.
func BenchmarkCompactInto(b *testing.B) {
	for _, shape := range []struct {
		name string
		rows int
		sort bool
	}{{"random", 100_000, false}, {"random", 400_000, false}, {"ordered", 100_000, true}} {
		b.Run(fmt.Sprintf("%s=%d", shape.name, shape.rows), func(b *testing.B) {
			path := temporary(b)
			d := open(b, path)
			keys := rand.New(rand.NewPCG(1, 2)).Perm(shape.rows)
			w := d.Writer()
			require.NoError(b, w.Begin())
			for i, key := range keys {
				if shape.sort {
					key = i
				}
				if err := w.Upsert(row("g", fmt.Sprintf("key %09d", key), strings.Repeat("v", 100))); err != nil {
					b.Fatal(err)
				}
			}
			require.NoError(b, w.Commit())
			conn, closing, err := d.openAside(background)
			require.NoError(b, err)
			require.NoError(b, execute(conn, "PRAGMA query_only = OFF"))
			for _, way := range []struct {
				name string
				make func(path string) error
			}{
				{"vacuum", func(path string) error { return vacuumInto(conn, path) }},
				{"order", func(path string) error { return d.compactInto(background, path, nil) }},
			} {
				b.Run(way.name, func(b *testing.B) {
					for b.Loop() {
						require.NoError(b, way.make(filepath.Join(b.TempDir(), "new")))
					}
				})
			}
			require.NoError(b, errors.Join(closing(), d.Close()))
		})
	}
}
