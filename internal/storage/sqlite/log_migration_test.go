package sqlite

import (
	"fmt"
	"testing"

	"forge.lthn.ai/core/go-store/internal/storage"
	"forge.lthn.ai/core/go-store/kv"

	"github.com/stretchr/testify/require"
)

// versionOne makes a file as the store made it before it had a log.
func versionOne(t *testing.T, path string, statements ...string) {
	t.Helper()
	program(t, path, append([]string{
		migrations[0],
		"INSERT INTO store_meta (id, uuid) VALUES (1, 'the one that it has')",
		fmt.Sprintf("PRAGMA application_id = %d", applicationID),
		"PRAGMA user_version = 1",
	}, statements...)...)
}

// Rows that were there before the log have revision 1, and the log goes on
// behind it; a file without rows begins at 1 itself.
func TestRevisionsOfOlderFiles(t *testing.T) {
	for name, c := range map[string]struct {
		make func(t *testing.T, path string)
		base uint64
	}{
		"version 1": {func(t *testing.T, path string) {
			versionOne(t, path, "INSERT INTO entries VALUES ('g', 'k', 'v', NULL), ('g', 'mortal', 'v', 99)")
		}, 1},
		"version 1, empty": {func(t *testing.T, path string) { versionOne(t, path) }, 0},
		"version 1 with a kv table": {func(t *testing.T, path string) {
			versionOne(t, path, "CREATE TABLE kv (grp TEXT, key TEXT, value TEXT)", "INSERT INTO kv VALUES ('g', 'k', 'v')")
		}, 1},
		"kv": {func(t *testing.T, path string) {
			program(t, path, "CREATE TABLE kv (grp TEXT, key TEXT, value TEXT)", "INSERT INTO kv VALUES ('g', 'k', 'v')")
		}, 1},
		"entries": {func(t *testing.T, path string) {
			program(t, path, "CREATE TABLE entries (group_name TEXT, entry_key TEXT, entry_value TEXT, PRIMARY KEY (group_name, entry_key))",
				"INSERT INTO entries VALUES ('g', 'k', 'v')")
		}, 1},
		"new": {func(*testing.T, string) {}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			path := temporary(t)
			c.make(t, path)
			for range 2 { // migrated, and opened again
				d := open(t, path)
				revision, err := d.Reads().Revision(background)
				require.NoError(t, err)
				require.Equal(t, c.base, revision)
				extent, err := d.Writer().LogExtent()
				require.NoError(t, err)
				require.Equal(t, storage.LogExtent{First: c.base + 1, Last: c.base}, extent)
				row, found, err := d.Reads().Get(background, "g", "k")
				require.NoError(t, err)
				require.Equal(t, c.base == 1, found)
				require.Equal(t, c.base, row.Revision)
				require.NoError(t, d.Close())
			}
			d, m := open(t, path), logModel{last: c.base}
			require.NoError(t, appendRows(d.Writer(), &m, 2, 5))
			revision, err := d.Reads().Revision(background)
			require.NoError(t, err)
			require.Equal(t, c.base+2, revision)
		})
	}
}

// The identity of a file outlives its migration.
func TestVersionOneKeepsItsIdentity(t *testing.T) {
	path := temporary(t)
	versionOne(t, path)
	require.Equal(t, "the one that it has", open(t, path).UUID())
}

// A program that writes into a closed file knows of no revisions: what it adds
// has the first one, what it changes keeps its own, and a table that it puts in
// the place of ours gets the column again.
func TestRowsOfAnotherProgramHaveRevisions(t *testing.T) {
	path, m := temporary(t), logModel{}
	d := open(t, path)
	require.NoError(t, write(d, kv.Row{Group: "g", Key: "ours", Value: "v", Deadline: kv.NoDeadline, Revision: 3}))
	require.NoError(t, appendRows(d.Writer(), &m, 3, 5))
	require.NoError(t, d.Close())
	program(t, path, "INSERT INTO entries (group_name, entry_key, entry_value) VALUES ('g', 'theirs', 'v')",
		"UPDATE entries SET entry_value = 'changed' WHERE entry_key = 'ours'")
	revisions := func() (ours, theirs uint64) {
		d := open(t, path)
		one, _, err := d.Reads().Get(background, "g", "ours")
		require.NoError(t, err)
		other, _, err := d.Reads().Get(background, "g", "theirs")
		require.NoError(t, err)
		require.NoError(t, d.Close())
		return one.Revision, other.Revision
	}
	ours, theirs := revisions()
	require.Equal(t, [2]uint64{3, 1}, [2]uint64{ours, theirs})

	program(t, path, "CREATE TABLE copy AS SELECT group_name, entry_key, entry_value, expires_at FROM entries",
		"DROP TABLE entries",
		"CREATE TABLE entries (group_name TEXT, entry_key TEXT, entry_value TEXT, expires_at INTEGER, PRIMARY KEY (group_name, entry_key))",
		"INSERT INTO entries SELECT * FROM copy", "DROP TABLE copy")
	ours, theirs = revisions()
	require.Equal(t, [2]uint64{1, 1}, [2]uint64{ours, theirs})
	d = open(t, path)
	revision, err := d.Reads().Revision(background)
	require.NoError(t, err)
	require.Equal(t, uint64(3), revision, "the log is still there")
}

// A file of before there was a fold lacks nothing in its table, whatever its log has: closed,
// and left by a crash with commits in its WAL.
func TestFilesOfBeforeTheFold(t *testing.T) {
	made := []string{migrations[0], migrations[1], migrations[2], "INSERT INTO store_meta (id, uuid) VALUES (1, 'the one that it has')",
		fmt.Sprintf("PRAGMA application_id = %d", applicationID), "PRAGMA user_version = 3",
		"INSERT INTO entries (group_name, entry_key, entry_value, revision) VALUES ('g', 'k', 'v', 2)",
		"INSERT INTO log VALUES (2, 1, 1, 3, x'010203')"} // a record that can't be read
	for name, make := range map[string]func(t *testing.T, path string){
		"closed": func(t *testing.T, path string) { program(t, path, made...) },
		"crashed": func(t *testing.T, path string) {
			program(t, path, made[:6]...)
			crash(t, path, append([]string{"PRAGMA journal_mode = WAL"}, made[6:]...)...)
		},
	} {
		t.Run(name, func(t *testing.T) {
			path := temporary(t)
			make(t, path)
			if name == "closed" {
				d := openWith(t, Config{Path: path, ReadOnly: true, Events: decodeLog})
				require.Len(t, everythingIn(t, d.Reads()), 1)
				require.NoError(t, d.Close())
			}
			d := openWith(t, Config{Path: path, Events: decodeLog})
			require.Len(t, everythingIn(t, d.Reads()), 1)
			revision, err := d.Reads().Revision(background)
			require.NoError(t, err)
			require.Equal(t, uint64(2), revision)
			require.NoError(t, d.Close())
			require.Equal(t, []string{"4|NULL"}, query(t, path, "SELECT (SELECT user_version FROM pragma_user_version), folded_revision FROM store_meta"))
		})
	}
}
