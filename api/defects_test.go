package api_test

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"forge.lthn.ai/core/go-store/api"
)

// The faults of a file that no healthy store makes, with the texts that the
// original had for them.

// requireScansFail asks that every way of reading a whole group fails with a
// text that begins so.
func requireScansFail(t *testing.T, store *api.Store, group, text string) {
	t.Helper()
	all, err := store.GetAll(group)
	require.Nil(t, all)
	require.ErrorContains(t, err, text)
	require.True(t, strings.HasPrefix(err.Error(), text), err.Error())
	rendered, err := store.Render("{{ .k }}", group)
	require.Empty(t, rendered)
	require.ErrorContains(t, err, text)
	require.True(t, strings.HasPrefix(err.Error(), text), err.Error())
	var last error
	for entry, err := range store.All(group) {
		require.NoError(t, last, "an error comes last")
		if last = err; err != nil {
			require.Zero(t, entry)
		}
	}
	require.ErrorContains(t, last, text)
}

func TestSchemaConflict(t *testing.T) {
	path := newPath(t)
	execute(t, path, `CREATE TABLE other (x)`, `CREATE INDEX entries ON other (x)`)
	err := requireRefused(t, filepath.Dir(path), path)
	require.ErrorContains(t, err, "store.New: ensure schema: ")
	require.Equal(t, 2, query[int](t, path, `SELECT COUNT(*) FROM sqlite_schema`))
}

// A row whose key is NULL, in a table that was altered to allow it, is an error
// and not an empty string. Everything else goes on.
func TestNullKey(t *testing.T) {
	path := newPath(t)
	store := openStore(t, path)
	require.NoError(t, store.Set("bad", "k", "v"))
	require.NoError(t, store.Set("good", "k", "v"))
	require.NoError(t, store.Close())
	execute(t, path,
		`ALTER TABLE entries RENAME TO strict`,
		`CREATE TABLE entries (group_name TEXT, entry_key TEXT, entry_value TEXT, expires_at INTEGER, PRIMARY KEY (group_name, entry_key))`,
		`INSERT INTO entries SELECT group_name, entry_key, entry_value, expires_at FROM strict`,
		`DROP TABLE strict`,
		`INSERT INTO entries VALUES ('bad', NULL, 'v', NULL)`)
	store = openStore(t, path)
	requireScansFail(t, store, "bad", "store.All: scan row: ")
	scope := newScope(t, store, "a")
	require.NoError(t, scope.Set("g", "k", "v"))
	requireValue(t, store, "bad", "k", "v")
	all, err := store.GetAll("good")
	require.NoError(t, err)
	require.Equal(t, map[string]string{"k": "v"}, all)
	require.NoError(t, store.DeleteGroup("bad"))
	all, err = store.GetAll("bad")
	require.NoError(t, err)
	require.Empty(t, all)
}

// The original's own technique: a table that it made itself, without NOT NULL.
func TestNullKeyInLegacyFile(t *testing.T) {
	path := newPath(t)
	execute(t, path,
		`CREATE TABLE entries (group_name TEXT, entry_key TEXT, entry_value TEXT, expires_at INTEGER, PRIMARY KEY (group_name, entry_key))`,
		`INSERT INTO entries VALUES ('g', NULL, 'v', NULL), ('g', 'k', 'v', NULL), ('h', 'k', NULL, NULL)`)
	store := openStore(t, path)
	requireScansFail(t, store, "g", "store.All: scan row: ")
	requireScansFail(t, store, "h", "store.All: scan row: ")
	requireValue(t, store, "g", "k", "v")
}

// Pages in the middle of the file are overwritten: what lies before them is
// read, and then there is an error, never wrong or missing rows.
func TestCorruptedPages(t *testing.T) {
	const rows, pageSize = 2000, 4096
	path := newPath(t)
	store := openStore(t, path)
	items := make([]api.Item, rows)
	for i := range items {
		items[i] = api.Item{Group: "g", Key: strings.Repeat("0", 4-len(strconv.Itoa(i))) + strconv.Itoa(i), Value: strings.Repeat("v", 500)}
	}
	require.NoError(t, store.SetAll(items))
	require.NoError(t, store.Set("h", "k", "v"))
	require.NoError(t, store.Close())

	content, err := os.ReadFile(path)
	require.NoError(t, err)
	const tableLeaf = 0x0d // https://www.sqlite.org/fileformat.html#b_tree_pages
	var leaves []int
	for page := pageSize; page < len(content); page += pageSize {
		if content[page] == tableLeaf {
			leaves = append(leaves, page)
		}
	}
	require.Greater(t, len(leaves), 200)
	for _, page := range leaves[len(leaves)/3 : len(leaves)/2] {
		for i := range pageSize {
			content[page+i] = 0xa5
		}
	}
	require.NoError(t, os.WriteFile(path, content, 0o600))

	store = openStore(t, path)
	requireScansFail(t, store, "g", "store.All: rows iteration: ")
	seen := 0
	for entry, err := range store.All("g") {
		if err == nil {
			require.Equal(t, items[seen].Key, entry.Key)
			require.Equal(t, items[seen].Value, entry.Value)
			seen++
		}
	}
	require.Greater(t, seen, 100)
	require.Less(t, seen, rows)
	_, err = store.GetPage("g", 0, rows)
	require.ErrorContains(t, err, "store.GetPage: rows iteration: ")
	require.Error(t, func() error { _, err := store.Get("g", "0800"); return err }())
	requireValue(t, store, "h", "k", "v")
	requireValue(t, store, "g", "0000", items[0].Value)
}
