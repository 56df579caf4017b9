package api_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"forge.lthn.ai/core/go-store/api"
)

// requireRefused opens a store that can't be opened, twice, and asks that
// everything in the folder is as it was.
func requireRefused(t *testing.T, folder, path string, options ...api.Option) error {
	t.Helper()
	before := fingerprint(t, folder)
	var refusal error
	for range 2 {
		store, err := api.New(path, options...)
		require.Nil(t, store)
		require.Error(t, err)
		require.True(t, strings.HasPrefix(err.Error(), "store.New: "), err.Error())
		require.Equal(t, before, fingerprint(t, folder))
		refusal = err
	}
	return refusal
}

func TestPathIsAFolder(t *testing.T) {
	folder := t.TempDir()
	require.NoError(t, os.Mkdir(filepath.Join(folder, "store.db"), 0o700))
	err := requireRefused(t, folder, filepath.Join(folder, "store.db"))
	require.ErrorContains(t, err, "is a folder")
	err = requireRefused(t, folder, filepath.Join(folder, "store.db"), api.WithReadOnly())
	require.ErrorContains(t, err, "is a folder")
}

func TestPathIsNowhere(t *testing.T) {
	folder := t.TempDir()
	err := requireRefused(t, folder, filepath.Join(folder, "missing", "store.db"))
	require.ErrorIs(t, err, fs.ErrNotExist)
	require.ErrorContains(t, err, "missing")
	require.NoError(t, os.WriteFile(filepath.Join(folder, "file"), []byte("x"), 0o600))
	requireRefused(t, folder, filepath.Join(folder, "file", "store.db"))
}

// What can't be used as a database is refused with the reason, and left as it
// is to the byte.
func TestUnusableFiles(t *testing.T) {
	for name, test := range map[string]struct {
		make   func(t *testing.T, path string)
		reason error
		text   string
	}{
		"text": {func(t *testing.T, path string) {
			require.NoError(t, os.WriteFile(path, []byte(strings.Repeat("not a database\n", 1000)), 0o600))
		}, api.NotADatabaseError, "not an SQLite database"},
		"short text": {func(t *testing.T, path string) {
			require.NoError(t, os.WriteFile(path, []byte("hello"), 0o600))
		}, api.NotADatabaseError, "not an SQLite database"},
		"zeros": {func(t *testing.T, path string) {
			require.NoError(t, os.WriteFile(path, make([]byte, 8192), 0o600))
		}, api.NotADatabaseError, "not an SQLite database"},
		"another program's application_id": {func(t *testing.T, path string) {
			execute(t, path, `CREATE TABLE notes (text)`, `PRAGMA application_id = 12345`)
		}, api.NotADatabaseError, "another program"},
		"another program's user_version": {func(t *testing.T, path string) {
			execute(t, path, `CREATE TABLE notes (text)`, `PRAGMA user_version = 7`)
		}, api.NotADatabaseError, "another program"},
		"a newer schema": {func(t *testing.T, path string) {
			makeStore(t, path)
			execute(t, path, `PRAGMA user_version = 9999`)
		}, api.NewerSchemaError, "9999"},
		"UTF-16": {func(t *testing.T, path string) {
			execute(t, path, `PRAGMA encoding = 'UTF-16'`, seedSchema, `INSERT INTO entries VALUES ('g', 'k', 'v', NULL)`)
		}, api.EncodingError, "UTF-16"},
		"cut in half": {func(t *testing.T, path string) {
			makeStore(t, path)
			info, err := os.Stat(path)
			require.NoError(t, err)
			require.NoError(t, os.Truncate(path, info.Size()/2))
		}, api.TruncatedFileError, "header says"},
		"cut within its last page": {func(t *testing.T, path string) {
			makeStore(t, path)
			info, err := os.Stat(path)
			require.NoError(t, err)
			require.NoError(t, os.Truncate(path, info.Size()-1))
		}, api.TruncatedFileError, "header says"},
		"cut within its header": {func(t *testing.T, path string) {
			makeStore(t, path)
			require.NoError(t, os.Truncate(path, 50))
		}, nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			path := newPath(t)
			test.make(t, path)
			require.NoError(t, os.RemoveAll(path+"-lock")) // a refusal leaves none behind
			for _, options := range [][]api.Option{nil, {api.WithReadOnly()}} {
				err := requireRefused(t, filepath.Dir(path), path, options...)
				require.ErrorContains(t, err, test.text)
				if test.reason != nil {
					require.ErrorIs(t, err, test.reason)
				}
			}
		})
	}
}

// makeStore makes a file of some hundred pages.
func makeStore(t *testing.T, path string) {
	t.Helper()
	store := openStore(t, path)
	items := make([]api.Item, 500)
	for i := range items {
		items[i] = api.Item{Group: "g", Key: string(rune('a'+i%26)) + strings.Repeat("k", i), Value: strings.Repeat("v", 500)}
	}
	require.NoError(t, store.SetAll(items))
	require.NoError(t, store.Close())
}

// The error says which process has the file: another process, or this one.
func TestLocked(t *testing.T) {
	path := newPath(t)
	makeStore(t, path)
	owner := startChild(t, taskHold, path)
	before := fingerprint(t, filepath.Dir(path))
	_, err := api.New(path)
	var locked *api.LockedError
	require.ErrorAs(t, err, &locked)
	require.Equal(t, owner.cmd.Process.Pid, locked.PID)
	require.ErrorContains(t, err, "store.New: ")
	require.ErrorContains(t, err, "WithReadOnly")
	require.Equal(t, before, fingerprint(t, filepath.Dir(path)))
	owner.finish()

	store := openStore(t, path)
	_, err = api.New(path)
	require.ErrorAs(t, err, &locked)
	require.Equal(t, os.Getpid(), locked.PID)
	requireCount(t, store, "", 500) // the owner did not notice
	require.NoError(t, store.Set("g", "k", "v"))
	require.NoError(t, store.Close())
	requireCount(t, openStore(t, path), "", 501)
}

// Of many that open at once one gets the file.
func TestOpenersRace(t *testing.T) {
	path := newPath(t)
	stores := make(chan *api.Store, 16)
	require.NoError(t, together(16, func(int) error {
		store, err := api.New(path)
		if err == nil {
			stores <- store
			return nil
		}
		var locked *api.LockedError
		if !errors.As(err, &locked) || locked.PID != os.Getpid() {
			return err
		}
		return nil
	}))
	require.Len(t, stores, 1)
	require.NoError(t, (<-stores).Close())
}

// An empty file is an empty database, as it is for SQLite.
func TestEmptyFile(t *testing.T) {
	path := newPath(t)
	require.NoError(t, os.WriteFile(path, nil, 0o600))
	store := openStore(t, path)
	require.NoError(t, store.Set("g", "k", "v"))
	require.NoError(t, store.Close())
	requireValue(t, openStore(t, path), "g", "k", "v")
}

// Tables that other programs make in a store's file stay. A database that was theirs
// first is not ours to take.
func TestOtherTablesStay(t *testing.T) {
	path := newPath(t)
	notes := []string{`CREATE TABLE notes (text)`, `INSERT INTO notes VALUES ('keep me')`, `CREATE VIEW kv AS SELECT * FROM notes`}
	execute(t, path, notes...)
	require.ErrorIs(t, requireRefused(t, filepath.Dir(path), path), api.NotADatabaseError)
	require.ErrorIs(t, requireRefused(t, filepath.Dir(path), path, api.WithReadOnly()), api.NotADatabaseError)

	path = newPath(t)
	require.NoError(t, openStore(t, path).Close())
	execute(t, path, notes...)
	store := openStore(t, path)
	require.NoError(t, store.Set("g", "k", "v"))
	require.NoError(t, store.Close())
	require.Equal(t, "keep me", query[string](t, path, `SELECT text FROM notes`))
}

// The calls that have limits of their own.
func TestInvalidPages(t *testing.T) {
	forEachHandle(t, func(t *testing.T, store handle) {
		for _, page := range [][2]int{{-1, 1}, {0, -1}, {-1, -1}} {
			entries, err := store.GetPage("g", page[0], page[1])
			require.Nil(t, entries)
			require.ErrorIs(t, err, api.InvalidPageError)
			require.ErrorContains(t, err, "store.GetPage: ")
		}
	})
}
