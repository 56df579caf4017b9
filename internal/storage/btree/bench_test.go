//go:build unix

package btree

import (
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"testing"

	"forge.lthn.ai/core/go-store/internal/storage/pages"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
	"zombiezen.com/go/sqlite/sqlitex"
)

// A run's databases, made by the first benchmark that needs them.
var stocked struct {
	sync.Mutex
	by map[stock]*shelf
}

type stock struct {
	rows, size int
	ordered    bool // rows lie in the order of their keys
}

type shelf struct {
	table Table
	index Index
}

const benchGroup = "bench"

func benchKey(i int) string { return fmt.Sprintf("key-%09d", i) }

func (s stock) String() string {
	order := "scattered"
	if s.ordered {
		order = "ordered"
	}
	return fmt.Sprintf("%dx%d/%s", s.rows, s.size, order)
}

func (s stock) get(b *testing.B) *shelf {
	b.Helper()
	stocked.Lock()
	defer stocked.Unlock()
	if f := stocked.by[s]; f != nil {
		return f
	}
	d := create(b, 4096, 0, `CREATE TABLE entries (group_name TEXT NOT NULL, entry_key TEXT NOT NULL, entry_value TEXT NOT NULL,
		expires_at INTEGER, revision INTEGER NOT NULL DEFAULT 1, PRIMARY KEY (group_name, entry_key))`, "PRAGMA cache_size=-400000")
	order := make([]int, s.rows)
	for i := range order {
		order[i] = i
	}
	r := rand.New(rand.NewPCG(1, 2))
	if !s.ordered {
		r.Shuffle(s.rows, func(i, j int) { order[i], order[j] = order[j], order[i] })
	}
	value := make([]byte, s.size)
	for i := range value {
		value[i] = 'a' + byte(r.IntN(26))
	}
	done := sqlitex.Save(d.conn)
	for _, i := range order {
		value[i%s.size]++
		d.insert("INSERT INTO entries VALUES (?, ?, ?, NULL, ?)", benchGroup, benchKey(i), string(value), i)
		value[i%s.size]--
	}
	var err error
	done(&err)
	require.NoError(b, err)
	_, p := d.image()
	p.Source = mapped(b, d.path)
	f := &shelf{table: Table{p, d.root("entries")}, index: Index{p, d.root("sqlite_autoindex_entries_1")}}
	if stocked.by == nil {
		stocked.by = make(map[stock]*shelf)
	}
	stocked.by[s] = f
	return f
}

// mapped is a database in memory that is not the collector's, as it is in use.
func mapped(b *testing.B, path string) *image {
	file, err := os.Open(path)
	require.NoError(b, err)
	defer file.Close()
	info, err := file.Stat()
	require.NoError(b, err)
	data, err := unix.Mmap(int(file.Fd()), 0, int(info.Size()), unix.PROT_READ, unix.MAP_SHARED)
	require.NoError(b, err)
	return &image{data: data, size: 4096}
}

var stocks = []stock{{100_000, 1000, false}, {1_000_000, 100, false}}

// The whole of a point read: the index, the table, and a copy of the value.
func BenchmarkGet(b *testing.B) {
	for _, s := range stocks {
		b.Run(s.String(), func(b *testing.B) {
			f := s.get(b)
			keys := make([]string, 1<<16)
			for i := range keys {
				keys[i] = benchKey(rand.IntN(s.rows))
			}
			b.ReportAllocs()
			b.ResetTimer()
			var record Record
			for i := 0; b.Loop(); i++ {
				rowid, found, err := f.index.Find(benchGroup, keys[i%len(keys)])
				if err != nil || !found {
					b.Fatal(found, err)
				}
				if found, err = f.table.Get(rowid, &record); err != nil || !found {
					b.Fatal(found, err)
				}
				v, err := record.Column(2)
				if err != nil || v.Kind != pages.Text {
					b.Fatal(err)
				}
				if _, err := record.Column(4); err != nil {
					b.Fatal(err)
				}
				kept = append(kept[:0], v.Bytes...)
			}
		})
	}
}

var kept []byte

func BenchmarkFind(b *testing.B) {
	for _, s := range stocks {
		b.Run(s.String(), func(b *testing.B) {
			f := s.get(b)
			keys := make([]string, 1<<16)
			for i := range keys {
				keys[i] = benchKey(rand.IntN(s.rows))
			}
			b.ReportAllocs()
			b.ResetTimer()
			for i := 0; b.Loop(); i++ {
				if _, found, err := f.index.Find(benchGroup, keys[i%len(keys)]); err != nil || !found {
					b.Fatal(found, err)
				}
			}
		})
	}
}

func BenchmarkTableGet(b *testing.B) {
	for _, s := range stocks {
		b.Run(s.String(), func(b *testing.B) {
			f := s.get(b)
			rowids := make([]int64, 1<<16)
			for i := range rowids {
				rowids[i] = 1 + rand.Int64N(int64(s.rows))
			}
			b.ReportAllocs()
			b.ResetTimer()
			var record Record
			for i := 0; b.Loop(); i++ {
				if found, err := f.table.Get(rowids[i%len(rowids)], &record); err != nil || !found {
					b.Fatal(found, err)
				}
			}
		})
	}
}

// Scans of a hundred rows in the order of their keys.
func BenchmarkScan(b *testing.B) {
	const rows = 100
	for _, s := range append(stocks, stock{100_000, 1000, true}, stock{1_000_000, 100, true}) {
		b.Run(s.String(), func(b *testing.B) {
			f := s.get(b)
			var c IndexCursor
			var reader TableReader
			var record Record
			rowids := make([]int64, 0, rows)
			c.Reset(&f.index)
			reader.Reset(&f.table)
			b.ReportAllocs()
			b.ResetTimer()
			for b.Loop() {
				rowids = rowids[:0]
				ok, err := c.SeekGE(Text(benchGroup), Text(benchKey(rand.IntN(s.rows-rows))))
				for ok && len(rowids) < rows {
					_, _, rowid, err := c.Pair()
					if err != nil {
						b.Fatal(err)
					}
					rowids = append(rowids, rowid)
					ok, err = c.Next()
					if err != nil {
						b.Fatal(err)
					}
				}
				if err != nil || len(rowids) < rows {
					b.Fatal(len(rowids), err)
				}
				err = reader.Each(rowids, &record, func(int) error {
					v, err := record.Column(2)
					kept = append(kept[:0], v.Bytes...)
					return err
				})
				if err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/rows, "ns/row")
		})
	}
}

func BenchmarkCount(b *testing.B) {
	f := stocks[1].get(b)
	for b.Loop() {
		if n, err := f.index.Count(nil, nil, nil); err != nil || n != stocks[1].rows {
			b.Fatal(n, err)
		}
	}
}

func BenchmarkSkip(b *testing.B) {
	f := stocks[1].get(b)
	var c IndexCursor
	c.Reset(&f.index)
	for b.Loop() {
		_, _ = c.First()
		if ok, err := c.Skip(stocks[1].rows / 2); err != nil || !ok {
			b.Fatal(ok, err)
		}
	}
}
