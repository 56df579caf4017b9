package engine

import (
	"context"
	"errors"
	"path/filepath"
	"testing"
	"time"

	"forge.lthn.ai/core/go-store/internal/storage/faultfs"
	"forge.lthn.ai/core/go-store/internal/testkit"
	"forge.lthn.ai/core/go-store/kv"

	"github.com/stretchr/testify/require"
)

func TestMain(m *testing.M) {
	faultfs.Install()
	testkit.Main(m)
}

// overlaid and direct are the names of files whose commits go into a small overlay, or into the
// table at once.
const (
	overlaid = "overlaid.db"
	direct   = "direct.db"
)

// eachStorage runs a test in memory, on a file, and on files with a small overlay and without
// one. The file is the test's own, so that it can be opened again.
func eachStorage(t *testing.T, test func(t *testing.T, path string)) {
	t.Run("memory", func(t *testing.T) { test(t, ":memory:") })
	t.Run("file", func(t *testing.T) { test(t, filepath.Join(t.TempDir(), "store.db")) })
	t.Run("overlay", func(t *testing.T) { test(t, filepath.Join(t.TempDir(), overlaid)) })
	t.Run("direct", func(t *testing.T) { test(t, filepath.Join(t.TempDir(), direct)) })
}

// open opens a store that is closed by the end of the test.
func open(t *testing.T, config Config) *Engine {
	t.Helper()
	if config.Path == "" {
		config.Path = ":memory:"
	}
	switch filepath.Base(config.Path) {
	case overlaid:
		config.Overlay = minOverlay
	case direct:
		config.Overlay = -1
	}
	e, err := Open(config)
	require.NoError(t, err)
	t.Cleanup(func() { closeNow(t, e) })
	return e
}

func closeNow(t *testing.T, e *Engine) {
	t.Helper()
	testkit.Within(t, "Close", func() {
		if err := e.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
}

func set(group, key, value string) kv.Mutation {
	return kv.Mutation{Kind: kv.Set, Group: group, Key: key, Value: value}
}

func ttl(m kv.Mutation, d time.Duration) kv.Mutation {
	m.HasTTL, m.TimeToLive = true, d
	return m
}

func within(m kv.Mutation, namespace string, quota kv.QuotaConfig) kv.Mutation {
	m.Namespace, m.Quota = namespace, quota
	return m
}

// apply applies a mutation, within the test's patience.
func apply(t *testing.T, e *Engine, m kv.Mutation) (kv.Outcome, error) {
	t.Helper()
	got := testkit.Await(t, "a mutation", send(context.Background(), e, m))
	return got.Outcome, got.err
}

// must is an apply that succeeds.
func must(t *testing.T, e *Engine, m kv.Mutation) kv.Outcome {
	t.Helper()
	outcome, err := apply(t, e, m)
	require.NoError(t, err)
	return outcome
}

type result struct {
	kv.Outcome
	err error
}

// send applies a mutation in a goroutine.
func send(ctx context.Context, e *Engine, m kv.Mutation) <-chan result {
	results := make(chan result, 1)
	go func() {
		outcome, err := e.Apply(ctx, m)
		results <- result{outcome, err}
	}()
	return results
}

// value is what a key holds.
func value(t testing.TB, e *Engine, group, key string) testkit.Value {
	t.Helper()
	found, err := look(e, group, key)
	if err != nil {
		t.Errorf("Get %q/%q: %v", group, key, err)
	}
	return found
}

func look(e *Engine, group, key string) (testkit.Value, error) {
	row, err := e.Get(context.Background(), group, key)
	if errors.Is(err, kv.NotFoundError) {
		return testkit.Absent, nil
	}
	return testkit.Present(row.Value), err
}

// counted compares what the store says lives in a namespace with what it finds
// when it looks at every row. Rows that expire meanwhile make them differ for
// a moment; figures that are wrong differ for good.
func counted(t *testing.T, e *Engine, namespace string) {
	t.Helper()
	var told, found kv.Usage
	testkit.Until(t, "agreement of usage and rows in "+namespace, func() bool {
		var err error
		testkit.Within(t, "Usage", func() { told, err = e.Usage(context.Background(), namespace) })
		if err != nil {
			return false // a failure lost the question: it is asked again
		}
		found, err = e.reads.Usage(context.Background(), kv.NamespaceRange(namespace), e.clock.Millis())
		require.NoError(t, err)
		return told == found
	})
}

// collect receives a watcher's events until it is closed.
func collect(w *Watcher) func() []kv.Event {
	done := make(chan []kv.Event, 1)
	go func() {
		var all []kv.Event
		for event := range w.Events {
			all = append(all, event)
		}
		done <- all
	}()
	return func() []kv.Event { return <-done }
}

// expires checks that a key with a deadline is still removed by itself.
func expires(t *testing.T, e *Engine, key string) {
	t.Helper()
	w := e.Watch("", "expiry", key)
	must(t, e, ttl(set("expiry", key, "v"), time.Millisecond))
	for {
		event := testkit.Await(t, "the event of an expiry", w.Events)
		if event.Type == kv.EventExpire {
			require.Equal(t, "v", event.Value)
			break
		}
	}
	e.Unwatch(w)
}
