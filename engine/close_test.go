package engine

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"forge.lthn.ai/core/go-store/internal/testkit"
	"forge.lthn.ai/core/go-store/kv"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// everything calls each method once and returns the first error of any.
var everything = map[string]func(e *Engine) error{
	"Set":       func(e *Engine) error { return change(e, set("n:g", "k", "v")) },
	"quota Set": func(e *Engine) error { return change(e, within(set("n:g", "q", "v"), "n", quotas[roomy])) },
	"first quota Set": func(e *Engine) error {
		n := fmt.Sprint("n", serial.Add(1))
		return change(e, within(set(n+":g", "q", "v"), n, quotas[roomy]))
	},
	"SetWithTTL": func(e *Engine) error { return change(e, ttl(set("n:g", "t", "v"), time.Millisecond)) },
	"SetAll": func(e *Engine) error {
		return change(e, kv.Mutation{Kind: kv.Batch, Operations: []kv.Operation{{Group: "n:g", Key: "a"}, {Group: "n:g", Key: "b"}}})
	},
	"Delete":      func(e *Engine) error { return change(e, kv.Mutation{Kind: kv.Delete, Group: "n:g", Key: "k"}) },
	"DeleteGroup": func(e *Engine) error { return change(e, kv.Mutation{Kind: kv.DeleteGroup, Group: "n:g"}) },
	"DeletePrefix": func(e *Engine) error {
		return change(e, kv.Mutation{Kind: kv.DeletePrefix, Range: kv.PrefixRange("n")})
	},
	"PurgeExpired": func(e *Engine) error { return second(e.PurgeExpired(context.Background(), kv.PrefixRange(""))) },
	"Get":          func(e *Engine) error { return second(e.Get(context.Background(), "n:g", "k")) },
	"GroupExists":  func(e *Engine) error { return second(e.GroupExists(context.Background(), "n:g")) },
	"Count":        func(e *Engine) error { return second(e.Count(context.Background(), kv.PrefixRange(""))) },
	"Page":         func(e *Engine) error { return second(e.Page(context.Background(), "n:g", 0, 10)) },
	"Usage":        func(e *Engine) error { return second(e.Usage(context.Background(), "n")) },
	"first Usage":  func(e *Engine) error { return second(e.Usage(context.Background(), fmt.Sprint("u", serial.Add(1)))) },
	"Scan": func(e *Engine) error {
		for _, err := range e.Scan(context.Background(), GroupQuery("n:g")) {
			if err != nil {
				return err
			}
		}
		return nil
	},
	"Groups": func(e *Engine) error {
		for _, err := range e.Groups(context.Background(), kv.PrefixRange("")) {
			if err != nil {
				return err
			}
		}
		return nil
	},
	"Watch": func(e *Engine) error {
		w := e.Watch("", "n:g", "*")
		e.Unwatch(w)
		for range w.Events { // ends: it is closed
		}
		return nil
	},
	"OnChange": func(e *Engine) error {
		e.OnChange(func(kv.Event) {})()
		return nil
	},
	"figures": func(e *Engine) error {
		_, _ = e.InFlight(), e.CallbackOverflow()
		return nil
	},
}

var serial atomic.Int64

func change(e *Engine, m kv.Mutation) error { return second(e.Apply(context.Background(), m)) }

func second[T any](_ T, err error) error { return err }

// TestCloseUnderLoad: 64 goroutines call everything while the store closes.
// Every call returns, and says that the store is closed or what it did.
func TestCloseUnderLoad(t *testing.T) {
	eachStorage(t, func(t *testing.T, path string) {
		for round := range 3 {
			e := open(t, Config{Path: path, PurgeInterval: time.Millisecond, MaxInFlight: []int{1, 8, 4096}[round]})
			watcher := e.Watch("", "*", "*")
			var calls atomic.Int64
			var calling sync.WaitGroup
			for range 4 {
				for name, call := range everything {
					calling.Go(func() {
						for err := error(nil); !errors.Is(err, kv.ClosedError); err = call(e) {
							if !assert.True(t, err == nil || errors.Is(err, kv.NotFoundError), "%s: %v", name, err) {
								return
							}
							if calls.Add(1); e.closed.Load() && (name == "Watch" || name == "OnChange" || name == "figures") {
								return // nothing to fail with
							}
						}
					})
				}
			}
			testkit.Until(t, "progress of the load", func() bool { return calls.Load() > 200 })
			testkit.Within(t, "concurrent Closes", func() {
				var closing sync.WaitGroup
				for range 4 {
					closing.Go(func() { assert.NoError(t, e.Close()) })
				}
				closing.Wait()
			})
			testkit.Within(t, "the callers", calling.Wait)
			testkit.Within(t, "the watcher's end", func() {
				for range watcher.Events {
				}
			})
			for name, call := range everything {
				err := call(e)
				if name != "Watch" && name != "OnChange" && name != "figures" {
					require.ErrorIs(t, err, kv.ClosedError, name)
				}
			}
			require.Zero(t, e.InFlight())
			require.NoError(t, e.Close(), "closing again does nothing")
		}
	})
}

// TestCloseFromACallback of the caller's goroutine, and of the background's.
func TestCloseFromACallback(t *testing.T) {
	eachStorage(t, func(t *testing.T, path string) {
		e := open(t, Config{Path: path})
		closed := make(chan error, 1)
		e.OnChange(func(kv.Event) { closed <- e.Close() })
		_, err := apply(t, e, set("g", "k", "v"))
		require.NoError(t, err, "the write stands")
		require.NoError(t, testkit.Await(t, "Close", closed))

		e = open(t, Config{Path: path, PurgeInterval: time.Millisecond})
		e.OnChange(func(event kv.Event) {
			if event.Type == kv.EventExpire {
				closed <- e.Close()
			}
		})
		must(t, e, ttl(set("g", "k", "v"), time.Millisecond))
		require.NoError(t, testkit.Await(t, "Close from the background", closed))
		_, err = e.Get(t.Context(), "g", "k")
		require.ErrorIs(t, err, kv.ClosedError)
	})
}

// TestCloseFromInsideAScan: the loop gets ClosedError at its next step.
func TestCloseFromInsideAScan(t *testing.T) {
	eachStorage(t, func(t *testing.T, path string) {
		e := open(t, Config{Path: path})
		m := kv.Mutation{Kind: kv.Batch}
		for i := range 3000 {
			m.Operations = append(m.Operations, kv.Operation{Group: "g", Key: fmt.Sprint(i)})
		}
		must(t, e, m)
		var last error
		testkit.Within(t, "the scan", func() {
			for _, last = range e.Scan(context.Background(), GroupQuery("g")) {
				if !e.closed.Load() {
					assert.NoError(t, e.Close())
				}
			}
		})
		require.ErrorIs(t, last, kv.ClosedError)
	})
}

// TestCloseWaitsForACount: writes wait for their namespace to be counted, and
// Close for them.
func TestCloseWaitsForACount(t *testing.T) {
	pause := testkit.NewPause("quota.count")
	e := open(t, Config{Path: filepath.Join(t.TempDir(), "store.db"), Failpoint: pause.Hook})
	waiting := send(t.Context(), e, within(set("n:g", "k", "v"), "n", quotas[roomy]))
	testkit.Await(t, "the count", pause.Reached)
	usage := make(chan error, 1)
	go func() { usage <- second(e.Usage(context.Background(), "n")) }()
	closed := make(chan error, 1)
	go func() { closed <- e.Close() }()
	testkit.Until(t, "the closing", e.closed.Load)
	require.Empty(t, waiting)
	require.Empty(t, closed)
	close(pause.Resume)
	require.NoError(t, testkit.Await(t, "the write", waiting).err)
	require.NoError(t, testkit.Await(t, "Close", closed))
	if err := testkit.Await(t, "Usage", usage); err != nil {
		require.ErrorIs(t, err, kv.ClosedError)
	}
}

// TestOpenAfterClose: nothing keeps the file.
func TestOpenAfterClose(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store.db")
	for i := range 5 {
		e := open(t, Config{Path: path})
		must(t, e, set("g", fmt.Sprint(i), "v"))
		_, err := Open(Config{Path: path})
		var locked *kv.LockedError
		require.ErrorAs(t, err, &locked)
		closeNow(t, e)
	}
	e := open(t, Config{Path: path})
	n, err := e.Count(t.Context(), kv.PrefixRange(""))
	require.NoError(t, err)
	require.Equal(t, 5, n)
}
