package api_test

import (
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"forge.lthn.ai/core/go-store/api"
	"forge.lthn.ai/core/go-store/engine"
	"forge.lthn.ai/core/go-store/internal/testkit"
)

// handle is what a store and a view of a namespace have in common.
type handle interface {
	Set(group, key, value string) error
	SetWithTTL(group, key, value string, timeToLive time.Duration, options ...api.TTLOption) error
	SetAll(items []api.Item) error
	Get(group, key string) (string, error)
	Exists(group, key string) (bool, error)
	GroupExists(group string) (bool, error)
	Delete(group, key string) error
	DeleteGroup(group string) error
	DeletePrefix(groupPrefix string) error
	GetAll(group string) (map[string]string, error)
	GetPage(group string, offset, limit int) ([]api.KeyValue, error)
	GetMany(group string, keys ...string) (map[string]string, error)
	AppendValue(buffer []byte, group, key string) ([]byte, error)
	Scan(options api.ScanOptions) iter.Seq2[api.ScanEntry, error]
	Snapshot() (*api.Snapshot, error)
	All(group string) iter.Seq2[api.KeyValue, error]
	Count(group string) (int, error)
	CountAll(groupPrefix string) (int, error)
	Groups(groupPrefix string) ([]string, error)
	GroupsSeq(groupPrefix string) iter.Seq2[string, error]
	GetSplit(group, key, separator string) (iter.Seq[string], error)
	GetFields(group, key string) (iter.Seq[string], error)
	Render(templateSource, group string) (string, error)
	PurgeExpired() (int64, error)
	Watch(group, key string) *api.Watcher
	WatchActor(pid *api.PID, group, key string) *api.Watcher
	Unwatch(watcher *api.Watcher)
	OnChange(callback func(api.Event)) (unregister func())
	CallbackOverflow() uint64
	InFlight() int
}

var (
	_ handle = (*api.Store)(nil)
	_ handle = (*api.ScopedStore)(nil)
)

// forEachStore runs a test with each kind of store. Every call of open is a
// store of its own, closed when the test ends.
func forEachStore(t *testing.T, test func(t *testing.T, open func(options ...api.Option) *api.Store)) {
	t.Helper()
	t.Run("memory", func(t *testing.T) {
		test(t, func(options ...api.Option) *api.Store { return openStore(t, ":memory:", options...) })
	})
	t.Run("file", func(t *testing.T) {
		test(t, func(options ...api.Option) *api.Store { return openStore(t, newPath(t), options...) })
	})
}

// forEachPath is for tests that open and close the store themselves.
func forEachPath(t *testing.T, test func(t *testing.T, path string)) {
	t.Helper()
	t.Run("memory", func(t *testing.T) { test(t, ":memory:") })
	t.Run("file", func(t *testing.T) { test(t, newPath(t)) })
}

// forEachHandle runs a test with each kind of store, directly and through a
// view of a namespace that has other namespaces around it.
func forEachHandle(t *testing.T, test func(t *testing.T, store handle), options ...api.Option) {
	t.Helper()
	forEachStore(t, func(t *testing.T, open func(...api.Option) *api.Store) {
		t.Run("store", func(t *testing.T) { test(t, open(options...)) })
		t.Run("scope", func(t *testing.T) {
			store := open(options...)
			neighbours := map[string]string{}
			for _, group := range []string{"tenan:g", "tenant-b:g", "tenant;:g", "g", "tenant", "TENANT:g"} {
				require.NoError(t, store.Set(group, "neighbour", group))
				neighbours[group] = group
			}
			test(t, newScope(t, store, "tenant"))
			for group, value := range neighbours {
				requireValue(t, store, group, "neighbour", value)
			}
		})
	})
}

// forEachTimedHandle is forEachHandle with a clock for each that the test moves.
func forEachTimedHandle(t *testing.T, test func(t *testing.T, store handle, clock *testkit.Clock), options ...api.Option) {
	t.Helper()
	forEachStore(t, func(t *testing.T, open func(...api.Option) *api.Store) {
		clock := testkit.NewClock()
		options := append([]api.Option{api.WithClock(clock)}, options...)
		t.Run("store", func(t *testing.T) { test(t, open(options...), clock) })
		t.Run("scope", func(t *testing.T) { test(t, newScope(t, open(options...), "tenant"), clock) })
	})
}

func newPath(t testing.TB) string {
	t.Helper()
	return filepath.Join(t.TempDir(), "store.db")
}

func openStore(t testing.TB, path string, options ...api.Option) *api.Store {
	t.Helper()
	store, err := api.New(path, options...)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, store.Close()) })
	return store
}

func newScope(t testing.TB, store *api.Store, namespace string, quota ...api.QuotaConfig) *api.ScopedStore {
	t.Helper()
	if len(quota) == 0 {
		scope, err := api.NewScoped(store, namespace)
		require.NoError(t, err)
		return scope
	}
	scope, err := api.NewScopedWithQuota(store, namespace, quota[0])
	require.NoError(t, err)
	return scope
}

// withFailpoint has hook called at every step of every actor. It may block.
func withFailpoint(hook func(step string)) api.Option {
	return func(c *engine.Config) error { c.Failpoint = hook; return nil }
}

func requireValue(t testing.TB, store handle, group, key, value string) {
	t.Helper()
	got, err := store.Get(group, key)
	require.NoError(t, err)
	require.Equal(t, value, got)
}

func requireNotFound(t testing.TB, store handle, group, key string) {
	t.Helper()
	_, err := store.Get(group, key)
	require.ErrorIs(t, err, api.NotFoundError)
}

func requireCount(t testing.TB, store handle, groupPrefix string, keys int) {
	t.Helper()
	count, err := store.CountAll(groupPrefix)
	require.NoError(t, err)
	require.Equal(t, keys, count)
}

// together runs n functions at once and returns, once all have ended, what
// they returned.
func together(n int, run func(i int) error) error {
	errs := make([]error, n)
	var group sync.WaitGroup
	for i := range n {
		group.Go(func() { errs[i] = run(i) })
	}
	group.Wait()
	return errors.Join(errs...)
}

// awaitTimer returns once a timer is set that fires within d. The goroutine that sets one
// reads the clock first: a test that moves the clock in between goes unnoticed.
func awaitTimer(t testing.TB, clock *testkit.Clock, d time.Duration) {
	t.Helper()
	testkit.Within(t, "a timer", func() { clock.AwaitTimer(d) })
}

// nextInTime moves the clock from one timer to the next until an event comes.
func nextInTime(t testing.TB, clock *testkit.Clock, watcher *api.Watcher) api.Event {
	t.Helper()
	for began := time.Now(); time.Since(began) < testkit.Patience; runtime.Gosched() {
		select {
		case event := <-watcher.Events:
			return event
		default:
		}
		if wait, armed := clock.Next(); armed {
			clock.Advance(wait)
		}
	}
	require.FailNow(t, "no event came, whatever the clock showed")
	return api.Event{}
}

// next is the next event of a watcher, which may be still to come.
func next(t testing.TB, watcher *api.Watcher) api.Event {
	t.Helper()
	return testkit.Await(t, "an event", watcher.Events)
}

// delivered is what is in a watcher's channel now.
func delivered(watcher *api.Watcher) (events []api.Event) {
	for {
		select {
		case event, open := <-watcher.Events:
			if !open {
				return events
			}
			events = append(events, event)
		default:
			return events
		}
	}
}

// change is an event without its time.
type change struct {
	Type              api.EventType
	Group, Key, Value string
}

func changeOf(e api.Event) change { return change{e.Type, e.Group, e.Key, e.Value} }

func changes(events []api.Event) []change {
	all := []change{}
	for _, event := range events {
		all = append(all, changeOf(event))
	}
	return all
}

// openRaw opens a file that no store has open as any other program would.
func openRaw(t testing.TB, path string) *sql.DB {
	t.Helper()
	database, err := sql.Open("sqlite", path)
	require.NoError(t, err)
	database.SetMaxOpenConns(1)
	return database
}

// execute runs statements on a file that no store has open.
func execute(t testing.TB, path string, statements ...string) {
	t.Helper()
	database := openRaw(t, path)
	for _, statement := range statements {
		_, err := database.Exec(statement)
		require.NoError(t, err, statement)
	}
	require.NoError(t, database.Close())
}

// query is the single figure or text that a query finds in a file that no
// store has open.
func query[T any](t testing.TB, path, statement string, arguments ...any) (found T) {
	t.Helper()
	database := openRaw(t, path)
	require.NoError(t, database.QueryRow(statement, arguments...).Scan(&found), statement)
	require.NoError(t, database.Close())
	return found
}

// fingerprint is every file below a folder with its mode and a digest of its
// content.
func fingerprint(t testing.TB, folder string) map[string]string {
	t.Helper()
	found := map[string]string{}
	err := filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		found[path] = info.Mode().String()
		if info.Mode().IsRegular() {
			content, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			found[path] += fmt.Sprintf(" %d bytes %x", len(content), sha256.Sum256(content))
		}
		return nil
	})
	require.NoError(t, err)
	return found
}

// copyFile copies a file as any user would.
func copyFile(t testing.TB, from, to string) {
	t.Helper()
	content, err := os.ReadFile(from)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(to, content, 0o600))
}
