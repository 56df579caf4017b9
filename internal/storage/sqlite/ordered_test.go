package sqlite

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"forge.lthn.ai/core/go-store/kv"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"zombiezen.com/go/sqlite"
)

const (
	sqlAsStored   = "SELECT rowid, group_name, entry_key FROM entries NOT INDEXED ORDER BY rowid"
	sqlKeysRanked = "SELECT row_number() OVER (ORDER BY group_name, entry_key), group_name, entry_key FROM entries ORDER BY 2, 3"
	sqlSchemaText = "SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY type, name"
)

// shuffled are rows of some groups, of all sizes, in no order.
func shuffled(n int) (rows []kv.Row) {
	random := rand.New(rand.NewPCG(1, 2))
	for i := range n {
		r := row(fmt.Sprint("group ", i%7), fmt.Sprintf("key \x00\xff %06d", i), strings.Repeat("v", random.IntN(200)))
		switch {
		case i%10 == 0:
			r.Deadline = 1000 + int64(random.IntN(n))
		case i%100 == 1:
			r.Value = strings.Repeat("long ", random.IntN(4000))
		}
		rows = append(rows, r)
	}
	random.Shuffle(n, func(i, j int) { rows[i], rows[j] = rows[j], rows[i] })
	return rows
}

// compactedBy is what a compaction makes of a file that others have changed.
func compactedBy(t *testing.T, path string) {
	t.Helper()
	d := open(t, path)
	_, err := d.Compact(background, nil)
	require.NoError(t, err)
	require.NoError(t, d.Close())
}

// gappy is the path of a store with rows in no order, with gaps.
func gappy(t *testing.T) string {
	t.Helper()
	path := temporary(t)
	d := openWith(t, Config{Path: path, Overlay: direct})
	logged(t, d, shuffled(3000)...)
	w := d.Writer()
	require.NoError(t, w.Begin())
	_, err := w.DeleteGroup("group 3")
	require.NoError(t, err)
	require.NoError(t, w.Commit())
	require.NoError(t, d.Close())
	return path
}

func TestCompactPutsRowsInOrder(t *testing.T) {
	path := gappy(t)
	all := "SELECT group_name, entry_key, entry_value, expires_at, revision FROM entries ORDER BY 1, 2"
	before := query(t, path, all)
	require.NotEqual(t, query(t, path, sqlKeysRanked), query(t, path, sqlAsStored))
	compactedBy(t, path)
	assert.Equal(t, before, query(t, path, all))
	assert.Equal(t, query(t, path, sqlKeysRanked), query(t, path, sqlAsStored))
	assert.Equal(t, []string{"0"}, query(t, path, "PRAGMA freelist_count"), "there are no gaps")
	assert.Equal(t, []string{"ok"}, query(t, path, "PRAGMA integrity_check"))
}

// Rows that lie in order, but for some, are left to VACUUM, which takes a fraction of the
// time: their rowids keep their gaps.
func TestCompactLeavesWhatIsInOrder(t *testing.T) {
	for stray, stays := range map[int]bool{0: true, 8: true, 40: false} {
		t.Run(fmt.Sprint(stray), func(t *testing.T) {
			path := temporary(t)
			d := open(t, path)
			var rows, strays []kv.Row
			for i := range 2000 {
				r := row("g", fmt.Sprintf("key %06d", i), strings.Repeat("v", 100))
				if stray > 0 && i%(2000/stray) == 7 {
					strays = append(strays, r)
				} else {
					rows = append(rows, r)
				}
			}
			slices.Reverse(strays)
			logged(t, d, append(append(rows, strays...), row("first", "k", "v"))...)
			w := d.Writer()
			require.NoError(t, w.Begin())
			_, err := w.Delete("g", "key 000500")
			require.NoError(t, err)
			require.NoError(t, w.Commit())
			require.NoError(t, d.Close())
			before := query(t, path, sqlAsStored)
			compactedBy(t, path)
			if stays {
				assert.Equal(t, before, query(t, path, sqlAsStored))
			} else {
				assert.Equal(t, query(t, path, sqlKeysRanked), query(t, path, sqlAsStored))
			}
			assert.Equal(t, []string{"ok"}, query(t, path, "PRAGMA integrity_check"))
		})
	}
}

// The rows are read by the index: to sort them would take as much memory as they do.
func TestCompactSortsNothing(t *testing.T) {
	path := gappy(t)
	conn, err := sqlite.OpenConn(path, sqlite.OpenReadOnly)
	require.NoError(t, err)
	defer func() { require.NoError(t, conn.Close()) }()
	o, err := orderedOf(conn)
	require.NoError(t, err)
	plan := strings.Join(query(t, path, "EXPLAIN QUERY PLAN "+o.read), "\n")
	assert.NotContains(t, plan, "TEMP B-TREE")
	assert.Contains(t, plan, "SCAN i USING COVERING INDEX sqlite_autoindex_entries_1")
	assert.Contains(t, plan, "SEARCH t USING INTEGER PRIMARY KEY")
}

// What others keep in the file comes through as it is, and the rows are in order.
func TestCompactKeepsWhatIsOthers(t *testing.T) {
	for name, statements := range map[string][]string{
		"tables, views, triggers and indexes": {
			`CREATE TABLE "of another's" (id INTEGER PRIMARY KEY AUTOINCREMENT, n UNIQUE, doubled AS (n * 2), CHECK (n > 0))`,
			`INSERT INTO "of another's" (id, n) VALUES (7, 1), (9, 4), (400, 3)`,
			"CREATE TABLE loose (a, b)", "INSERT INTO loose (rowid, a, b) VALUES (5, 'x', x'00ff'), (3, 1.5, NULL), (99, 'NaN', '')",
			"CREATE INDEX loosely ON loose (b, a DESC) WHERE a IS NOT NULL",
			"CREATE TABLE without (k TEXT PRIMARY KEY, v) WITHOUT ROWID", "INSERT INTO without VALUES ('b', 1), ('a', 2)",
			"CREATE VIEW seen AS SELECT * FROM loose", "CREATE TRIGGER pulled AFTER INSERT ON loose BEGIN DELETE FROM without; END",
			"ANALYZE",
		},
		"a virtual table": {
			"CREATE VIRTUAL TABLE words USING fts5 (word)", "INSERT INTO words VALUES ('one word'), ('another')",
		},
		"columns and indexes of entries": {
			`ALTER TABLE entries ADD COLUMN "a ""column""" DEFAULT 'of another'`, "ALTER TABLE entries ADD COLUMN n REAL",
			`CREATE INDEX "by column" ON entries ("a ""column""")`, "CREATE INDEX by_value ON entries (entry_value DESC)",
			"UPDATE entries SET n = 2 WHERE rowid % 2", `UPDATE entries SET "a ""column""" = x'00' WHERE rowid % 3`,
			`UPDATE entries SET "a ""column""" = 'text' || char(0) || 'more', n = 'not a number' WHERE rowid % 5 = 0`,
		},
		"values of other types": {"UPDATE entries SET entry_value = x'0001ff' WHERE rowid % 2", "UPDATE entries SET entry_value = x'' WHERE rowid % 3 = 0"},
		"other pages":           {"PRAGMA journal_mode = DELETE", "PRAGMA page_size = 1024", "PRAGMA auto_vacuum = FULL", "VACUUM"},
		"small pages":           {"PRAGMA journal_mode = DELETE", "PRAGMA page_size = 512", "PRAGMA auto_vacuum = INCREMENTAL", "VACUUM"},
	} {
		t.Run(name, func(t *testing.T) {
			path := gappy(t)
			tamper(t, path, statements...)
			ask := []string{sqlSchemaText, "PRAGMA page_size", "PRAGMA auto_vacuum", "PRAGMA user_version", "PRAGMA application_id", "PRAGMA encoding",
				"SELECT *, typeof(entry_value) FROM entries ORDER BY group_name, entry_key"}
			for _, table := range query(t, path, "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT IN ('entries', 'store_meta') AND sql NOT LIKE '%ROWID'") {
				ask = append(ask, fmt.Sprintf("SELECT rowid, * FROM %s ORDER BY rowid", quoteName(table)))
			}
			before := make([][]string, len(ask))
			for i := range ask {
				before[i] = query(t, path, ask[i])
			}
			compactedBy(t, path)
			for i := range ask {
				assert.Equal(t, before[i], query(t, path, ask[i]), ask[i])
			}
			assert.Equal(t, query(t, path, sqlKeysRanked), query(t, path, sqlAsStored))
			assert.Equal(t, []string{"ok"}, query(t, path, "PRAGMA integrity_check"))
		})
	}
}

// Tables that are not as ours are copied as they lie: what they hold, and what is wrong
// with them, is neither mended nor made worse.
func TestCompactOfOddTables(t *testing.T) {
	const columns = "(group_name TEXT NOT NULL, entry_key TEXT NOT NULL, entry_value TEXT NOT NULL, expires_at INTEGER, revision INTEGER NOT NULL DEFAULT 1"
	instead := func(table string) []string {
		return []string{"ALTER TABLE entries RENAME TO was", "CREATE TABLE entries " + table,
			"INSERT INTO entries (group_name, entry_key, entry_value, expires_at, revision) SELECT * FROM was", "DROP TABLE was"}
	}
	for name, statements := range map[string][]string{
		"no rowid":              instead(columns + ", PRIMARY KEY (group_name, entry_key)) WITHOUT ROWID"),
		"no primary key":        instead(columns + ")"),
		"a unique index for it": append(instead(columns+")"), "CREATE UNIQUE INDEX by_key ON entries (group_name, entry_key)"),
		"a column called rowid": {"ALTER TABLE entries ADD COLUMN RowID TEXT DEFAULT 'x'"},
		"too many columns": func() (statements []string) {
			for i := range mostOrderedColumns {
				statements = append(statements, fmt.Sprintf("ALTER TABLE entries ADD COLUMN c%d", i))
			}
			return statements
		}(),
		"a row that is not in the index": {"CREATE TABLE spare (a TEXT, b TEXT, PRIMARY KEY (a, b))",
			"INSERT INTO spare (rowid, a, b) SELECT rowid, group_name, entry_key FROM entries WHERE rowid <> 100",
			"PRAGMA writable_schema = ON",
			"UPDATE sqlite_schema SET rootpage = (SELECT rootpage FROM sqlite_schema WHERE name = 'sqlite_autoindex_spare_1') WHERE name = 'sqlite_autoindex_entries_1'",
			"DELETE FROM sqlite_schema WHERE tbl_name = 'spare'"},
		"an index that says another key": {"CREATE TABLE spare (a TEXT, b TEXT, PRIMARY KEY (a, b))",
			"INSERT INTO spare (rowid, a, b) SELECT rowid, group_name, CASE rowid WHEN 100 THEN 'other' ELSE entry_key END FROM entries",
			"PRAGMA writable_schema = ON",
			"UPDATE sqlite_schema SET rootpage = (SELECT rootpage FROM sqlite_schema WHERE name = 'sqlite_autoindex_spare_1') WHERE name = 'sqlite_autoindex_entries_1'",
			"DELETE FROM sqlite_schema WHERE tbl_name = 'spare'"},
		"an index of rows that are gone": {"CREATE TABLE spare (a TEXT, b TEXT, PRIMARY KEY (a, b))",
			"INSERT INTO spare (rowid, a, b) SELECT rowid, group_name, entry_key FROM entries", "INSERT INTO spare (rowid, a, b) VALUES (100000, 'more', 'x')",
			"PRAGMA writable_schema = ON",
			"UPDATE sqlite_schema SET rootpage = (SELECT rootpage FROM sqlite_schema WHERE name = 'sqlite_autoindex_spare_1') WHERE name = 'sqlite_autoindex_entries_1'",
			"DELETE FROM sqlite_schema WHERE tbl_name = 'spare'"},
		"a NULL where none may be": {"PRAGMA writable_schema = ON",
			"UPDATE sqlite_schema SET sql = replace(sql, 'entry_value TEXT NOT NULL', 'entry_value TEXT') WHERE name = 'entries'",
			"PRAGMA writable_schema = RESET", "UPDATE entries SET entry_value = NULL WHERE rowid = 100", "PRAGMA writable_schema = ON",
			"UPDATE sqlite_schema SET sql = replace(sql, 'entry_value TEXT', 'entry_value TEXT NOT NULL') WHERE name = 'entries'"},
		"a number where a text must be": {"PRAGMA writable_schema = ON",
			"UPDATE sqlite_schema SET sql = replace(sql, 'entry_key   TEXT', 'entry_key BLOB') WHERE name = 'entries'",
			"PRAGMA writable_schema = RESET", "UPDATE entries SET entry_key = 17 WHERE rowid = 100", "PRAGMA writable_schema = ON",
			"UPDATE sqlite_schema SET sql = replace(sql, 'entry_key BLOB', 'entry_key   TEXT') WHERE name = 'entries'"},
	} {
		t.Run(name, func(t *testing.T) {
			path := gappy(t)
			tamper(t, path, statements...)
			copied := filepath.Join(t.TempDir(), "copied.db")
			tamper(t, path, "VACUUM INTO '"+copied+"'")
			compactedBy(t, path)
			for _, ask := range []string{
				// Not through the index, of which some say something else.
				"SELECT *, typeof(entry_key), typeof(entry_value) FROM entries NOT INDEXED ORDER BY +group_name, +CAST(entry_key AS TEXT)",
				"SELECT group_name, entry_key FROM entries ORDER BY group_name, entry_key", sqlSchemaText, "PRAGMA integrity_check",
			} {
				assert.Equal(t, query(t, copied, ask), query(t, path, ask), ask)
			}
		})
	}
}
