package sqlite

import (
	"context"
	"database/sql"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"forge.lthn.ai/core/go-store/internal/testkit/report"
	"forge.lthn.ai/core/go-store/kv"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// endless is a query that never ends.
const endless = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"

// rewritten has an object's SQL say something else, which SQLite believes.
func rewritten(name, from, to string) []string {
	return []string{"PRAGMA writable_schema = ON",
		fmt.Sprintf("UPDATE sqlite_schema SET sql = replace(sql, '%s', '%s') WHERE name = '%s'", from, to, name),
		"PRAGMA writable_schema = RESET"}
}

// replaced has something else stand in the place of a table.
func replaced(table, by string) []string {
	return []string{"DROP TABLE " + table, by}
}

// implanted adds a row to the schema under a name that SQLite would refuse.
func implanted(kind, name, statement string) []string {
	return []string{"PRAGMA writable_schema = ON",
		fmt.Sprintf("INSERT INTO sqlite_schema VALUES ('%s', '%s', '%s', 0, '%s')", kind, name, name, statement),
		"PRAGMA writable_schema = RESET"}
}

// hostileSchemas are what a stranger has made of a store of ours.
var hostileSchemas = []struct {
	name       string
	statements []string
	is         error
	says       string
	harmless   bool // for a store that is read-only
}{
	{"a CHECK", rewritten("entries", "entry_value TEXT NOT NULL", "entry_value TEXT NOT NULL CHECK (length(hex(zeroblob(400000000))) > 1)"),
		kv.ForeignSchemaError, "CHECK", false},
	{"a table's CHECK", rewritten("entries", "PRIMARY KEY (", "CHECK (entry_key < 5), PRIMARY KEY ("), kv.ForeignSchemaError, "CHECK", false},
	{"a generated column", rewritten("entries", "entry_value TEXT NOT NULL", "entry_value TEXT AS (hex(zeroblob(400000000)))"),
		kv.ForeignSchemaError, "entry_value", false},
	{"a column that is added and generated", []string{"ALTER TABLE entries ADD COLUMN bomb TEXT AS (hex(zeroblob(400000000)))"},
		kv.ForeignSchemaError, "bomb", false},
	{"a collation", rewritten("entries", "entry_key   TEXT NOT NULL", "entry_key   TEXT NOT NULL COLLATE NOCASE"), kv.ForeignSchemaError, "COLLATE", false},
	{"a collation of nobody's", rewritten("entries", "entry_key   TEXT NOT NULL", "entry_key   TEXT NOT NULL COLLATE strange"), nil, "", false},
	{"a collation of the key", rewritten("entries", "PRIMARY KEY (group_name, entry_key)", "PRIMARY KEY (group_name COLLATE NOCASE, entry_key)"),
		kv.ForeignSchemaError, "COLLATE", false},
	{"numbers for texts", rewritten("entries", "entry_value TEXT", "entry_value NUMERIC"), kv.ForeignSchemaError, "entry_value NUMERIC", false},
	{"a default that is computed", rewritten("entries", "INTEGER NOT NULL DEFAULT 1", "INTEGER NOT NULL DEFAULT (random())"), kv.ForeignSchemaError, "DEFAULT", false},
	{"a foreign key", rewritten("entries", "entry_value TEXT NOT NULL", "entry_value TEXT NOT NULL REFERENCES entries ON DELETE CASCADE"),
		kv.ForeignSchemaError, "REFERENCES", false},
	{"a conflict that removes others", rewritten("entries", "PRIMARY KEY (group_name, entry_key)", "PRIMARY KEY (group_name, entry_key) ON CONFLICT REPLACE"),
		kv.ForeignSchemaError, "ON CONFLICT", false},
	{"another primary key", []string{"DROP TABLE entries",
		"CREATE TABLE entries (group_name TEXT, entry_key TEXT, entry_value TEXT, expires_at INTEGER, revision INTEGER, PRIMARY KEY (group_name))"},
		kv.ForeignSchemaError, "PRIMARY KEY", false},
	{"a column that must be given", []string{"DROP TABLE entries",
		"CREATE TABLE entries (group_name TEXT, entry_key TEXT, entry_value TEXT, expires_at INTEGER, revision INTEGER, more TEXT NOT NULL, PRIMARY KEY (group_name, entry_key))"},
		kv.ForeignSchemaError, "more", false},
	{"an index on an expression", []string{"CREATE INDEX bomb ON entries (hex(zeroblob(10000) || entry_key))"}, kv.ForeignSchemaError, "bomb", false},
	{"an index with a condition", []string{"CREATE INDEX bomb ON entries (entry_key) WHERE length(entry_value) > 3"}, kv.ForeignSchemaError, "bomb", false},
	{"an index that refuses", []string{"CREATE UNIQUE INDEX bomb ON entries (entry_value)"}, kv.ForeignSchemaError, "bomb", false},
	{"an index of ours that is another", []string{"DROP INDEX entries_expires_at", "CREATE INDEX entries_expires_at ON entries (abs(expires_at))"},
		kv.ForeignSchemaError, "entries_expires_at", false},
	{"an index on the log", []string{"CREATE UNIQUE INDEX bomb ON log (committed_at)"}, kv.ForeignSchemaError, "bomb", false},
	{"a CHECK on the log", rewritten("log", "record         BLOB NOT NULL", "record BLOB NOT NULL CHECK (hex(zeroblob(400000000)) > 1)"), kv.ForeignSchemaError, "log", false},
	{"a CHECK on the identity", rewritten("store_meta", "CHECK (id = 1)", "CHECK (hex(zeroblob(400000000)) > 1)"), kv.ForeignSchemaError, "store_meta", false},
	{"a stamp that is computed", rewritten("store_meta", "stamp BLOB", "stamp BLOB AS (zeroblob(400000000))"), kv.ForeignSchemaError, "store_meta", false},
	{"a column that is generated behind a mark", []string{"ALTER TABLE entries ADD COLUMN bomb TEXT",
		"PRAGMA writable_schema = ON", "UPDATE sqlite_schema SET sql = replace(sql, 'bomb TEXT', 'bomb TEXT \uFEFFAS (hex(zeroblob(400000000)))') WHERE name = 'entries'"},
		kv.ForeignSchemaError, "bomb", false},
	{"a trigger", []string{"CREATE TRIGGER t AFTER INSERT ON entries BEGIN " + endless + "; END"}, kv.ForeignSchemaError, "trigger", true},
	{"a trigger in capitals", []string{"CREATE TRIGGER t AFTER INSERT ON ENTRIES BEGIN " + endless + "; END"}, kv.ForeignSchemaError, "trigger", true},
	{"a trigger on the log", []string{"CREATE TRIGGER t BEFORE INSERT ON log BEGIN SELECT raise(IGNORE); END"}, kv.ForeignSchemaError, "trigger", true},
	{"a trigger that is listed elsewhere", []string{"CREATE TABLE other (a)", "CREATE TRIGGER t AFTER INSERT ON entries BEGIN " + endless + "; END",
		"PRAGMA writable_schema = ON", "UPDATE sqlite_schema SET tbl_name = 'other' WHERE name = 't'"}, nil, "", false},
	{"a view in the place of the entries", replaced("entries", "CREATE VIEW entries AS SELECT 'g' AS group_name, 'k' AS entry_key, ("+endless+") AS entry_value, NULL AS expires_at, 1 AS revision"),
		kv.NotADatabaseError, "view", false},
	{"a view in the place of the log", replaced("log", "CREATE VIEW log AS SELECT 1 AS last_revision, 1 AS first_revision, ("+endless+") AS committed_at, 0 AS log_end, x'' AS record"),
		kv.NotADatabaseError, "view", false},
	{"a view in the place of the identity", replaced("store_meta", "CREATE VIEW store_meta AS SELECT 1 AS id, ("+endless+") AS uuid, 0 AS base_revision, NULL AS stamp"),
		kv.NotADatabaseError, "view", false},
	{"a virtual table", replaced("entries", "CREATE VIRTUAL TABLE entries USING fts5 (group_name, entry_key, entry_value, expires_at, revision)"),
		kv.ForeignSchemaError, "virtual", false},
	{"a table of the original's beside ours that is generated", []string{"CREATE TABLE kv (grp TEXT, key TEXT, value TEXT AS (hex(zeroblob(400000000))))"},
		kv.ForeignSchemaError, "kv", false},
	{"a view of the pages", implanted("view", "sqlite_dbpage", "CREATE VIEW sqlite_dbpage AS SELECT 1 AS pgno, ("+endless+") AS data"), kv.ForeignSchemaError, "sqlite_dbpage", false},
	{"a view of the columns", []string{"CREATE VIEW pragma_table_info AS SELECT 1 AS cid, (" + endless + ") AS name"}, kv.ForeignSchemaError, "pragma_table_info", false},
	{"a view of the statistics", implanted("view", "sqlite_stat1", "CREATE VIEW sqlite_stat1 AS SELECT ''entries'' AS tbl, NULL AS idx, ("+endless+") AS stat"),
		kv.ForeignSchemaError, "sqlite_stat1", false},
	{"one root for two tables", []string{"CREATE TABLE other (a)", "PRAGMA writable_schema = ON",
		"UPDATE sqlite_schema SET rootpage = (SELECT rootpage FROM sqlite_schema WHERE name = 'log') WHERE name = 'other'"}, kv.DamagedError, "share", false},
	{"one root for a table and its index", []string{"PRAGMA writable_schema = ON",
		"UPDATE sqlite_schema SET rootpage = (SELECT rootpage FROM sqlite_schema WHERE name = 'entries') WHERE name = 'sqlite_autoindex_entries_1'"},
		kv.DamagedError, "share", false},
	{"a table in the schema's place", []string{"CREATE TABLE other (a)", "PRAGMA writable_schema = ON",
		"UPDATE sqlite_schema SET rootpage = 1 WHERE name = 'other'"}, kv.DamagedError, "share", false},
	{"a name twice", []string{"PRAGMA writable_schema = ON", "INSERT INTO sqlite_schema SELECT * FROM sqlite_schema WHERE name = 'entries'"}, nil, "", false},
	{"no SQL", []string{"PRAGMA writable_schema = ON", "UPDATE sqlite_schema SET sql = 'CREATE TABEL entries' WHERE name = 'entries'"}, nil, "", false},
	{"a table that is a query", []string{"PRAGMA writable_schema = ON", "UPDATE sqlite_schema SET sql = 'CREATE TABLE entries AS " + endless + "' WHERE name = 'entries'"}, nil, "", false},
	{"a virtual table by name alone", []string{"PRAGMA writable_schema = ON", "UPDATE sqlite_schema SET sql = 'CREATE VIRTUAL TABLE entries USING dbstat' WHERE name = 'entries'"}, nil, "", false},
}

// hostileStore is a store with some rows that a stranger has worked on.
func hostileStore(t testing.TB, statements ...string) string {
	path := temporary(t)
	d := open(t, path)
	w := d.Writer()
	require.NoError(t, w.Begin())
	for _, row := range append(numbered("g", 20), mortal("g", "dead", 1), mortal("h", "later", 1<<50)) {
		require.NoError(t, w.Upsert(row))
	}
	require.NoError(t, w.AppendLog(kv.LogRow{First: 1, Last: 1, At: 1, Record: []byte("record")}, 6))
	require.NoError(t, w.Commit())
	require.NoError(t, d.Close())
	if len(statements) > 0 {
		tamper(t, path, statements...)
	}
	return path
}

// tamper runs statements that may leave a database which can't be read any more.
func tamper(t testing.TB, path string, statements ...string) {
	db, err := sql.Open("sqlite", path)
	require.NoError(t, err)
	db.SetMaxOpenConns(1)
	for _, statement := range statements {
		_, err := db.Exec(statement)
		require.NoError(t, err, statement)
	}
	require.NoError(t, db.Close())
}

// within fails if f is still at work after a while.
func within(t testing.TB, d time.Duration, f func()) {
	t.Helper()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		f()
	}()
	select {
	case <-ended:
	case <-time.After(d):
		t.Fatalf("it goes on after %v", d)
	}
}

func TestHostileSchemas(t *testing.T) {
	for _, hostile := range hostileSchemas {
		for _, readOnly := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, read-only %t", hostile.name, readOnly), func(t *testing.T) {
				path := hostileStore(t, hostile.statements...)
				before := folder(t, filepath.Dir(path))
				within(t, 20*time.Second, func() {
					d, err := Open(Config{Path: path, ReadOnly: readOnly})
					if hostile.harmless && readOnly {
						assert.NoError(t, err)
						assert.NoError(t, d.Close())
						return
					}
					if !assert.Error(t, err) {
						assert.NoError(t, d.Close())
						return
					}
					if hostile.is != nil {
						assert.ErrorIs(t, err, hostile.is)
					}
					assert.ErrorContains(t, err, hostile.says)
				})
				assert.Equal(t, before, folder(t, filepath.Dir(path)), "it is left as it was")
			})
		}
	}
}

// The same in what a killed program has left in the WAL.
func TestHostileSchemasInTheWAL(t *testing.T) {
	for _, hostile := range hostileSchemas {
		t.Run(hostile.name, func(t *testing.T) {
			path := hostileStore(t)
			program(t, path, "PRAGMA journal_mode = WAL")
			crash(t, path, hostile.statements...)
			within(t, 20*time.Second, func() {
				d, err := Open(Config{Path: path})
				if !assert.Error(t, err) {
					assert.NoError(t, d.Close())
				}
			})
		})
	}
}

// What a user has added that runs in none of our statements is of no concern, and
// is there after everything that the store does.
func TestWhatUsersAdd(t *testing.T) {
	path := hostileStore(t,
		"CREATE TABLE notes (id INTEGER PRIMARY KEY, text TEXT CHECK (length(text) < 100), more AS (upper(text)), UNIQUE (text))",
		"CREATE TABLE children (g REFERENCES entries (group_name) ON DELETE CASCADE, n)",
		"INSERT INTO notes (text) VALUES ('mine')", "INSERT INTO children VALUES ('g', 1)",
		"CREATE INDEX notes_by ON notes (lower(text)) WHERE length(text) > 1",
		"CREATE TRIGGER of_notes AFTER INSERT ON notes BEGIN INSERT INTO notes (text) VALUES (new.text || 'x'); END",
		"CREATE TABLE kv (id INTEGER PRIMARY KEY, key TEXT UNIQUE, value BLOB CHECK (value <> ''))", "CREATE INDEX kv_by ON kv (lower(key))",
		"CREATE VIEW everything AS SELECT * FROM entries, notes", "CREATE VIEW forever AS "+endless,
		"CREATE VIRTUAL TABLE search USING fts5 (text)", "INSERT INTO search VALUES ('words')",
		"CREATE INDEX by_value ON entries (entry_value DESC)", "CREATE INDEX by_case ON entries (entry_key COLLATE NOCASE) WHERE expires_at IS NULL",
		"ALTER TABLE entries ADD COLUMN note TEXT", "ALTER TABLE entries ADD COLUMN tag INTEGER NOT NULL DEFAULT -1",
		"UPDATE entries SET note = 'a note'", "ANALYZE")
	within(t, time.Minute, func() {
		d := open(t, path)
		w := d.Writer()
		require.NoError(t, w.Begin())
		require.NoError(t, w.Upsert(row("g", "000001", "another")))
		_, err := w.Delete("g", "000002")
		require.NoError(t, err)
		_, err = w.DeleteGroup("h")
		require.NoError(t, err)
		require.NoError(t, w.Commit())
		got, found, err := d.Reads().Get(background, "g", "000001")
		require.NoError(t, err)
		require.True(t, found)
		assert.Equal(t, "another", got.Value)
		report, err := d.Check(background, func(kv.LogRow) error { return nil }, nil)
		require.NoError(t, err)
		assert.Empty(t, report.Findings)
		_, err = d.Compact(background, nil)
		require.NoError(t, err)
		require.NoError(t, d.Close())
	})
	assert.Equal(t, []string{"mine MINE"}, query(t, path, "SELECT text || ' ' || more FROM notes"))
	assert.Equal(t, []string{"1"}, query(t, path, "SELECT n FROM children"))
	assert.Equal(t, []string{"words"}, query(t, path, "SELECT text FROM search WHERE search MATCH 'words'"))
	assert.Equal(t, []string{"another a note -1"}, query(t, path, "SELECT entry_value || ' ' || note || ' ' || tag FROM entries WHERE entry_key = '000001'"))
	assert.Equal(t, []string{"ok"}, query(t, path, "PRAGMA integrity_check"))
}

// Nothing guards log_end: what doesn't join with the rows beside it is not believed,
// and no more than the file can hold.
func TestLogEndIsNotBelieved(t *testing.T) {
	for name, change := range map[string]string{
		"the newest":      "UPDATE log SET log_end = log_end + (1 << 40) WHERE last_revision = 20",
		"the oldest":      "UPDATE log SET log_end = log_end - (1 << 40) WHERE last_revision = 1",
		"far too much":    "UPDATE log SET log_end = 9223372036854775807 WHERE last_revision = 20",
		"negative":        "UPDATE log SET log_end = -log_end",
		"half of them":    "UPDATE log SET log_end = log_end + (1 << 40) WHERE last_revision > 10",
		"to wrap around":  "UPDATE log SET log_end = 9223372036854775000 + last_revision",
		"all, far beyond": "UPDATE log SET log_end = log_end + 9223372036854774000",
		"a text":          "UPDATE log SET log_end = 'much' WHERE last_revision IN (1, 20)",
	} {
		t.Run(name, func(t *testing.T) {
			path := temporary(t)
			d := open(t, path)
			for range 20 {
				logged(t, d, row("g", "k", "v"))
			}
			want, err := d.Writer().LogExtent()
			require.NoError(t, err)
			require.NoError(t, d.Close())
			program(t, path, change)
			d = open(t, path)
			got, err := d.Writer().LogExtent()
			require.NoError(t, err)
			assert.Equal(t, want.End-want.Begin, got.End-got.Begin)
			outside, err := d.Reads().LogExtent(background)
			require.NoError(t, err)
			assert.Equal(t, got, outside)
			for range 3 {
				logged(t, d, row("g", "k", "v"))
			}
			require.NoError(t, d.Close())
			d = open(t, path)
			again, err := d.Writer().LogExtent()
			require.NoError(t, err)
			size := int64(len("record of 21"))
			assert.Equal(t, want.End-want.Begin+3*size, again.End-again.Begin)
			marks, err := d.Writer().OldestLog(5)
			require.NoError(t, err)
			assert.Equal(t, int64(len("record of 1")), marks[0].Bytes)
		})
	}
}

// Revisions that can't be are no place to go on from.
func TestRevisionsThatCannotBe(t *testing.T) {
	for name, statements := range map[string][]string{
		"the last":          {"UPDATE log SET last_revision = 9223372036854775807 WHERE last_revision = 5"},
		"a negative one":    {"DELETE FROM log WHERE last_revision > 1", "UPDATE log SET last_revision = -1"},
		"in an empty log":   {"DELETE FROM log", "UPDATE store_meta SET base_revision = 9223372036854775807"},
		"below zero there":  {"DELETE FROM log", "UPDATE store_meta SET base_revision = -7"},
		"first behind last": {"UPDATE log SET first_revision = 9 WHERE last_revision = 1"},
	} {
		t.Run(name, func(t *testing.T) {
			path := temporary(t)
			d := open(t, path)
			for range 5 {
				logged(t, d, row("g", "k", "v"))
			}
			require.NoError(t, d.Close())
			program(t, path, statements...)
			_, err := Open(Config{Path: path})
			var corrupt *kv.CorruptLogError
			require.ErrorAs(t, err, &corrupt)
			d = openWith(t, Config{Path: path, DiscardLog: true})
			revision, err := d.Reads().Revision(background)
			require.NoError(t, err)
			assert.GreaterOrEqual(t, revision, uint64(5))
			assert.Less(t, revision, uint64(maxRevision))
			logged(t, d, row("g", "k", "w"))
			require.NoError(t, d.Close())
			d = open(t, path)
			next, err := d.Reads().Revision(background)
			require.NoError(t, err)
			assert.Equal(t, revision+1, next)
		})
	}
}

// bomb makes a tree of so many levels out of a table's root, each page of which leads
// many times to the one page below: a walk along it never ends.
func bomb(t testing.TB, path, table string, levels int) {
	content, err := os.ReadFile(path)
	require.NoError(t, err)
	root := 1
	if table != "sqlite_schema" {
		_, err = fmt.Sscan(query(t, path, "SELECT rootpage FROM sqlite_schema WHERE name = '"+table+"'")[0], &root)
		require.NoError(t, err)
	}
	at := func(page int) []byte { return content[(page-1)*filePageSize : page*filePageSize] }
	begin := 0
	if root == 1 {
		begin = headerSize
	}
	leaf := append([]byte(nil), at(root)...)
	pages := len(content) / filePageSize
	interior := func(page []byte, begin, child int) {
		clear(page[begin:])
		const cells = 300
		page[begin] = 0x05
		binary.BigEndian.PutUint16(page[begin+3:], cells)
		binary.BigEndian.PutUint16(page[begin+5:], uint16(filePageSize-8*cells))
		binary.BigEndian.PutUint32(page[begin+8:], uint32(child))
		for i := range cells {
			cell := filePageSize - 8*(i+1)
			binary.BigEndian.PutUint16(page[begin+12+2*i:], uint16(cell))
			binary.BigEndian.PutUint32(page[cell:], uint32(child))
			page[cell+4], page[cell+5] = 0x81, byte(i&0x7f)
		}
	}
	interior(at(root), begin, pages+1)
	for level := range levels {
		page := make([]byte, filePageSize)
		interior(page, 0, pages+level+2)
		content = append(content, page...)
	}
	if begin > 0 { // the cells stand where they stood, the header at the page's beginning
		copy(leaf, leaf[begin:begin+8])
		cells := int(binary.BigEndian.Uint16(leaf[3:]))
		copy(leaf[8:], leaf[begin+8:begin+8+2*cells])
	}
	content = append(content, leaf...)
	binary.BigEndian.PutUint32(content[28:], uint32(len(content)/filePageSize))
	require.NoError(t, os.WriteFile(path, content, 0o600))
}

// Pages that lead to one page many times make a tree that has no end.
func TestTreesWithoutEnd(t *testing.T) {
	t.Cleanup(func(least int64) func() { return func() { leastEffort = least } }(leastEffort))
	leastEffort /= 10 // so that it is short, under the race detector too
	for _, table := range []string{"sqlite_schema", "entries", "log", "store_meta", "sqlite_autoindex_entries_1", "entries_expires_at"} {
		for _, readOnly := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, read-only %t", table, readOnly), func(t *testing.T) {
				path := hostileStore(t)
				bomb(t, path, table, 12)
				within(t, 60*time.Second*report.Slower, func() {
					d, err := Open(Config{Path: path, ReadOnly: readOnly})
					if err != nil {
						return
					}
					ctx, cancel := context.WithTimeout(background, 500*time.Millisecond)
					defer cancel()
					_, _, _ = d.Reads().Get(ctx, "g", "000001")
					_, _ = d.Check(ctx, func(kv.LogRow) error { return nil }, nil)
					if w := d.Writer(); w != nil {
						_, _ = w.Earliest()
						if w.Begin() == nil {
							_ = w.Upsert(row("g", "new", "v"))
							_, _ = w.CountDead(0, 1<<40, 10)
							_ = w.Rollback()
						}
					}
					_ = d.Close()
				})
			})
		}
	}
}
