package api_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"forge.lthn.ai/core/go-store/api"
	"forge.lthn.ai/core/go-store/internal/testkit"
)

// withRows is the path of a file into which another program has put rows, beside
// one of ours.
func withRows(t *testing.T, statements ...string) string {
	t.Helper()
	path := newPath(t)
	store := openStore(t, path)
	require.NoError(t, store.Set("ok", "k", "v"))
	require.NoError(t, store.Close())
	execute(t, path, statements...)
	return path
}

const intoEntries = "INSERT INTO entries (group_name, entry_key, entry_value, expires_at, revision) VALUES "

// TestDeadlinesThatAreNone: every read of the row says so, in the same words, and
// what it takes to mend it; no other call is disturbed.
func TestDeadlinesThatAreNone(t *testing.T) {
	for kind, value := range map[string]string{
		"text": "'soon'", "empty text": "''", "a BLOB": "x'00'", "an empty BLOB": "x''", "a real number": "12.5",
		"a real number far off": "1e300", "a negative real number": "-0.5", "infinity": "9e999",
	} {
		t.Run(kind, func(t *testing.T) {
			path := withRows(t, intoEntries+"('g', 'k', 'v', "+value+", 1), ('g', 'a', 'v', NULL, 1)")
			clock := testkit.NewClock()
			store := openStore(t, path, api.WithClock(clock))
			snapshot, err := store.Snapshot()
			require.NoError(t, err)
			defer snapshot.Close()
			last := func(entries func(func(api.ScanEntry, error) bool)) (err error) {
				for _, err = range entries {
				}
				return err
			}
			for name, read := range map[string]func() error{
				"Get":         func() error { _, err := store.Get("g", "k"); return err },
				"Exists":      func() error { _, err := store.Exists("g", "k"); return err },
				"Entry":       func() error { _, err := store.Entry("g", "k"); return err },
				"GetMany":     func() error { _, err := store.GetMany("g", "a", "k"); return err },
				"GetAll":      func() error { _, err := store.GetAll("g"); return err },
				"GetPage":     func() error { _, err := store.GetPage("g", 0, 10); return err },
				"second page": func() error { _, err := store.GetPage("g", 1, 10); return err },
				"Scan":        func() error { return last(store.Scan(api.ScanOptions{Groups: api.Exactly("g")})) },
				"everything":  func() error { return last(store.Scan(api.ScanOptions{Reverse: true})) },
				"keys":        func() error { return last(store.Scan(api.ScanOptions{KeysOnly: true})) },
				"Snapshot":    func() error { _, err := snapshot.Get("g", "k"); return err },
				"its GetAll":  func() error { _, err := snapshot.GetAll("g"); return err },
				"Transaction": func() error {
					return store.Transaction(func(tx *api.Transaction) error { _, err := tx.Get("g", "k"); return err })
				},
				"Increment": func() error { _, err := store.Increment("g", "k", 1); return err },
			} {
				err := read()
				require.ErrorContains(t, err, "scan row: g/k: expires_at is ", name)
				require.ErrorContains(t, err, "must be integer milliseconds or NULL: set the key anew, or delete it", name)
				require.NotErrorIs(t, err, api.NotFoundError)
			}
			count, err := store.Count("g")
			require.NoError(t, err)
			require.Equal(t, 2, count)
			groups, err := store.Groups("")
			require.NoError(t, err)
			require.Equal(t, []string{"g", "ok"}, groups)
			exists, err := store.GroupExists("g")
			require.NoError(t, err)
			require.True(t, exists)
			requireValue(t, store, "g", "a", "v")
			requireValue(t, store, "ok", "k", "v")
			_, armed := clock.Next()
			require.True(t, armed, "the snapshot's age")
			require.NoError(t, snapshot.Close())
			_, armed = clock.Next()
			require.False(t, armed, "the reaper sleeps: there is nothing that will expire")
			removed, err := store.PurgeExpired()
			require.NoError(t, err)
			require.Zero(t, removed)

			// A key beside it expires as ever.
			require.NoError(t, store.SetWithTTL("g", "b", "v", time.Second))
			clock.Advance(2 * time.Second)
			requireNotFound(t, store, "g", "b")
			// A write, a batch and a transaction mend it; deletes remove it.
			_, err = store.SetIfAbsent("g", "k", "w")
			mismatch(t, err)
			require.NoError(t, store.Set("g", "k", "w"))
			requireValue(t, store, "g", "k", "w")
			all, err := store.GetAll("g")
			require.NoError(t, err)
			require.Equal(t, map[string]string{"a": "v", "k": "w"}, all)
		})
	}
}

func TestDamagedRowsCanBeRemoved(t *testing.T) {
	for name, remove := range map[string]func(store *api.Store) error{
		"Delete":           func(store *api.Store) error { return store.Delete("g", "k") },
		"CompareAndDelete": func(store *api.Store) error { return store.CompareAndDelete("g", "k", api.AnyRevision) },
		"DeleteGroup":      func(store *api.Store) error { return store.DeleteGroup("g") },
		"DeletePrefix":     func(store *api.Store) error { return store.DeletePrefix("") },
		"Batch":            func(store *api.Store) error { _, err := store.Batch(new(api.Batch).Delete("g", "k")); return err },
		"Transaction": func(store *api.Store) error {
			return store.Transaction(func(tx *api.Transaction) error { return tx.Delete("g", "k") })
		},
		"Set": func(store *api.Store) error { return store.Set("g", "k", "v") },
	} {
		for _, row := range []string{"('g', 'k', 'v', 'soon', 1)", "('g', 'k', 'v', 0.5, -3)", "('g', 'k', x'FF00', 'soon', 'new')"} {
			t.Run(name+" "+row, func(t *testing.T) {
				store := openStore(t, withRows(t, intoEntries+row))
				require.NoError(t, store.SetWithTTL("ok", "gone", "v", 0)) // there are rows that may expire
				watcher := store.Watch("g", "*")
				require.NoError(t, remove(store))
				require.Len(t, delivered(watcher), 1)
				if name == "Set" {
					requireValue(t, store, "g", "k", "v")
				} else {
					requireNotFound(t, store, "g", "k")
					requireCount(t, store, "g", 0)
				}
			})
		}
	}
}

// TestValuesAndRevisionsOfOtherPrograms: whatever type they have, all reads make
// the same of them.
func TestValuesAndRevisionsOfOtherPrograms(t *testing.T) {
	path := withRows(t, intoEntries+`('g', 'blob', x'00FF', NULL, 1), ('g', 'number', 12, NULL, 1), ('g', 'real', 1.5, NULL, 1),
		('g', 'negative', 'v', NULL, -7), ('g', 'text', 'v', NULL, 'seven'), ('g', 'zero', 'v', NULL, 0)`)
	store := openStore(t, path)
	want := map[string]string{"blob": "\x00\xFF", "number": "12", "real": "1.5", "negative": "v", "text": "v", "zero": "v"}
	all, err := store.GetAll("g")
	require.NoError(t, err)
	require.Equal(t, want, all)
	for entry, err := range store.Scan(api.ScanOptions{Groups: api.Exactly("g")}) {
		require.NoError(t, err)
		require.Equal(t, want[entry.Key], entry.Value)
		require.Equal(t, uint64(1), entry.Revision, entry.Key)
		got, err := store.Entry("g", entry.Key)
		require.NoError(t, err)
		require.Equal(t, api.Entry{Value: entry.Value, Revision: 1}, got)
		_, err = store.SetIfAbsent("g", entry.Key, "w")
		mismatch(t, err) // it is there
	}
	page, err := store.GetPage("g", 0, 10)
	require.NoError(t, err)
	for _, pair := range page {
		require.Equal(t, want[pair.Key], pair.Value)
	}
}

// TestRowsThatNothingCanName: a group that is NULL, or no text, is in no group and
// behind no prefix. What goes through everything says so, last.
func TestRowsThatNothingCanName(t *testing.T) {
	path := withRows(t, "ALTER TABLE entries RENAME TO old",
		"CREATE TABLE entries (group_name TEXT, entry_key TEXT, entry_value TEXT, expires_at INTEGER, revision INTEGER DEFAULT 1, UNIQUE (group_name, entry_key))",
		"INSERT INTO entries SELECT * FROM old", "DROP TABLE old",
		intoEntries+"(NULL, 'k', 'v', NULL, 1), (x'67', 'k', 'v', NULL, 1), (NULL, 'dead', 'v', 5, 1), ('ok', 'z', 'v', 6, 1)")
	store := openStore(t, path)
	for _, options := range []api.ScanOptions{{}, {Reverse: true}, {KeysOnly: true}, {From: "k"}} {
		var keys []string
		var last error
		for entry, err := range store.Scan(options) {
			if last = err; err == nil {
				keys = append(keys, entry.Group+"/"+entry.Key)
			}
		}
		require.Equal(t, []string{"ok/k"}, keys, "the others come first")
		require.ErrorContains(t, last, "store.Scan: scan row: the group of 2 rows is NULL or no text")
	}
	_, err := store.Groups("")
	require.ErrorContains(t, err, "store.Groups: scan row: the group of 2 rows")
	groups, err := store.Groups("o")
	require.NoError(t, err)
	require.Equal(t, []string{"ok"}, groups)
	requireCount(t, store, "", 3)
	requireCount(t, store, "o", 1)
	stats, err := store.Stats()
	require.NoError(t, err)
	require.Equal(t, int64(3), stats.Keys)
	require.NoError(t, store.Transaction(func(tx *api.Transaction) error {
		_, err := tx.Groups("")
		require.ErrorContains(t, err, "scan row: ")
		count, err := tx.CountAll("")
		require.NoError(t, err)
		require.Equal(t, 3, count)
		return nil
	}))
	all, err := store.GetAll("ok")
	require.NoError(t, err)
	require.Equal(t, map[string]string{"k": "v"}, all)
	removed, err := store.PurgeExpired()
	require.NoError(t, err)
	require.LessOrEqual(t, removed, int64(1), "or the reaper was first")
	require.NoError(t, store.Close())
	require.Equal(t, 4, query[int](t, path, "SELECT count(*) FROM entries"), "what can't be named is left")
}
