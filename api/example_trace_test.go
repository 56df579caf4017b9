package api_test

import (
	"context"
	"fmt"
	"log"
	"sync"
	"time"

	"forge.lthn.ai/core/go-store/api"
)

// health prints what an operator on call looks at first.
func health(cache api.CacheMetrics, wal api.WALMetrics, checkpoints api.CheckpointMetrics, views api.ViewMetrics, expiry api.ExpiryMetrics) {
	fmt.Println("keys in the cache:", cache.Rows, "hits:", cache.Hits > 0)
	fmt.Println("the WAL is behind:", wal.Behind > 1000, "checkpoints failed:", checkpoints.Failures)
	fmt.Println("snapshots:", views.Open, "expired keys are left for long:", expiry.Lag > time.Minute)
}

// losses prints what listeners have lost, and which actors failed.
func losses(watchers api.ListenerMetrics, callbacks api.CallbackMetrics, actors []api.ActorMetrics) {
	fmt.Println("events lost by watchers:", watchers.Drops, "and by callbacks:", callbacks.Drops)
	for _, actor := range actors {
		if actor.Restarts > 0 {
			fmt.Println(actor.Name, "was started anew")
		}
	}
}

// What a store does is collected from its opening on.
func ExampleWithMetrics() {
	store, err := api.New(":memory:", api.WithMetrics())
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	if err := store.Set("config", "theme", "dark"); err != nil {
		log.Fatal(err)
	}
	m := store.Metrics()
	health(m.Cache, m.WAL, m.Checkpoints, m.Views, m.Expiry)
	losses(m.Watchers, m.Callbacks, m.Actors)
	if len(m.Quotas) == api.MaxQuotaMetrics {
		fmt.Println("there may be more namespaces")
	}
	for s := range m.Samples() {
		if s.Kind == api.SampleGauge && s.Name == "gostore.healthy" {
			fmt.Println(s.Name, s.Value)
		}
	}
	// Output:
	// keys in the cache: 0 hits: false
	// the WAL is behind: false checkpoints failed: 0
	// snapshots: 0 expired keys are left for long: false
	// events lost by watchers: 0 and by callbacks: 0
	// gostore.healthy 1
}

// tracing is a Tracer that is a function.
type tracing func(ctx context.Context, r api.TracedRequest) (context.Context, func(api.TracedResult))

func (t tracing) Begin(ctx context.Context, r api.TracedRequest) (context.Context, func(api.TracedResult)) {
	return t(ctx, r)
}

// A tracer that remembers the request that took longest. Any number of goroutines use it.
func ExampleWithTracer_slowest() {
	var (
		mu      sync.Mutex
		longest time.Duration
		slowest api.TracedRequest
		batch   *api.TracedBatch // nil: it was no write, or changed nothing
	)
	var tracer api.Tracer = tracing(func(ctx context.Context, r api.TracedRequest) (context.Context, func(api.TracedResult)) {
		began := time.Now()
		return ctx, func(result api.TracedResult) {
			mu.Lock()
			defer mu.Unlock()
			if took := time.Since(began); took > longest {
				longest, slowest, batch = took, r, result.Batch
			}
		}
	})
	store, err := api.New(":memory:", api.WithTracer(tracer))
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	if err := store.Set("config", "theme", "dark"); err != nil {
		log.Fatal(err)
	}
	fmt.Println(slowest.Kind, longest > 0, batch.Requests)
	// Output: set true 1
}
