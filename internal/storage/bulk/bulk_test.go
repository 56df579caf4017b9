package bulk

import (
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"forge.lthn.ai/core/go-store/internal/storage/pages"

	"github.com/stretchr/testify/require"
	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"
)

const schema = `CREATE TABLE entries (g TEXT NOT NULL, k TEXT NOT NULL, v BLOB, d INTEGER, PRIMARY KEY (g, k));
	CREATE INDEX deadlines ON entries (d) WHERE d IS NOT NULL;`

// empty makes a database with pages of that size, of which so many bytes are reserved.
func empty(t testing.TB, size, reserved int, script string) (path string) {
	path = filepath.Join(t.TempDir(), "test.db")
	run(t, path, fmt.Sprintf("PRAGMA page_size = %d; VACUUM; CREATE TABLE t (x); DROP TABLE t; VACUUM;", size))
	if reserved > 0 {
		data, err := os.ReadFile(path)
		require.NoError(t, err)
		require.Len(t, data, size, "one page")
		usable := size - reserved
		data[20], data[105], data[106] = byte(reserved), byte(usable>>8), byte(usable)
		require.NoError(t, os.WriteFile(path, data, 0o600))
	}
	run(t, path, script)
	return path
}

func run(t testing.TB, path, script string) {
	t.Helper()
	conn, err := sqlite.OpenConn(path, sqlite.OpenReadWrite|sqlite.OpenCreate)
	require.NoError(t, err)
	for statement := range strings.SplitSeq(script, ";") {
		if statement = strings.TrimSpace(statement); statement != "" {
			require.NoError(t, sqlitex.ExecuteTransient(conn, statement, nil), statement)
		}
	}
	require.NoError(t, conn.Close())
}

func ask(t testing.TB, path, sql string) (rows []string) {
	t.Helper()
	conn, err := sqlite.OpenConn(path, sqlite.OpenReadWrite)
	require.NoError(t, err)
	require.NoError(t, sqlitex.ExecuteTransient(conn, sql, &sqlitex.ExecOptions{ResultFunc: func(stmt *sqlite.Stmt) error {
		var columns []string
		for i := range stmt.ColumnCount() {
			columns = append(columns, stmt.ColumnText(i))
		}
		rows = append(rows, strings.Join(columns, "|"))
		return nil
	}}))
	require.NoError(t, conn.Close())
	return rows
}

func root(t testing.TB, path, name string) (number uint32) {
	t.Helper()
	rows := ask(t, path, fmt.Sprintf("SELECT rootpage FROM sqlite_schema WHERE name = '%s'", name))
	require.Len(t, rows, 1)
	_, err := fmt.Sscan(rows[0], &number)
	require.NoError(t, err)
	return number
}

type entry struct {
	g, k, v string
	d       int64 // 0: none
}

func (e *entry) String() string {
	d := ""
	if e.d != 0 {
		d = fmt.Sprint(e.d)
	}
	return fmt.Sprintf("%s|%s|%s|%s", e.g, e.k, e.v, d)
}

func text(s string) pages.Value   { return pages.Value{Kind: pages.Text, Bytes: []byte(s)} }
func integer(n int64) pages.Value { return pages.Value{Kind: pages.Integer, Int: n} }
func nullOr(n int64) (v pages.Value) {
	if n != 0 {
		v = integer(n)
	}
	return v
}

// load writes entries, which are in order.
func load(t testing.TB, path string, entries []entry) {
	t.Helper()
	tableRoot, keyRoot, deadlineRoot := root(t, path, "entries"), root(t, path, "sqlite_autoindex_entries_1"), root(t, path, "deadlines")
	f, err := Open(path)
	require.NoError(t, err)
	table, keys, deadlines := f.Table(tableRoot), f.Index(keyRoot), f.Index(deadlineRoot)
	var mortal [][2]int64
	for i, e := range entries {
		rowid := int64(i + 1)
		require.NoError(t, table.Add(rowid, AppendRecord(nil, text(e.g), text(e.k), text(e.v), nullOr(e.d))))
		require.NoError(t, keys.Add(AppendRecord(nil, text(e.g), text(e.k), integer(rowid))))
		if e.d != 0 {
			mortal = append(mortal, [2]int64{e.d, rowid})
		}
	}
	slices.SortFunc(mortal, func(a, b [2]int64) int { return slices.Compare(a[:], b[:]) })
	for _, m := range mortal {
		require.NoError(t, deadlines.Add(AppendRecord(nil, integer(m[0]), integer(m[1]))))
	}
	require.NoError(t, table.Close())
	require.NoError(t, keys.Close())
	require.NoError(t, deadlines.Close())
	require.NoError(t, f.Finish())
	require.NoError(t, f.Close())
}

// sound compares what SQLite finds in a file with what was written.
func sound(t testing.TB, path string, entries []entry) {
	t.Helper()
	var want []string
	for i := range entries {
		want = append(want, entries[i].String())
	}
	require.Equal(t, []string{"ok"}, ask(t, path, "PRAGMA integrity_check"))
	require.Equal(t, want, ask(t, path, "SELECT g, k, v, d FROM entries NOT INDEXED ORDER BY rowid"))
	require.Equal(t, want, ask(t, path, "SELECT g, k, v, d FROM entries INDEXED BY sqlite_autoindex_entries_1 ORDER BY g, k"))
	require.Equal(t, ask(t, path, "SELECT d, rowid FROM entries NOT INDEXED WHERE d IS NOT NULL ORDER BY +d, +rowid"),
		ask(t, path, "SELECT d, rowid FROM entries INDEXED BY deadlines WHERE d IS NOT NULL ORDER BY d, rowid"))
	for _, e := range entries[:min(len(entries), 50)] {
		require.Equal(t, []string{e.v}, ask(t, path, fmt.Sprintf("SELECT v FROM entries WHERE g = '%s' AND k = '%s'", e.g, e.k)))
	}
}

// random are entries of all sizes, in order.
func random(r *rand.Rand, n, most int) (entries []entry) {
	seen := map[string]bool{}
	for range n {
		size := r.IntN(40)
		if r.IntN(20) == 0 {
			size = r.IntN(most)
		}
		e := entry{g: fmt.Sprint(r.IntN(5)), k: fmt.Sprintf("%08d", r.IntN(10*n)) + strings.Repeat("k", r.IntN(1+size)), v: strings.Repeat("v", r.IntN(size+1))}
		if r.IntN(3) == 0 {
			e.d = r.Int64() >> r.IntN(64)
		}
		if !seen[e.g+"|"+e.k] {
			entries = append(entries, e)
		}
		seen[e.g+"|"+e.k] = true
	}
	slices.SortFunc(entries, func(a, b entry) int { return strings.Compare(a.g+"|"+a.k, b.g+"|"+b.k) })
	return entries
}

func TestWhatIsWrittenIsSQLites(t *testing.T) {
	for _, size := range []int{512, 1024, 4096, 16384, 65536} {
		for _, reserved := range []int{0, 8, 255} {
			if size-reserved < 480 {
				reserved = 32
			}
			t.Run(fmt.Sprintf("%d-%d", size, reserved), func(t *testing.T) {
				r := rand.New(rand.NewPCG(uint64(size), uint64(reserved)))
				path := empty(t, size, reserved, schema)
				entries := random(r, 50+min(800, 1<<21/size), 3*size)
				load(t, path, entries)
				sound(t, path, entries)
				// It is a database as any other.
				run(t, path, "DELETE FROM entries WHERE rowid % 3 = 0; INSERT INTO entries (g, k, v, d) SELECT g || 'x', k, v, d FROM entries; PRAGMA incremental_vacuum;")
				require.Equal(t, []string{"ok"}, ask(t, path, "PRAGMA integrity_check"))
			})
		}
	}
}

// However many entries there are, no page is empty: trees of every size from none on, whose
// levels end wherever they can.
func TestTreesOfEverySize(t *testing.T) {
	var entries []entry
	for i := range 1200 {
		entries = append(entries, entry{g: "g", k: fmt.Sprintf("%090d", i), d: int64(i + 1)})
	}
	for n := 0; n <= len(entries); n += 1 + n/12 {
		path := empty(t, 512, 0, schema)
		load(t, path, entries[:n])
		require.Equal(t, []string{"ok"}, ask(t, path, "PRAGMA integrity_check"), n)
		require.Equal(t, []string{fmt.Sprint(n)}, ask(t, path, "SELECT count(*) FROM entries INDEXED BY sqlite_autoindex_entries_1"))
		require.Equal(t, []string{fmt.Sprint(n)}, ask(t, path, "SELECT count(*) FROM entries NOT INDEXED"))
		require.Equal(t, []string{fmt.Sprint(n)}, ask(t, path, "SELECT count(*) FROM entries WHERE d > 0"))
	}
}

// Payloads about the sizes at which they don't fit into a cell any more.
func TestPayloadsAtEveryThreshold(t *testing.T) {
	const size = 512
	var entries []entry
	for _, about := range []int{pages.MostInIndex(size), size - 35, size, 2*size - 4, 3*size - 8, 10 * size} {
		for n := about - 40; n < about+40; n++ {
			entries = append(entries, entry{g: "g", k: fmt.Sprintf("%06d", n) + strings.Repeat("k", n-6), v: ""},
				entry{g: "v", k: fmt.Sprintf("%06d", n), v: strings.Repeat("v", n)})
		}
	}
	slices.SortFunc(entries, func(a, b entry) int { return strings.Compare(a.g+a.k, b.g+b.k) })
	entries = slices.Compact(entries)
	path := empty(t, size, 0, schema)
	load(t, path, entries)
	sound(t, path, entries)
}

func TestRecordsAreSQLites(t *testing.T) {
	numbers := []int64{math.MinInt64, math.MaxInt64, 0, 1, -1, 2}
	for shift := range 63 {
		numbers = append(numbers, 1<<shift, 1<<shift-1, -1<<shift, -1<<shift-1)
	}
	slices.Sort(numbers)
	numbers = slices.Compact(numbers)
	path := empty(t, 4096, 0, "CREATE TABLE n (n INTEGER); CREATE INDEX by_n ON n (n)")
	tableRoot, indexRoot := root(t, path, "n"), root(t, path, "by_n")
	f, err := Open(path)
	require.NoError(t, err)
	table, index := f.Table(tableRoot), f.Index(indexRoot)
	for _, n := range numbers {
		require.NoError(t, table.Add(n, AppendRecord(nil, integer(n))))
		require.NoError(t, index.Add(AppendRecord(nil, integer(n), integer(n))))
	}
	require.NoError(t, table.Close())
	require.NoError(t, index.Close())
	require.NoError(t, f.Finish())
	require.NoError(t, f.Close())
	require.Equal(t, []string{"ok"}, ask(t, path, "PRAGMA integrity_check"))
	require.Equal(t, []string{fmt.Sprint(len(numbers), "|", len(numbers))}, ask(t, path, "SELECT count(*), sum(n = rowid) FROM n"))
}

// The page where SQLite's locks lie is left out, by trees and by what spills out of them.
func TestThePageOfTheLocksIsLeftOut(t *testing.T) {
	for _, spill := range []int{0, 20_000} {
		path := empty(t, 65536, 0, schema)
		tableRoot := root(t, path, "entries")
		f, err := Open(path)
		require.NoError(t, err)
		pending := pages.Pending(65536)
		require.Equal(t, uint32(16385), pending)
		// The pages before it are there, and nothing is in them.
		f.count = pending - 3
		require.NoError(t, os.Truncate(path, int64(f.count)*65536))
		table := f.Table(tableRoot)
		for i := range 8 {
			require.NoError(t, table.Add(int64(i), AppendRecord(nil, text("g"), text(fmt.Sprint(i)), text(strings.Repeat("v", 60_000+spill)), pages.Value{})))
		}
		require.NoError(t, table.Close())
		require.NoError(t, f.Finish())
		require.NoError(t, f.Close())
		lines := ask(t, path, "PRAGMA quick_check(1000000)")
		for _, line := range lines { // of pages that nothing uses, and the empty index
			require.Regexp(t, `never used|missing from index|wrong # of entries|^\*\*\*|^ok$`, line)
			require.NotContains(t, line, fmt.Sprintf("Page %d:", pending))
		}
		require.Equal(t, []string{fmt.Sprint("8|", 8*(60_000+spill))}, ask(t, path, "SELECT count(*), sum(length(v)) FROM entries NOT INDEXED"))
	}
}

func TestDatabasesThatAreNotAddedTo(t *testing.T) {
	for name, script := range map[string]string{
		"auto-vacuum":   "PRAGMA auto_vacuum = FULL; VACUUM; " + schema,
		"incremental":   "PRAGMA auto_vacuum = INCREMENTAL; VACUUM; " + schema,
		"WAL":           schema + "PRAGMA journal_mode = WAL; CREATE TABLE more (x)",
		"free pages":    schema + "CREATE TABLE more (x); DROP TABLE more",
		"an old format": "PRAGMA legacy_file_format = ON; PRAGMA user_version = 3",
	} {
		t.Run(name, func(t *testing.T) {
			path := empty(t, 4096, 0, script)
			if name == "an old format" {
				data, err := os.ReadFile(path)
				require.NoError(t, err)
				data[47] = 1
				require.NoError(t, os.WriteFile(path, data, 0o600))
			}
			_, err := Open(path)
			require.ErrorIs(t, err, RefusedError)
		})
	}
	path := empty(t, 4096, 0, schema)
	run(t, path, "INSERT INTO entries VALUES ('g', 'k', 'v', NULL)")
	for _, root := range []uint32{0, 1, root(t, path, "entries"), root(t, path, "deadlines"), 1000} {
		f, err := Open(path)
		require.NoError(t, err)
		require.ErrorIs(t, f.Table(root).Close(), RefusedError)
		require.NoError(t, f.Close())
	}
	require.Equal(t, []string{"1"}, ask(t, path, "SELECT count(*) FROM entries"))
}
