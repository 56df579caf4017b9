package api_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"forge.lthn.ai/core/go-store/api"
	"forge.lthn.ai/core/go-store/internal/testkit"
)

// tracer is one that a test makes of functions.
type tracer func(ctx context.Context, r api.TracedRequest) (context.Context, func(api.TracedResult))

func (f tracer) Begin(ctx context.Context, r api.TracedRequest) (context.Context, func(api.TracedResult)) {
	return f(ctx, r)
}

// goroutine is the number of the one that calls it.
func goroutine() string {
	var stack [64]byte
	return strings.Fields(string(stack[:runtime.Stack(stack[:], false)]))[1]
}

// TestTracerIsCalledByTheCaller, at the beginning and at the end, whatever is asked.
func TestTracerIsCalledByTheCaller(t *testing.T) {
	forEachPath(t, func(t *testing.T, path string) {
		var mu sync.Mutex
		seen := map[string]int{}
		strangers := 0
		store := openStore(t, path, api.WithTracer(tracer(func(ctx context.Context, r api.TracedRequest) (context.Context, func(api.TracedResult)) {
			began, asked := goroutine(), ctx.Value(asking{})
			return ctx, func(result api.TracedResult) {
				mu.Lock()
				defer mu.Unlock()
				seen[r.Kind+" "+result.Result]++
				if asked != nil && (began != asked || goroutine() != asked) {
					strangers++
				}
			}
		})))
		require.NoError(t, together(8, func(i int) error {
			mine := store.WithContext(context.WithValue(t.Context(), asking{}, goroutine()))
			key := fmt.Sprint(i)
			_, missing := mine.Get("g", "none")
			_, conflict := mine.CompareAndSet("g", key, "v", 1<<40)
			if missing == nil || conflict == nil {
				return errors.New("it was to fail")
			}
			_, errCount := mine.Count("g")
			return errors.Join(errCount, mine.Set("g", key, "v"), mine.Delete("g", key),
				mine.Transaction(func(tx *api.Transaction) error { return tx.Set("t", key, "v") }))
		}))
		require.Equal(t, map[string]int{"get not_found": 8, "set conflict": 8, "count ok": 8, "set ok": 8, "delete ok": 8, "batch ok": 8, "transaction ok": 8}, seen)
		require.Zero(t, strangers)
	})
}

type asking struct{}

// TestTracedBatches: requests of a commit have the same batch, and its figures are right.
func TestTracedBatches(t *testing.T) {
	pause := testkit.NewPause("writer.commit")
	var mu sync.Mutex
	of := map[*api.TracedBatch]int{}
	made := 0
	store := openStore(t, ":memory:", withFailpoint(pause.Hook), api.WithTracer(tracer(func(ctx context.Context, r api.TracedRequest) (context.Context, func(api.TracedResult)) {
		return ctx, func(result api.TracedResult) {
			mu.Lock()
			defer mu.Unlock()
			of[result.Batch]++
			number := result.Batch.Share(func() any { made++; return made }).(int)
			if number > made {
				t.Errorf("shared %d of %d", number, made)
			}
		}
	})))
	first := make(chan error, 1)
	go func() { first <- store.Set("g", "first", "v") }()
	testkit.Await(t, "the first to be committed", pause.Reached)
	rest := make(chan error, 1)
	go func() { rest <- together(9, func(i int) error { return store.Set("g", fmt.Sprint(i), "v") }) }()
	testkit.Until(t, "the others to wait", func() bool { return store.InFlight() == 10 })
	close(pause.Resume)
	require.NoError(t, <-first)
	require.NoError(t, <-rest)
	require.Equal(t, len(of), made)
	require.Less(t, len(of), 10, "some have the same")
	var requests int
	var last uint64
	for b, n := range of {
		require.Equal(t, n, b.Requests)
		if b.Number == 1 {
			require.Equal(t, 1, n, "the first is alone")
			require.EqualValues(t, 1, b.Revision)
		}
		requests += n
		last = max(last, b.Revision)
		require.False(t, b.Committing.Before(b.Began))
		require.False(t, b.Ended.Before(b.Committing))
	}
	require.Equal(t, 10, requests)
	require.EqualValues(t, 10, last)
}

// TestTracerThatHarms: one that panics, forgets the context, or takes its time, does that to its
// own caller alone.
func TestTracerThatHarms(t *testing.T) {
	forEachPath(t, func(t *testing.T, path string) {
		type harm struct{ begin, end func() }
		of := func(ctx context.Context) harm { h, _ := ctx.Value(asking{}).(harm); return h }
		do := func(f func()) {
			if f != nil {
				f()
			}
		}
		store := openStore(t, path, api.WithMetrics(), api.WithTracer(tracer(func(ctx context.Context, r api.TracedRequest) (context.Context, func(api.TracedResult)) {
			h := of(ctx)
			do(h.begin)
			return nil, func(api.TracedResult) { do(h.end) }
		})))
		with := func(h harm) *api.Store { return store.WithContext(context.WithValue(t.Context(), asking{}, h)) }
		require.NoError(t, store.Set("g", "k", "v"), "without a context the request goes on with its own")
		boom := func() { panic("boom") }
		require.PanicsWithValue(t, "boom", func() { _ = with(harm{begin: boom}).Set("g", "begin", "v") })
		requireNotFound(t, store, "g", "begin")
		require.PanicsWithValue(t, "boom", func() { _ = with(harm{end: boom}).Set("g", "end", "v") })
		requireValue(t, store, "g", "end", "v")
		require.PanicsWithValue(t, "boom", func() { _, _ = with(harm{end: boom}).Get("g", "end") })
		require.PanicsWithValue(t, "boom", func() {
			for range with(harm{end: boom}).Scan(api.ScanOptions{}) {
				break
			}
		})

		slow, reached, done := make(chan struct{}), make(chan struct{}), make(chan error, 1)
		go func() { done <- with(harm{end: func() { close(reached); <-slow }}).Set("g", "slow", "v") }()
		testkit.Await(t, "the slow one's end", reached)
		for i := range 100 {
			require.NoError(t, store.Set("g", fmt.Sprint(i), "v"), "no caller waits for it")
		}
		requireValue(t, store, "g", "slow", "v")
		require.Zero(t, store.InFlight())
		close(slow)
		require.NoError(t, <-done)
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			_ = with(harm{end: runtime.Goexit}).Set("g", "gone", "v")
		}()
		testkit.Await(t, "the goroutine's end", ended)
		requireValue(t, store, "g", "gone", "v")
	})
}

// TestTracerOfFailures: what could not be committed has a batch too, which ended.
func TestTracerOfFailures(t *testing.T) {
	faults := testkit.NewFaults()
	var results []api.TracedResult
	store := openStore(t, ":memory:", withFailpoint(faults.Hook), api.WithTracer(tracer(func(ctx context.Context, r api.TracedRequest) (context.Context, func(api.TracedResult)) {
		return ctx, func(result api.TracedResult) { results = append(results, result) }
	})))
	faults.Plan("writer.commit", 1)
	require.ErrorIs(t, store.Set("g", "k", "v"), api.RolledBackError)
	require.ErrorIs(t, store.Set("g", strings.Repeat("k", 1<<17), "v"), api.TooLargeError)
	require.NoError(t, store.Set("g", "k", "v"))
	require.Len(t, results, 3)
	require.Equal(t, []string{"error", "invalid", "ok"}, []string{results[0].Result, results[1].Result, results[2].Result})
	require.False(t, results[0].Batch.Ended.IsZero())
	require.Nil(t, results[1].Batch)
	require.Greater(t, results[2].Batch.Number, results[0].Batch.Number, "numbers outlive a restart of the writer")

	_, err := api.New(":memory:", api.WithTracer(nil))
	require.ErrorIs(t, err, api.InvalidOptionError)
}
