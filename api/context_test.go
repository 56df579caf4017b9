package api_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"forge.lthn.ai/core/go-store/api"
	"forge.lthn.ai/core/go-store/internal/testkit"
)

// mutations are all calls that change something, by name.
func mutations(store handle) map[string]func() error {
	return map[string]func() error{
		"Set":          func() error { return store.Set("g", "new", "v") },
		"SetWithTTL":   func() error { return store.SetWithTTL("g", "new", "v", time.Hour) },
		"SetAll":       func() error { return store.SetAll([]api.Item{{Group: "g", Key: "new"}}) },
		"Delete":       func() error { return store.Delete("g", "k") },
		"DeleteGroup":  func() error { return store.DeleteGroup("g") },
		"DeletePrefix": func() error { return store.DeletePrefix("") },
		"PurgeExpired": func() error { _, err := store.PurgeExpired(); return err },
	}
}

// reads are all calls that change nothing, by name. The key g/k exists.
func reads(store handle) map[string]func() error {
	return map[string]func() error{
		"Get":         func() error { _, err := store.Get("g", "k"); return err },
		"Exists":      func() error { _, err := store.Exists("g", "k"); return err },
		"GroupExists": func() error { _, err := store.GroupExists("g"); return err },
		"GetAll":      func() error { _, err := store.GetAll("g"); return err },
		"GetPage":     func() error { _, err := store.GetPage("g", 0, 1); return err },
		"GetMany":     func() error { _, err := store.GetMany("g", "k"); return err },
		"AppendValue": func() error { _, err := store.AppendValue(nil, "g", "k"); return err },
		"Snapshot": func() error {
			s, err := store.Snapshot()
			if err == nil {
				err = s.Close()
			}
			return err
		},
		"Scan": func() (last error) {
			for _, err := range store.Scan(api.ScanOptions{}) {
				last = err
			}
			return last
		},
		"Count":     func() error { _, err := store.Count("g"); return err },
		"CountAll":  func() error { _, err := store.CountAll("g"); return err },
		"Groups":    func() error { _, err := store.Groups("g"); return err },
		"GetSplit":  func() error { _, err := store.GetSplit("g", "k", ","); return err },
		"GetFields": func() error { _, err := store.GetFields("g", "k"); return err },
		"Render":    func() error { _, err := store.Render("{{ .k }}", "g"); return err },
		"All": func() (last error) {
			for _, err := range store.All("g") {
				last = err
			}
			return last
		},
		"GroupsSeq": func() (last error) {
			for _, err := range store.GroupsSeq("") {
				last = err
			}
			return last
		},
	}
}

// both runs a test with a store and with a view of it, each with a context.
func both(t *testing.T, store *api.Store, ctx context.Context, test func(t *testing.T, limited handle)) {
	t.Helper()
	t.Run("store", func(t *testing.T) { test(t, store.WithContext(ctx)) })
	t.Run("scope", func(t *testing.T) { test(t, newScope(t, store, "tenant").WithContext(ctx)) })
}

// A context that has ended before a call: nothing happens, and that is certain.
func TestCancelledBefore(t *testing.T) {
	forEachStore(t, func(t *testing.T, open func(...api.Option) *api.Store) {
		store := open()
		require.NoError(t, store.Set("g", "k", "v"))
		require.NoError(t, store.Set("tenant:g", "k", "v"))
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		watcher := store.Watch("*", "*")
		both(t, store, ended, func(t *testing.T, limited handle) {
			for name, call := range mutations(limited) {
				err := call()
				require.ErrorIs(t, err, context.Canceled, name)
				require.NotErrorIs(t, err, api.UnknownOutcomeError, name)
				require.ErrorContains(t, err, "store."+name+": ")
			}
			for name, call := range reads(limited) {
				require.ErrorIs(t, call(), context.Canceled, name)
			}
		})
		_, err := store.WithContext(ended).Usage("tenant")
		require.ErrorIs(t, err, context.Canceled)
		require.Empty(t, delivered(watcher))
		requireValue(t, store, "g", "k", "v")
		requireCount(t, store, "", 2)
	})
}

// With a context that goes on everything works, and it is one store.
func TestWithContext(t *testing.T) {
	forEachStore(t, func(t *testing.T, open func(...api.Option) *api.Store) {
		store := open()
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		both(t, store, ctx, func(t *testing.T, limited handle) {
			watcher := limited.Watch("g", "*")
			require.NoError(t, limited.Set("g", "k", "v"))
			for name, call := range reads(limited) {
				require.NoError(t, call(), name)
			}
			require.Len(t, delivered(watcher), 1)
			for name, call := range mutations(limited) {
				require.NoError(t, call(), name)
			}
		})
		require.NoError(t, store.WithContext(ctx).Close())
		require.ErrorIs(t, store.Set("g", "k", "v"), api.ClosedError)
	})
}

// One slot, held by a write that stands still: the next waits, and its context
// ends its waiting with nothing written.
func TestCancelledWhileWaitingForAdmission(t *testing.T) {
	forEachStore(t, func(t *testing.T, open func(...api.Option) *api.Store) {
		pause := testkit.NewPause("writer.commit")
		store := open(withFailpoint(pause.Hook), api.WithMaxInFlight(1))
		first := make(chan error, 1)
		go func() { first <- store.Set("g", "first", "v") }()
		testkit.Await(t, "the commit", pause.Reached)
		require.Equal(t, 1, store.InFlight())

		ctx, cancel := context.WithCancel(t.Context())
		waiting := make(chan error, 2)
		go func() { waiting <- store.WithContext(ctx).Set("g", "second", "v") }()
		scope := newScope(t, store, "tenant")
		go func() { waiting <- scope.WithContext(ctx).Set("g", "second", "v") }()
		cancel()
		for range 2 {
			err := testkit.Await(t, "the waiting call", waiting)
			require.ErrorIs(t, err, context.Canceled)
			require.NotErrorIs(t, err, api.UnknownOutcomeError)
		}
		close(pause.Resume)
		require.NoError(t, testkit.Await(t, "the first call", first))
		require.NoError(t, store.Set("g", "third", "v"))
		requireNotFound(t, store, "g", "second")
		requireCount(t, store, "", 2)
		require.Zero(t, store.InFlight())
	})
}

// A context that ends after admission leaves the outcome unknown, and the error
// says so; the write keeps its slot until it is answered.
func TestCancelledDuringCommit(t *testing.T) {
	forEachStore(t, func(t *testing.T, open func(...api.Option) *api.Store) {
		pause := testkit.NewPause("writer.commit")
		store := open(withFailpoint(pause.Hook), api.WithMaxInFlight(1))
		ctx, cancel := context.WithCancel(t.Context())
		result := make(chan error, 1)
		go func() { result <- store.WithContext(ctx).Set("g", "k", "v") }()
		testkit.Await(t, "the commit", pause.Reached)
		cancel()
		err := testkit.Await(t, "the call", result)
		require.ErrorIs(t, err, api.UnknownOutcomeError)
		require.ErrorIs(t, err, context.Canceled)
		require.ErrorContains(t, err, "store.Set: outcome unknown")
		require.Equal(t, 1, store.InFlight())
		close(pause.Resume)
		require.NoError(t, store.Set("g", "l", "v"), "it waits for the slot")
		requireValue(t, store, "g", "k", "v")
	})
}

// A caller that has given up may change its slice: what is written is what it
// held when the call began.
func TestAbandonedSetAll(t *testing.T) {
	forEachStore(t, func(t *testing.T, open func(...api.Option) *api.Store) {
		pause := testkit.NewPause("writer.begin")
		store := open(withFailpoint(pause.Hook))
		ctx, cancel := context.WithCancel(t.Context())
		items := []api.Item{{Group: "g", Key: "k", Value: "v"}}
		result := make(chan error, 1)
		go func() { result <- store.WithContext(ctx).SetAll(items) }()
		testkit.Await(t, "the commit", pause.Reached)
		cancel()
		require.ErrorIs(t, testkit.Await(t, "the call", result), api.UnknownOutcomeError)
		items[0] = api.Item{Group: "h", Key: "l", Value: "w"}
		close(pause.Resume)
		require.NoError(t, store.Set("g", "later", ""), "it comes behind")
		requireValue(t, store, "g", "k", "v")
		requireNotFound(t, store, "h", "l")
	})
}
