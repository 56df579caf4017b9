package sqlite

import (
	"bytes"
	"os"
	"testing"

	"forge.lthn.ai/core/go-store/internal/storage"
	"forge.lthn.ai/core/go-store/kv"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Tables without rowids have no order of their own to go by.
func TestTableWithoutRowids(t *testing.T) {
	path := temporary(t)
	program(t, path, "CREATE TABLE entries (group_name TEXT NOT NULL, entry_key TEXT NOT NULL, "+
		"entry_value TEXT NOT NULL, expires_at INTEGER, PRIMARY KEY (group_name, entry_key)) WITHOUT ROWID")
	d := open(t, path)
	require.NoError(t, write(d, numbered("g", longGroup)...))
	query := storage.GroupQuery("g")
	query.AnyOrder = true
	require.Len(t, pairsOf(t, d.Reads().Scan(background, query, 0)), longGroup)
}

// openWithNull is a store whose entries lost its constraints and holds NULLs,
// as in the original's coverage suite.
func openWithNull(t *testing.T) *Database {
	path := temporary(t)
	d := open(t, path)
	require.NoError(t, write(d, row("g", "k", "v"), row("h", "k", "v")))
	require.NoError(t, d.Close())
	program(t, path,
		"ALTER TABLE entries RENAME TO entries_backup",
		"CREATE TABLE entries (group_name TEXT, entry_key TEXT, entry_value TEXT, expires_at INTEGER)",
		"INSERT INTO entries SELECT group_name, entry_key, entry_value, expires_at FROM entries_backup",
		"INSERT INTO entries VALUES ('g', NULL, 'value', NULL), ('v', 'k', NULL, NULL), (NULL, 'k', 'v', 3), ('d', 'k', NULL, 3), ('x', 'k', 'value of k', 5)",
	)
	return open(t, path)
}

func TestRowsWithNull(t *testing.T) {
	d := openWithNull(t)
	_, err := rowsOf(d, "g", 0)
	require.ErrorIs(t, err, errNull)
	assert.Regexp(t, "^scan row: ", err.Error())
	_, err = d.Reads().Page(background, "g", 0, 10, 0)
	require.ErrorIs(t, err, errNull)
	_, _, err = d.Reads().Get(background, "v", "k")
	require.ErrorIs(t, err, errNull)
	assert.False(t, isStorageFault(err))
	rows, err := rowsOf(d, "h", 0)
	require.NoError(t, err)
	assert.Equal(t, []kv.KeyValue{{Key: "k", Value: "v"}}, rows, "others are unharmed")

	w := d.Writer()
	_, _, err = w.Get("v", "k")
	require.ErrorIs(t, err, errNull)
	expired, err := w.Expired(everything, 0, 10, 10)
	require.NoError(t, err)
	want := mortal("x", "k", 5)
	want.Revision = 1 // as rows have that were there before there were revisions
	assert.Equal(t, []kv.Row{want}, expired, "what can't be read keeps nothing else from expiring")
	earliest, err := w.Earliest()
	require.NoError(t, err)
	assert.Equal(t, int64(5), earliest)
	require.NoError(t, w.Begin())
	err = w.Upsert(row("g", "new", "v"))
	require.ErrorContains(t, err, "ON CONFLICT")
	assert.False(t, isStorageFault(err), "the request fails, not its neighbours")
	require.True(t, w.InTransaction())
	require.NoError(t, w.Insert(row("g", "new", "v")))
	require.NoError(t, w.Commit())
}

func TestDamagedPages(t *testing.T) {
	path := temporary(t)
	d := open(t, path)
	require.NoError(t, write(d, numbered("g", 5000)...))
	require.NoError(t, d.Close())
	file, err := os.ReadFile(path)
	require.NoError(t, err)
	middle := len(file) / 3 / 4096 * 4096
	copy(file[middle:], bytes.Repeat([]byte{0xDE}, len(file)/2))
	require.NoError(t, os.WriteFile(path, file, 0o600))

	for _, readOnly := range []bool{false, true} {
		d = openWith(t, Config{Path: path, ReadOnly: readOnly})
		_, err = rowsOf(d, "g", 0)
		require.Error(t, err)
		assert.Regexp(t, "^rows iteration: ", err.Error())
		assert.True(t, isStorageFault(err))
		for _, offset := range []int{0, 4999} {
			_, err = d.Reads().Page(background, "g", offset, 10000, 0)
			require.Error(t, err)
			assert.Regexp(t, "^rows iteration: ", err.Error())
		}
		query := storage.GroupQuery("g")
		query.AnyOrder = true
		for _, each := range d.Reads().Scan(background, query, 0) {
			err = each
		}
		require.Error(t, err)
		assert.Regexp(t, "^rows iteration: ", err.Error())
		_, err = d.Reads().Count(background, everything, 0)
		require.Error(t, err)
		require.NoError(t, d.Close())
	}
}

func TestDamagedSchema(t *testing.T) {
	path := temporary(t)
	require.NoError(t, open(t, path).Close())
	program(t, path, "PRAGMA writable_schema = ON", "UPDATE sqlite_schema SET sql = 'nonsense' WHERE name = 'entries'")
	for _, readOnly := range []bool{false, true} {
		_, err := Open(Config{Path: path, ReadOnly: readOnly})
		require.ErrorContains(t, err, "is damaged")
	}
}

func TestStoreWithoutIdentity(t *testing.T) {
	path := temporary(t)
	require.NoError(t, open(t, path).Close())
	program(t, path, "DROP TABLE store_meta")
	for _, readOnly := range []bool{false, true} {
		_, err := Open(Config{Path: path, ReadOnly: readOnly})
		require.ErrorContains(t, err, "has go-store's mark, but no table store_meta")
	}
}
