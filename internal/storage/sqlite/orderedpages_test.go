package sqlite

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"forge.lthn.ai/core/go-store/internal/storage"
	"forge.lthn.ai/core/go-store/internal/storage/faultfs"
	"forge.lthn.ai/core/go-store/internal/storage/ownership"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// byPages has the new file of a compaction be made by pages.
func byPages(t *testing.T, ctx context.Context, d *Database, progress storage.Progress) (path string, err error) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "new")
	conn, closing, err := d.openAside(ctx)
	require.NoError(t, err)
	defer func() { require.NoError(t, closing()) }()
	require.NoError(t, execute(conn, "PRAGMA query_only = OFF"))
	o, err := orderedOf(conn)
	require.NoError(t, err)
	return path, d.vacuumByPages(ctx, conn, &o, path, progress)
}

// The rows of a table of ours don't go through SQLite: it would take ten times as long.
func TestCompactOfOurTableIsByPages(t *testing.T) {
	long := func(path string) { // rows and keys that don't fit into a page
		d := open(t, path)
		for i := range 40 {
			logged(t, d, row(strings.Repeat("group", i*300), strings.Repeat("key", (40-i)*500), strings.Repeat("value", i*i*20)))
		}
		require.NoError(t, d.Close())
	}
	for name, statements := range map[string][]string{
		"as it is":             nil,
		"small pages":          {"PRAGMA journal_mode = DELETE", "PRAGMA page_size = 512", "VACUUM"},
		"large pages":          {"PRAGMA journal_mode = DELETE", "PRAGMA page_size = 65536", "VACUUM"},
		"a column of others":   {"ALTER TABLE entries ADD COLUMN note DEFAULT 'x'", "UPDATE entries SET note = rowid WHERE rowid % 2"},
		"no index of deadline": {"DROP INDEX entries_expires_at"},
		"values that are BLOBs": {
			"UPDATE entries SET entry_value = CAST(entry_value AS BLOB) WHERE rowid % 2",
		},
		"rows of others that are not allowed": {"CREATE TABLE checked (n CHECK (n > 0))", "PRAGMA ignore_check_constraints = ON",
			"INSERT INTO checked VALUES (-1)"},
		"tables of others": {"CREATE TABLE another (x UNIQUE)", "INSERT INTO another SELECT entry_key FROM entries LIMIT 500"},
	} {
		t.Run(name, func(t *testing.T) {
			path := gappy(t)
			long(path)
			tamper(t, path, statements...)
			d := open(t, path)
			last := int64(0)
			made, err := byPages(t, background, d, func(done, total int64) {
				assert.Less(t, last, done)
				assert.LessOrEqual(t, done, total)
				last = done
			})
			require.NoError(t, err)
			require.NoError(t, d.Close())
			rows := query(t, path, "SELECT count(*) FROM entries")
			require.Equal(t, rows, []string{fmt.Sprint(last)})
			require.Equal(t, query(t, path, "PRAGMA integrity_check"), query(t, made, "PRAGMA integrity_check"))
			require.Equal(t, query(t, made, sqlKeysRanked), query(t, made, sqlAsStored))
			for _, ask := range []string{sqlSchemaText, "PRAGMA page_size", "SELECT *, typeof(entry_value) FROM entries ORDER BY group_name, entry_key"} {
				require.Equal(t, query(t, path, ask), query(t, made, ask), ask)
			}
			if statements == nil {
				require.Equal(t, query(t, path, "SELECT expires_at, entry_key FROM entries WHERE expires_at IS NOT NULL ORDER BY +expires_at, +entry_key"),
					query(t, made, "SELECT expires_at, entry_key FROM entries INDEXED BY entries_expires_at WHERE expires_at > 0 ORDER BY 1, 2"))
			}
		})
	}
}

// What is not as we make it is for SQLite, which has words for what is wrong with it.
func TestTablesThatAreNotCopiedByPages(t *testing.T) {
	for name, statements := range map[string][]string{
		"an index of others": {"CREATE INDEX another ON entries (entry_value)"},
		"a deadline's default": {"CREATE TABLE other (group_name TEXT NOT NULL, entry_key TEXT NOT NULL, entry_value TEXT NOT NULL, expires_at INTEGER DEFAULT 7, revision INTEGER NOT NULL DEFAULT 1, PRIMARY KEY (group_name, entry_key))",
			"INSERT INTO other SELECT * FROM entries", "DROP TABLE entries", "ALTER TABLE other RENAME TO entries"},
		"deadlines that are none": {"UPDATE entries SET expires_at = 'never' WHERE rowid = 10"},
		"keys that are BLOBs":     {"UPDATE entries SET entry_key = CAST(entry_key AS BLOB) WHERE rowid = 10"},
		"auto-vacuum":             {"PRAGMA journal_mode = DELETE", "PRAGMA auto_vacuum = FULL", "VACUUM"},
		"a row that may not be": {"PRAGMA writable_schema = ON",
			"UPDATE sqlite_schema SET sql = replace(sql, 'entry_value TEXT NOT NULL', 'entry_value TEXT') WHERE name = 'entries'",
			"PRAGMA writable_schema = RESET", "UPDATE entries SET entry_value = NULL WHERE rowid = 100", "PRAGMA writable_schema = ON",
			"UPDATE sqlite_schema SET sql = replace(sql, 'entry_value TEXT', 'entry_value TEXT NOT NULL') WHERE name = 'entries'"},
	} {
		t.Run(name, func(t *testing.T) {
			path := gappy(t)
			tamper(t, path, statements...)
			_, err := byPages(t, background, open(t, path), nil)
			require.ErrorIs(t, err, errUnread)
		})
	}
	t.Run("many deadlines", func(t *testing.T) {
		before := mostDeadlines
		defer func() { mostDeadlines = before }()
		mostDeadlines = 100
		_, err := byPages(t, background, open(t, gappy(t)), nil)
		require.ErrorIs(t, err, errUnread)
	})
	t.Run("no views", func(t *testing.T) {
		_, err := byPages(t, background, openWith(t, Config{Path: gappy(t), NoPages: true}), nil)
		require.ErrorIs(t, err, errUnread)
	})
}

// An index that says other things than its table is not believed: neither by its order, nor
// by what it has.
func TestIndexesThatAreNotBelieved(t *testing.T) {
	instead := func(rows string, more ...string) []string {
		return append(append([]string{"CREATE TABLE spare (a, b, PRIMARY KEY (a, b))", "INSERT INTO spare (rowid, a, b) " + rows}, more...),
			"PRAGMA writable_schema = ON",
			"UPDATE sqlite_schema SET rootpage = (SELECT rootpage FROM sqlite_schema WHERE name = 'sqlite_autoindex_spare_1') WHERE name = 'sqlite_autoindex_entries_1'",
			"DELETE FROM sqlite_schema WHERE tbl_name = 'spare'")
	}
	for name, statements := range map[string][]string{
		"a row less":            instead("SELECT rowid, group_name, entry_key FROM entries WHERE rowid <> 100"),
		"a row more":            instead("SELECT rowid, group_name, entry_key FROM entries", "INSERT INTO spare (rowid, a, b) VALUES (100000, 'more', 'x')"),
		"another key":           instead("SELECT rowid, group_name, CASE rowid WHEN 100 THEN 'other' ELSE entry_key END FROM entries"),
		"rows that are swapped": instead("SELECT CASE rowid WHEN 100 THEN 1 WHEN 1 THEN 100 ELSE rowid END, group_name, entry_key FROM entries"),
		"keys downwards": {"CREATE TABLE spare (a TEXT, b TEXT, PRIMARY KEY (a DESC, b DESC))",
			"INSERT INTO spare (rowid, a, b) SELECT rowid, group_name, entry_key FROM entries", "PRAGMA writable_schema = ON",
			"UPDATE sqlite_schema SET rootpage = (SELECT rootpage FROM sqlite_schema WHERE name = 'sqlite_autoindex_spare_1') WHERE name = 'sqlite_autoindex_entries_1'",
			"DELETE FROM sqlite_schema WHERE tbl_name = 'spare'"},
	} {
		t.Run(name, func(t *testing.T) {
			path := gappy(t)
			tamper(t, path, statements...)
			_, err := byPages(t, background, open(t, path), nil)
			require.ErrorIs(t, err, errUnread)
		})
	}
}

// SQLite looks at what was made: a page that came out wrong is seen before it is used.
func TestWhatIsMadeByPagesIsChecked(t *testing.T) {
	d := open(t, gappy(t))
	made, err := byPages(t, background, d, nil)
	require.NoError(t, err)
	w := d.writer.(*fileWriter)
	require.NoError(t, w.sound(background, made))
	whole, err := os.ReadFile(made)
	require.NoError(t, err)
	conn, closing, err := d.openAside(background)
	require.NoError(t, err)
	require.NoError(t, execute(conn, "PRAGMA query_only = OFF"))
	rest := filepath.Join(t.TempDir(), "rest")
	require.NoError(t, vacuumRest(conn, rest))
	require.NoError(t, closing())
	for page := int(ownership.Size(rest) / filePageSize); page < len(whole)/filePageSize; page += 7 {
		broken := append([]byte(nil), whole...)
		broken[page*filePageSize+3] ^= 1 // how many cells it has
		require.NoError(t, os.WriteFile(made, broken, 0o600))
		require.ErrorIs(t, w.sound(background, made), errUnread, page)
	}
}

func TestCompactByPagesThatEndsEarly(t *testing.T) {
	for name, c := range map[string]struct {
		want error
		try  func(t *testing.T, d *Database) error
	}{
		"by its context": {context.Canceled, func(t *testing.T, d *Database) error {
			ctx, cancel := context.WithCancel(background)
			_, err := byPages(t, ctx, d, func(int64, int64) { cancel() })
			return err
		}},
		"no room": {syscall.ENOSPC, func(t *testing.T, d *Database) error {
			defer faultfs.Inject(t, faultfs.Failing("disk.write", "partial", syscall.ENOSPC))()
			_, err := d.Compact(background, nil)
			return err
		}},
		"a bad disk": {syscall.EIO, func(t *testing.T, d *Database) error {
			defer faultfs.Inject(t, faultfs.Failing("disk.open", "partial", syscall.EIO))()
			_, err := d.Compact(background, nil)
			return err
		}},
	} {
		t.Run(name, func(t *testing.T) {
			d := open(t, gappy(t))
			before := content0(t, d)
			require.ErrorIs(t, c.try(t, d), c.want)
			assert.Equal(t, before, content0(t, d))
			logged(t, d, row("after", "k", "v"))
			_, err := d.Compact(background, nil)
			require.NoError(t, err)
			require.NoError(t, d.Close())
			assert.ElementsMatch(t, []string{"store.db", "store.db-lock"}, names(t, filepath.Dir(d.Path())))
		})
	}
}

// A table in no order is known to be in none after a part of it: all of it is not counted
// first. That it is in order is known at its end.
func TestWhetherRowsLieInOrder(t *testing.T) {
	const rows = 100_000
	b := breaksOf(1, rows)
	for i := int64(1); b.add(rows - i); i++ {
	}
	require.Less(t, b.seen, int64(rows/100))
	for _, c := range []struct {
		every int64
		few   bool
	}{{rows, true}, {200, true}, {129, true}, {100, false}} {
		b := breaksOf(1, rows*1000) // with gaps
		for i := int64(1); i <= rows; i++ {
			rowid := i
			if i%c.every == 0 {
				rowid = 0
			}
			require.True(t, b.add(rowid))
		}
		require.Equal(t, c.few, b.few(), c.every)
	}
	b = breaksOf(-1<<63, 1<<63-1) // by a stranger
	require.True(t, b.add(5) && b.add(-7) && !b.few())
	require.Positive(t, b.most)
}
