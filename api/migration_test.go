package api_test

import (
	"fmt"
	"maps"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"forge.lthn.ai/core/go-store/api"
	"forge.lthn.ai/core/go-store/internal/testkit"
)

// The layouts that the original has had, oldest first.
const (
	layoutKV          = `CREATE TABLE kv (grp TEXT NOT NULL, key TEXT NOT NULL, value TEXT NOT NULL, PRIMARY KEY (grp, key))`
	layoutKVTTL       = `CREATE TABLE kv (grp TEXT NOT NULL, key TEXT NOT NULL, value TEXT NOT NULL, expires_at INTEGER, PRIMARY KEY (grp, key))`
	layoutEntries     = `CREATE TABLE entries (group_name TEXT NOT NULL, entry_key TEXT NOT NULL, entry_value TEXT NOT NULL, PRIMARY KEY (group_name, entry_key))`
	layoutEntriesTTL  = seedSchema
	layoutEntriesLate = layoutEntries + `; ALTER TABLE entries ADD COLUMN expires_at INTEGER`
)

// A file of any of the original's versions opens with all that is in it,
// deadlines included, and what is written to it stays.
func TestMigrations(t *testing.T) {
	clock := testkit.NewClock()
	soon, past := clock.Now().Add(time.Minute).UnixMilli(), clock.Now().UnixMilli()
	withTTL := func(table string) []string {
		return []string{
			fmt.Sprintf(`INSERT INTO %s VALUES ('g', 'soon', 'v', %d), ('g', 'past', 'v', %d)`, table, soon, past),
			fmt.Sprintf(`INSERT INTO %s VALUES ('g', 'k', 'v', NULL), ('t:h', '', '', NULL), ('g', x'00' || 'é', 'NUL', NULL)`, table),
		}
	}
	withoutTTL := func(table string) []string {
		return []string{fmt.Sprintf(`INSERT INTO %s VALUES ('g', 'k', 'v'), ('t:h', '', ''), ('g', CAST(x'00' AS TEXT) || 'é', 'NUL')`, table)}
	}
	plain := map[string]string{"k": "v", "\x00é": "NUL"}
	expiring := map[string]string{"k": "v", "\x00é": "NUL", "soon": "v"}
	for name, test := range map[string]struct {
		statements []string
		want       map[string]string // of group g
	}{
		"kv":                 {append([]string{layoutKV}, withoutTTL("kv")...), plain},
		"kv with TTL":        {append([]string{layoutKVTTL}, withTTL("kv")...), expiring},
		"entries":            {append([]string{layoutEntries}, withoutTTL("entries")...), plain},
		"entries with TTL":   {append([]string{layoutEntriesTTL}, withTTL("entries")...), expiring},
		"entries, TTL added": {append([]string{layoutEntriesLate}, withTTL("entries")...), expiring},
		"an empty kv":        {[]string{layoutKV, layoutEntriesTTL, `INSERT INTO entries VALUES ('g', 'k', 'v', NULL), ('t:h', '', '', NULL)`}, map[string]string{"k": "v"}},
		"kv in WAL mode":     {append([]string{`PRAGMA journal_mode = WAL`, layoutKVTTL}, withTTL("kv")...), expiring},
	} {
		t.Run(name, func(t *testing.T) {
			path := newPath(t)
			execute(t, path, test.statements...)
			clock := testkit.NewClock()
			for range 2 { // migrated, and opened again
				store := openStore(t, path, api.WithClock(clock), api.WithPurgeInterval(time.Hour))
				all, err := store.GetAll("g")
				require.NoError(t, err)
				require.Equal(t, test.want, all)
				requireValue(t, store, "t:h", "", "")
				require.NoError(t, store.Close())
			}
			require.Zero(t, query[int](t, path, `SELECT COUNT(*) FROM sqlite_schema WHERE name = 'kv'`))
			if _, expires := test.want["soon"]; expires {
				require.Equal(t, soon, query[int64](t, path, `SELECT expires_at FROM entries WHERE entry_key = 'soon'`))
			}
			clock.Advance(time.Minute)
			store := openStore(t, path, api.WithClock(clock))
			after := maps.Clone(test.want)
			delete(after, "soon")
			all, err := store.GetAll("g")
			require.NoError(t, err)
			require.Equal(t, after, all)
			require.NoError(t, store.SetWithTTL("g", "k", "anew", time.Hour))
			require.NoError(t, store.Delete("t:h", ""))
			requireValue(t, store, "g", "k", "anew")
			requireCount(t, store, "", len(after))
		})
	}
}

// With both tables at once nothing is lost, and entries has the last word.
func TestMigrationOfBothTables(t *testing.T) {
	path, clock := newPath(t), testkit.NewClock()
	later := clock.Now().Add(time.Hour).UnixMilli()
	execute(t, path, layoutKVTTL, layoutEntries,
		fmt.Sprintf(`INSERT INTO kv VALUES ('g', 'both', 'old', %d), ('g', 'only kv', 'old', %d), ('h', 'k', 'old', NULL)`, later, later),
		`INSERT INTO entries VALUES ('g', 'both', 'new'), ('g', 'only entries', 'new')`)
	store := openStore(t, path, api.WithClock(clock))
	all, err := store.GetAll("g")
	require.NoError(t, err)
	require.Equal(t, map[string]string{"both": "new", "only kv": "old", "only entries": "new"}, all)
	requireValue(t, store, "h", "k", "old")
	clock.Advance(time.Hour)
	requireNotFound(t, store, "g", "only kv")
	requireValue(t, store, "g", "both", "new")
}

// A large legacy store, and one whose names are bytes, come over row for row.
func TestMigrationOfManyRows(t *testing.T) {
	const rows = 5_000
	path := newPath(t)
	execute(t, path, layoutKV,
		fmt.Sprintf(`WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < %d)
			INSERT INTO kv SELECT 'group ' || (i %% 10), 'key ' || i, 'value ' || i FROM n`, rows-1))
	store := openStore(t, path)
	requireCount(t, store, "group ", rows)
	for i := 0; i < rows; i += 997 {
		requireValue(t, store, fmt.Sprint("group ", i%10), fmt.Sprint("key ", i), fmt.Sprint("value ", i))
	}
}

// Rows that can't be carried over stop the migration with the file as it was:
// better no store than one that has lost something.
func TestMigrationThatWouldLoseRows(t *testing.T) {
	for name, statements := range map[string][]string{
		"a NULL value":  {`CREATE TABLE kv (grp, key, value)`, `INSERT INTO kv VALUES ('g', 'k', NULL), ('g', 'l', 'v')`},
		"a NULL key":    {`CREATE TABLE kv (grp, key, value)`, `INSERT INTO kv VALUES ('g', NULL, 'v')`},
		"one key twice": {`CREATE TABLE kv (grp, key, value)`, `INSERT INTO kv VALUES ('g', 'k', '1'), ('g', 'k', '2')`},
		"a wrong table": {`CREATE TABLE entries (id INTEGER, name TEXT)`, `INSERT INTO entries VALUES (1, 'mine')`},
	} {
		t.Run(name, func(t *testing.T) {
			path := newPath(t)
			execute(t, path, statements...)
			err := requireRefused(t, filepath.Dir(path), path)
			require.ErrorContains(t, err, "store.New: ensure schema: ")
		})
	}
}

// After a clean Close the original opens the file, reads it and writes it, and
// what it wrote is there when we open it again.
func TestOriginalReadsAndWritesOurFiles(t *testing.T) {
	path, clock := newPath(t), testkit.NewClock()
	store := openStore(t, path, api.WithClock(clock))
	for i := range 50 {
		require.NoError(t, store.Set("g", strconv.Itoa(i), fmt.Sprint("value ", i)))
	}
	require.NoError(t, store.SetWithTTL("t:h", "k", "v", time.Hour))
	require.NoError(t, store.Close())

	original, err := newSeedStore(path)
	require.NoError(t, err)
	all, err := original.GetAll("g")
	require.NoError(t, err)
	require.Len(t, all, 50)
	require.Equal(t, "value 49", all["49"])
	require.NoError(t, original.Set("g", "49", "theirs"))
	require.NoError(t, original.Set("new", "k", "theirs"))
	require.NoError(t, original.Delete("g", "0"))
	_, err = original.database.Exec(
		`INSERT INTO entries (group_name, entry_key, entry_value, expires_at) VALUES ('new', 'expiring', 'theirs', ?)`,
		clock.Now().Add(time.Minute).UnixMilli())
	require.NoError(t, err)
	require.NoError(t, original.Close())

	store = openStore(t, path, api.WithClock(clock))
	requireValue(t, store, "g", "49", "theirs")
	requireValue(t, store, "new", "k", "theirs")
	requireValue(t, store, "new", "expiring", "theirs")
	requireNotFound(t, store, "g", "0")
	requireValue(t, store, "t:h", "k", "v")
	clock.Advance(time.Minute)
	requireNotFound(t, store, "new", "expiring")
	requireCount(t, store, "", 51)
}

// An original that was killed leaves its log beside the file: what is in it was
// acknowledged, and is migrated with the rest.
func TestMigrationOfKilledOriginal(t *testing.T) {
	path := newPath(t)
	original := startChild(t, taskSeed, path)
	original.kill()
	require.FileExists(t, path+"-wal")
	store := openStore(t, path)
	requireCount(t, store, childGroup, childRows)
	requireValue(t, store, childGroup, "0", "0")
	require.NoError(t, store.Close())
	require.NoFileExists(t, path+"-wal")
	requireValue(t, openStore(t, path), childGroup, "42", "42")
}

// The statements of the original's own start, on our file.
func TestOriginalStartsOnOurFiles(t *testing.T) {
	path := newPath(t)
	store := openStore(t, path)
	require.NoError(t, store.Set("g", "k", "v"))
	require.NoError(t, store.Close())
	execute(t, path, `PRAGMA journal_mode = WAL`, `PRAGMA busy_timeout = 5000`, seedSchema)
	database := openRaw(t, path)
	_, err := database.Exec(`ALTER TABLE entries ADD COLUMN expires_at INTEGER`)
	require.ErrorContains(t, err, "duplicate column", "the error that the original ignores")
	require.NoError(t, database.Close())
	requireValue(t, openStore(t, path), "g", "k", "v")
}
