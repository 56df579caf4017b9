package api_test

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"forge.lthn.ai/core/go-store/api"
	"forge.lthn.ai/core/go-store/internal/testkit"
)

var everyday = context.Background()

// A copy holds everything: values, expiries, revisions and the log.
func TestBackup_HoldsEverything(t *testing.T) {
	forEachStore(t, func(t *testing.T, open func(...api.Option) *api.Store) {
		clock := testkit.NewClock()
		store := open(api.WithClock(clock))
		require.NoError(t, store.Set("g", "k\x00\xff", "v"))
		require.NoError(t, store.SetWithTTL("g", "mortal", "v", time.Hour))
		require.NoError(t, store.Set("gone", "k", "v"))
		require.NoError(t, store.DeleteGroup("gone"))
		path := newPath(t)
		require.NoError(t, store.Backup(everyday, path))

		backup := openStore(t, path, api.WithClock(clock))
		requireValue(t, backup, "g", "k\x00\xff", "v")
		want, err := store.Entry("g", "mortal")
		require.NoError(t, err)
		got, err := backup.Entry("g", "mortal")
		require.NoError(t, err)
		assert.Equal(t, want, got)
		was, err := store.Revision()
		require.NoError(t, err)
		is, err := backup.Revision()
		require.NoError(t, err)
		assert.Equal(t, was, is)
		assert.Equal(t, happened(t, store, "gone", "k"), happened(t, backup, "gone", "k"))
		report, err := backup.Check(everyday)
		require.NoError(t, err)
		assert.Empty(t, report.Findings)
		clock.Advance(2 * time.Hour)
		_, err = backup.Get("g", "mortal")
		require.ErrorIs(t, err, api.NotFoundError)
		require.NoError(t, backup.Set("g", "after", "v"))
		now, err := backup.Revision()
		require.NoError(t, err)
		assert.Greater(t, now, is)
	})
}

func happened(t *testing.T, store *api.Store, group, key string) (events []api.Event) {
	t.Helper()
	for event, err := range store.History(group, key) {
		require.NoError(t, err)
		events = append(events, event)
	}
	return events
}

// While many write, a copy is of one moment: every writer's counters are as far as
// one another's, and the check finds nothing.
func TestOperations_BesideWriters(t *testing.T) {
	store := openStore(t, newPath(t), api.WithDurability(api.DurabilityBuffered))
	ctx, stop := context.WithCancel(everyday)
	var writers sync.WaitGroup
	for w := range 8 {
		writers.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				err := store.SetAll([]api.Item{{Group: "a", Key: strconv.Itoa(w), Value: strconv.Itoa(i)},
					{Group: "b", Key: strconv.Itoa(w), Value: strconv.Itoa(i)},
					{Group: "many", Key: fmt.Sprint(w, i), Value: "v"}})
				if !assert.NoError(t, err) {
					return
				}
			}
		})
	}
	for range 5 {
		path := newPath(t)
		require.NoError(t, store.Backup(everyday, path))
		backup := openStore(t, path)
		a, err := backup.GetAll("a")
		require.NoError(t, err)
		b, err := backup.GetAll("b")
		require.NoError(t, err)
		assert.Equal(t, a, b)
		report, err := store.Check(everyday)
		require.NoError(t, err)
		assert.Empty(t, report.Findings)
		report, err = backup.Check(everyday)
		require.NoError(t, err)
		assert.Empty(t, report.Findings)
		_, err = store.Compact(everyday)
		require.NoError(t, err)
	}
	stop()
	writers.Wait()
	report, err := store.Check(everyday)
	require.NoError(t, err)
	assert.Empty(t, report.Findings)
}

// Compaction changes nothing that a store shows, cached or remembered.
func TestCompact_ChangesNothing(t *testing.T) {
	clock := testkit.NewClock()
	store := openStore(t, newPath(t), api.WithClock(clock))
	scope := newScope(t, store, "tenant", api.QuotaConfig{MaxKeys: 2000})
	var items []api.Item
	for i := range 3000 {
		items = append(items, api.Item{Group: "gone", Key: strconv.Itoa(i), Value: "some value"})
	}
	require.NoError(t, store.SetAll(items))
	for i := range 1000 {
		items[i].Group = "kept"
	}
	require.NoError(t, scope.SetAll(items[:1000]))
	require.NoError(t, scope.SetWithTTL("kept", "mortal", "v", time.Hour))
	for i := range 1000 {
		requireValue(t, scope, "kept", strconv.Itoa(i), "some value") // cached, and its place remembered
	}
	require.NoError(t, store.Fold(everyday)) // else there is nothing that is to be given back
	require.NoError(t, store.DeleteGroup("gone"))
	revision, err := store.Revision()
	require.NoError(t, err)
	watcher := store.Watch("*", "*")

	sizes, err := store.Compact(everyday, api.WithProgress(func(done, total int64) { assert.LessOrEqual(t, done, total) }))
	require.NoError(t, err)
	assert.Less(t, sizes.After, sizes.Before)
	for i := range 1000 {
		requireValue(t, scope, "kept", strconv.Itoa(i), "some value")
	}
	now, err := store.Revision()
	require.NoError(t, err)
	assert.Equal(t, revision, now, "it is no change")
	assert.Empty(t, watcher.Events)
	usage, err := store.Usage("tenant")
	require.NoError(t, err)
	assert.Equal(t, api.Usage{Keys: 1001, Groups: 1}, usage)
	require.NoError(t, scope.Set("kept", "1", "changed"))
	requireValue(t, scope, "kept", "1", "changed")
	clock.Advance(2 * time.Hour)
	_, err = scope.Get("kept", "mortal")
	require.ErrorIs(t, err, api.NotFoundError)
	report, err := store.Check(everyday)
	require.NoError(t, err)
	assert.Empty(t, report.Findings)
}

func TestOperations_OfClosedAndReadOnlyStores(t *testing.T) {
	path := newPath(t)
	store := openStore(t, path)
	require.NoError(t, store.Set("g", "k", "v"))
	reader := openStore(t, path, api.WithReadOnly())
	require.NoError(t, reader.Backup(everyday, newPath(t)))
	report, err := reader.Check(everyday)
	require.NoError(t, err)
	assert.True(t, report.Whole())
	assert.Equal(t, int64(1), report.Entries)
	_, err = reader.Compact(everyday)
	require.ErrorIs(t, err, api.ReadOnlyError)
	require.NoError(t, reader.Close())

	require.NoError(t, store.Close())
	to := newPath(t)
	require.ErrorIs(t, store.Backup(everyday, to), api.ClosedError)
	_, err = store.Check(everyday)
	require.ErrorIs(t, err, api.ClosedError)
	_, err = store.Compact(everyday)
	require.ErrorIs(t, err, api.ClosedError)
	require.NoFileExists(t, to)
}

// Close ends what is under way, and waits for it no longer than that.
func TestClose_EndsOperations(t *testing.T) {
	forEachStore(t, func(t *testing.T, open func(...api.Option) *api.Store) {
		for name, operation := range map[string]func(*api.Store, string, api.OperationOption) error{
			"Backup": func(s *api.Store, path string, o api.OperationOption) error { return s.Backup(everyday, path, o) },
			"Check":  func(s *api.Store, _ string, o api.OperationOption) error { _, err := s.Check(everyday, o); return err },
		} {
			t.Run(name, func(t *testing.T) {
				const tries = 30
				for range tries { // the work waits for no progress function, and may be done before Close comes to it
					store := open(api.WithSizeLimits(api.SizeLimits{Commit: 64 << 20}))
					var items []api.Item
					for i := range 20_000 {
						items = append(items, api.Item{Group: "g", Key: strconv.Itoa(i), Value: fmt.Sprintf("%0100d", i)})
					}
					require.NoError(t, store.SetAll(items))
					path := newPath(t)
					closed := make(chan error, 1)
					once := sync.OnceFunc(func() {
						go func() { closed <- store.Close() }()
						for err := error(nil); err == nil; { // until it has begun
							_, err = store.Count("g")
						}
					})
					ended := operation(store, path, api.WithProgress(func(int64, int64) { once() }))
					once()
					require.NoError(t, <-closed)
					if ended == nil && name == "Backup" {
						continue
					}
					if name == "Backup" || ended != nil { // of a store in memory there is little to check
						require.ErrorIs(t, ended, api.ClosedError)
					}
					require.NoFileExists(t, path)
					entries, err := os.ReadDir(filepath.Dir(path))
					require.NoError(t, err)
					assert.Empty(t, entries)
					return
				}
				t.Fatalf("in %d tries it was done before Close", tries)
			})
		}
	})
}

func TestOperations_ObeyBothContexts(t *testing.T) {
	store := openStore(t, newPath(t))
	ended, cancel := context.WithCancel(everyday)
	cancel()
	for name, call := range map[string]func(s *api.Store, ctx context.Context) error{
		"Backup":  func(s *api.Store, ctx context.Context) error { return s.Backup(ctx, newPath(t)) },
		"Check":   func(s *api.Store, ctx context.Context) error { _, err := s.Check(ctx); return err },
		"Compact": func(s *api.Store, ctx context.Context) error { _, err := s.Compact(ctx); return err },
	} {
		require.ErrorIs(t, call(store, ended), context.Canceled, name)
		require.ErrorIs(t, call(store.WithContext(ended), everyday), context.Canceled, name)
		require.ErrorIs(t, call(store, nil), api.InvalidOptionError, name) //nolint:staticcheck // that is what is tried
		require.NoError(t, call(store, everyday), name)
	}
	require.ErrorIs(t, store.Backup(everyday, newPath(t), nil), api.InvalidOptionError)
}

// A file that New refuses for its damage is restored, or salvaged, under errors
// that have names.
func TestOperations_AfterDamage(t *testing.T) {
	path, backup := newPath(t), newPath(t)
	store := openStore(t, path)
	require.NoError(t, store.Set("g", "k", "v"))
	require.NoError(t, store.Backup(everyday, backup))
	require.NoError(t, store.Set("g", "k", "w"))
	require.NoError(t, store.Close())
	wreck(path)
	saved := newPath(t)
	report, err := api.Salvage(everyday, path, saved)
	require.NoError(t, err)
	assert.Equal(t, int64(1), report.Entries)
	assert.Equal(t, uint64(2), report.Revision)
	requireValue(t, openStore(t, saved), "g", "k", "w")
	_, err = api.Salvage(everyday, path, saved)
	require.ErrorIs(t, err, fs.ErrExist)

	require.ErrorIs(t, api.Restore(everyday, path, backup), api.NotADatabaseError)
	require.NoError(t, api.Restore(everyday, path, backup, api.WithForce()))
	requireValue(t, openStore(t, path), "g", "k", "v")
}

// A compaction that is under way ends with Close or its context, and nothing has
// happened to the store.
func TestCompact_EndsEarly(t *testing.T) {
	for name, end := range map[string]func(*api.Store, context.CancelFunc){
		"context": func(_ *api.Store, cancel context.CancelFunc) { cancel() },
		"Close":   func(s *api.Store, _ context.CancelFunc) { go func() { _ = s.Close() }() },
		"panic":   func(*api.Store, context.CancelFunc) { panic("callback") },
	} {
		t.Run(name, func(t *testing.T) {
			path := newPath(t)
			store := openStore(t, path)
			var items []api.Item
			for i := range 50_000 {
				items = append(items, api.Item{Group: strconv.Itoa(i % 100), Key: strconv.Itoa(i), Value: "some value of some length"})
			}
			require.NoError(t, store.SetAll(items))
			require.NoError(t, store.DeletePrefix("1"))
			ctx, cancel := context.WithCancel(everyday)
			defer cancel()
			once := sync.OnceFunc(func() { end(store, cancel) })
			func() {
				defer func() { assert.Equal(t, name == "panic", recover() != nil) }()
				_, err := store.Compact(ctx, api.WithProgress(func(int64, int64) { once() }))
				if err != nil { // it may have been too late
					assert.ErrorIs(t, err, map[string]error{"context": context.Canceled, "Close": api.ClosedError}[name])
				}
			}()
			require.NoError(t, store.Close())
			entries, err := os.ReadDir(filepath.Dir(path))
			require.NoError(t, err)
			assert.Len(t, entries, 2, "the database and its lock")
			store = openStore(t, path)
			report, err := store.Check(everyday)
			require.NoError(t, err)
			assert.Empty(t, report.Findings)
			assert.Equal(t, int64(44_500), report.Entries)
		})
	}
}
