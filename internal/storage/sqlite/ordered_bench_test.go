package sqlite

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"

	"forge.lthn.ai/core/go-store/internal/testkit"

	"github.com/stretchr/testify/require"
	"zombiezen.com/go/sqlite"
)

// vacuumByStatements puts the rows in order as it is done for tables that are not copied by
// their pages.
func vacuumByStatements(conn *sqlite.Conn, path string) error {
	o, err := orderedOf(conn)
	if err != nil {
		return err
	}
	switch lie, err := o.lie(background, conn); {
	case err != nil:
		return err
	case lie:
		return vacuumInto(conn, path)
	}
	if err := vacuumRest(conn, path); err != nil {
		return err
	}
	if o.rows, err = queryInt(conn, sqlEntriesCount); err != nil {
		return err
	}
	return o.fill(background, conn, path, nil)
}

// BenchmarkCompactInto makes the new file of a compaction: what it costs to put the rows in
// order, by SQLite's statements and as it is done, beside VACUUM INTO alone. cpu-ns/op is
// the processor time of the process.
func BenchmarkCompactInto(b *testing.B) {
	for _, shape := range []struct {
		name string
		rows int
		sort bool
	}{{"random", 100_000, false}, {"random", 400_000, false}, {"random", 1_000_000, false}, {"ordered", 100_000, true}} {
		if testing.Short() && shape.rows > 400_000 {
			continue
		}
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
				{"statements", func(path string) error { return vacuumByStatements(conn, path) }},
				{"order", func(path string) error { return d.compactInto(background, path, nil) }},
			} {
				b.Run(way.name, func(b *testing.B) {
					before := testkit.ProcessorTime()
					for b.Loop() {
						require.NoError(b, way.make(filepath.Join(b.TempDir(), "new")))
					}
					b.ReportMetric(float64(testkit.ProcessorTime()-before)/float64(b.N), "cpu-ns/op")
				})
			}
			require.NoError(b, errors.Join(closing(), d.Close()))
		})
	}
}
