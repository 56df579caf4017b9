package sqlite

import (
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"strings"
	"testing"

	"forge.lthn.ai/core/go-store/kv"

	"github.com/stretchr/testify/require"
	"zombiezen.com/go/sqlite"
)

// filled is a file with so many rows of a hundred bytes.
func filled(b *testing.B, n int) string {
	path := temporary(b)
	d := openWith(b, Config{Path: path, Durability: kv.DurabilityBuffered})
	rows := numbered("g", n)
	for i := range rows {
		rows[i].Value = strings.Repeat("v", 100)
	}
	require.NoError(b, write(d, rows...))
	require.NoError(b, d.Close())
	return path
}

// BenchmarkDistrust: what the settings for files of strangers cost a lookup that finds
// no page in the cache, and a walk through everything.
func BenchmarkDistrust(b *testing.B) {
	path := filled(b, 100_000)
	for _, c := range []struct {
		name   string
		pragma string
		effort bool
	}{{"off", "PRAGMA cell_size_check = OFF", false}, {"cells", "PRAGMA cell_size_check = ON", false}, {"cells+effort", "PRAGMA cell_size_check = ON", true}} {
		conn, err := openConnection(path, sqlite.OpenReadOnly, []string{c.pragma, "PRAGMA cache_size = 10"}, nil)
		require.NoError(b, err)
		if c.effort {
			_, err = boundEffort(conn, path)
			require.NoError(b, err)
		}
		get, err := conn.Prepare(sqlGet)
		require.NoError(b, err)
		require.NoError(b, execute(conn, "BEGIN"))
		b.Run("get/"+c.name, func(b *testing.B) {
			random := rand.New(rand.NewPCG(1, 2))
			for b.Loop() {
				_, found, err := getRow(get, "g", fmt.Sprintf("%06d", random.IntN(100_000)))
				if err != nil || !found {
					b.Fatal(found, err)
				}
			}
		})
		b.Run("scan/"+c.name, func(b *testing.B) {
			for b.Loop() {
				if n, err := queryInt(conn, "SELECT total(octet_length(entry_value)) FROM entries NOT INDEXED"); err != nil || n != 10_000_000 {
					b.Fatal(n, err)
				}
			}
		})
		require.NoError(b, conn.Close())
	}
}

// BenchmarkOpenConnection: what they cost when a connection is opened.
func BenchmarkOpenConnection(b *testing.B) {
	path := filled(b, 100)
	b.Run("plain", func(b *testing.B) {
		for b.Loop() {
			conn, err := sqlite.OpenConn(path, sqlite.OpenReadOnly)
			require.NoError(b, err)
			require.NoError(b, conn.Close())
		}
	})
	b.Run("distrusting", func(b *testing.B) {
		for b.Loop() {
			conn, err := openConnection(path, sqlite.OpenReadOnly, nil, nil)
			require.NoError(b, err)
			require.NoError(b, conn.Close())
		}
	})
	b.Run("schema", func(b *testing.B) {
		conn, err := openConnection(path, sqlite.OpenReadOnly, nil, nil)
		require.NoError(b, err)
		defer conn.Close()
		for b.Loop() {
			require.NoError(b, checkOurSchema(path, conn))
		}
	})
}

// BenchmarkValueChecksum: what a checksum of each row in a column of its own would cost
// (docs/adr/0047).
func BenchmarkValueChecksum(b *testing.B) {
	sum := func(group, key, value string) int64 {
		s := crc32.Update(0, castagnoli, []byte(group))
		s = crc32.Update(s, castagnoli, []byte(key))
		return int64(crc32.Update(s, castagnoli, []byte(value)))
	}
	for _, with := range []bool{false, true} {
		path := filled(b, 0)
		conn, err := openConnection(path, sqlite.OpenReadWrite, pragmas(writing, kv.DurabilityBuffered, writerCacheKiB), nil)
		require.NoError(b, err)
		require.NoError(b, execute(conn, "PRAGMA journal_mode = WAL"))
		upsert, get := sqlUpsert, sqlGet
		if with {
			require.NoError(b, execute(conn, "ALTER TABLE entries ADD COLUMN sum INTEGER"))
			upsert = strings.NewReplacer("expires_at, revision)", "expires_at, revision, sum)", "?4, ?5)", "?4, ?5, ?6)",
				"revision = excluded.revision", "revision = excluded.revision, sum = excluded.sum").Replace(upsert)
			get = strings.Replace(get, "revision FROM", "revision, sum FROM", 1)
		}
		set, err := conn.Prepare(upsert)
		require.NoError(b, err)
		look, err := conn.Prepare(get)
		require.NoError(b, err)
		value := strings.Repeat("v", 100)
		put := func(n int) {
			r := row("g", fmt.Sprintf("%06d", n*7919%50_000), value[:90]+fmt.Sprintf("%010d", n))
			bindRow(set, r)
			if with {
				set.BindInt64(6, sum(r.Group, r.Key, r.Value))
			}
			if err := run(set); err != nil {
				b.Fatal(err)
			}
		}
		require.NoError(b, execute(conn, "BEGIN"))
		for n := range 50_000 {
			put(n)
		}
		require.NoError(b, execute(conn, "COMMIT"))
		pages, err := queryInt(conn, "SELECT page_count FROM pragma_page_count")
		require.NoError(b, err)
		b.Run(fmt.Sprintf("set/sum=%t", with), func(b *testing.B) {
			require.NoError(b, execute(conn, "BEGIN"))
			n := 0
			for b.Loop() {
				if n++; n%64 == 0 {
					require.NoError(b, execute(conn, "COMMIT"))
					require.NoError(b, execute(conn, "BEGIN"))
				}
				put(n)
			}
			require.NoError(b, execute(conn, "COMMIT"))
			b.ReportMetric(float64(pages*filePageSize)/50_000, "bytes/row")
		})
		b.Run(fmt.Sprintf("get/sum=%t", with), func(b *testing.B) {
			random := rand.New(rand.NewPCG(1, 2))
			require.NoError(b, execute(conn, "BEGIN"))
			for b.Loop() {
				key := fmt.Sprintf("%06d", random.IntN(50_000))
				look.BindText(1, "g")
				look.BindText(2, key)
				if found, err := look.Step(); err != nil || !found {
					b.Fatal(found, err)
				}
				text := look.ColumnText(0)
				if with && look.ColumnInt64(3) != sum("g", key, text) {
					b.Fatal("the sum is another")
				}
				if err := look.Reset(); err != nil {
					b.Fatal(err)
				}
			}
			require.NoError(b, execute(conn, "COMMIT"))
		})
		require.NoError(b, conn.Close())
	}
}
