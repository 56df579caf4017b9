package api_test

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"

	"forge.lthn.ai/core/go-store/api"
)

// storedOrder is the keys of a file that no process has open, in the order in which they lie.
func storedOrder(t *testing.T, path string) (keys []string) {
	t.Helper()
	conn, err := sqlite.OpenConn(path, sqlite.OpenReadOnly)
	require.NoError(t, err)
	defer func() { require.NoError(t, conn.Close()) }()
	require.NoError(t, sqlitex.ExecuteTransient(conn, "SELECT group_name || '/' || entry_key FROM entries NOT INDEXED ORDER BY rowid",
		&sqlitex.ExecOptions{ResultFunc: func(stmt *sqlite.Stmt) error {
			keys = append(keys, stmt.ColumnText(0))
			return nil
		}}))
	return keys
}

// What is written in one commit lies in the order of its keys, whatever the order of the
// calls; watchers and the log are told in the order of the calls.
func TestRowsOfOneCommitLieInOrder(t *testing.T) {
	const n = 500
	places := rand.New(rand.NewPCG(1, 2)).Perm(n)
	key := func(i int) (group, key string) { return fmt.Sprint("g", i/250), fmt.Sprintf("%04d", i) }
	items := make([]api.Item, 0, n+1)
	batch, ttl, until := new(api.Batch), new(api.Batch), time.Now().Add(time.Hour)
	for _, i := range places {
		group, key := key(i)
		items = append(items, api.Item{Group: group, Key: key, Value: fmt.Sprint("of ", i)})
		batch.Set(group, key, fmt.Sprint("of ", i))
		ttl.SetUntil(group, key, fmt.Sprint("of ", i), until)
	}
	group, again := key(places[0]) // a key that is written twice has its last value
	items = append(items, api.Item{Group: group, Key: again, Value: "last"})
	batch.Set(group, again, "last")
	ttl.SetUntil(group, again, "last", until)
	for name, write := range map[string]func(store *api.Store) error{
		"SetAll":       func(store *api.Store) error { return store.SetAll(items) },
		"Batch":        func(store *api.Store) error { _, err := store.Batch(batch); return err },
		"with expiry":  func(store *api.Store) error { _, err := store.Batch(ttl); return err },
		"some by some": func(store *api.Store) error { return store.SetAll(items[1:]) },
		"scoped": func(store *api.Store) error {
			scoped, err := api.NewScopedWithQuota(store, "space", api.QuotaConfig{MaxKeys: n, MaxGroups: 2})
			require.NoError(t, err)
			return scoped.SetAll(items)
		},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "store.db")
			store, err := api.New(path, api.WithWatchBuffer(2*n))
			require.NoError(t, err)
			watcher := store.Watch("*", "*")
			require.NoError(t, write(store))
			written := items
			if name == "some by some" {
				written = items[1:]
			}
			for _, item := range written {
				event := <-watcher.Events
				assert.Equal(t, item.Key+item.Value, event.Key+event.Value, "in the order of the calls")
			}
			prefix := ""
			if name == "scoped" {
				prefix = "space:"
			}
			value, err := store.Get(prefix+group, again)
			require.NoError(t, err)
			assert.Equal(t, "last", value)
			require.NoError(t, store.Close())
			stored := storedOrder(t, path)
			require.Len(t, stored, n)
			for i := range n {
				group, key := key(i)
				require.Equal(t, prefix+group+"/"+key, stored[i])
			}
		})
	}
}

// Where the order of the calls can matter, it stands.
func TestBatchesThatAreNotSetsAloneKeepTheirOrder(t *testing.T) {
	store, err := api.New(filepath.Join(t.TempDir(), "store.db"))
	require.NoError(t, err)
	defer func() { require.NoError(t, store.Close()) }()
	_, err = store.Batch(new(api.Batch).Set("g", "z", "1").Increment("g", "a", 1).Set("g", "a", "5").Increment("g", "a", 2).
		DeleteGroup("h").Set("h", "k", "v").Set("g", "b", "x").Delete("g", "b").SetWithTTL("g", "gone", "v", -time.Second).Set("g", "gone", "again"))
	require.NoError(t, err)
	all, err := store.GetAll("g")
	require.NoError(t, err)
	assert.Equal(t, map[string]string{"z": "1", "a": "7", "gone": "again"}, all)
	exists, err := store.Exists("h", "k")
	require.NoError(t, err)
	assert.True(t, exists)
}
