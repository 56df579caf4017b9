package api_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"sync"
	"time"

	"forge.lthn.ai/core/go-store/api"
)

// What a store has done, and how it is.
func ExampleStore_Metrics() {
	store, err := api.New(":memory:", api.WithMetrics())
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	if err := store.Set("config", "theme", "dark"); err != nil {
		log.Fatal(err)
	}
	for _, key := range []string{"theme", "language"} {
		if _, err := store.Get("config", key); err != nil && !errors.Is(err, api.NotFoundError) {
			log.Fatal(err)
		}
	}
	m := store.Metrics()
	for _, r := range m.Requests {
		fmt.Println(r.Kind, r.Results, "in less than a minute:", r.Took.Quantile(0.99) < 60)
	}
	fmt.Println("revision", m.Log.Revision, "healthy:", m.Health == nil, "waiting:", m.Queue.Depth)
	// Output:
	// get map[not_found:1 ok:1] in less than a minute: true
	// set map[ok:1] in less than a minute: true
	// revision 1 healthy: true waiting: 0
}

// A tenant sees its own quota, and the store as a whole.
func ExampleScopedStore_Metrics() {
	store, err := api.New(":memory:")
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	tenant, err := api.NewScopedWithQuota(store, "tenant-1", api.QuotaConfig{MaxKeys: 4})
	if err != nil {
		log.Fatal(err)
	}
	if err := tenant.Set("sessions", "ada", "…"); err != nil {
		log.Fatal(err)
	}
	if _, err := tenant.Usage(); err != nil { // behind it the figures are there
		log.Fatal(err)
	}
	quota := tenant.Metrics().Quotas[0]
	fmt.Printf("%s has %d of %d keys: %.0f %%\n", quota.Namespace, quota.Keys, quota.MaxKeys, 100*quota.Used())
	// Output: tenant-1 has 1 of 4 keys: 25 %
}

// Every figure with a name, for a library of metrics that this module knows nothing of.
func ExampleSample() {
	store, err := api.New(":memory:", api.WithMetrics())
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	if err := store.SetAll([]api.Item{{Group: "g", Key: "a"}, {Group: "g", Key: "b"}}); err != nil {
		log.Fatal(err)
	}
	m := store.Metrics()
	for s := range m.Samples() {
		switch s.Name {
		case "gostore.requests":
			fmt.Println(s.Name, s.Labels, s.Value, s.Kind == api.SampleCounter)
		case "gostore.batch.size":
			fmt.Println(s.Name, s.Histogram.Count(), s.Unit, s.Kind == api.SampleHistogram)
		}
	}
	// Output:
	// gostore.requests [{kind batch} {result ok}] 1 true
	// gostore.batch.size 1 {request} true
}

// What there is to be had, before there is a store.
func ExampleSampleTypes() {
	for _, t := range api.SampleTypes() {
		if t.Kind == api.SampleHistogram && len(t.Labels) > 0 {
			fmt.Printf("%s in %s by %v: %s.\n", t.Name, t.Unit, t.Labels, t.Help)
		}
	}
	// Output: gostore.request.duration in s by [kind]: From a call to its end, or to its first row.
}

// The last minute's figures are what a snapshot has more than one from a minute ago.
func ExampleHistogram() {
	store, err := api.New(":memory:", api.WithMetrics())
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	set := func(key string) {
		if err := store.Set("g", key, "v"); err != nil {
			log.Fatal(err)
		}
	}
	set("a")
	earlier := store.Metrics().Batches
	set("b")
	set("c")
	batches := store.Metrics().Batches
	latest := batches.Since(earlier)
	fmt.Println(latest.Count(), latest.Mean(), latest.Quantile(1))
	// Output: 2 1 1
}

// stopwatch prints what was asked for, and with how many others it was committed.
type stopwatch struct{}

func (stopwatch) Begin(ctx context.Context, r api.TracedRequest) (context.Context, func(api.TracedResult)) {
	began := time.Now()
	return ctx, func(result api.TracedResult) {
		fmt.Printf("%s in %q: %s", r.Kind, r.Group, result.Result)
		if b := result.Batch; b != nil {
			number := b.Share(func() any { return fmt.Sprint("commit ", b.Number) })
			fmt.Printf(", %v of %d, revision %d, it waited: %v", number, b.Requests, b.Revision, b.Began.Before(began))
		}
		fmt.Println()
	}
}

// A tracer is told of each request, where it is made.
func ExampleWithTracer() {
	store, err := api.New(":memory:", api.WithTracer(stopwatch{}))
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	if err := store.Set("config", "theme", "dark"); err != nil {
		log.Fatal(err)
	}
	if _, err := store.Get("config", "language"); !errors.Is(err, api.NotFoundError) {
		log.Fatal(err)
	}
	// Output:
	// set in "config": ok, commit 1 of 1, revision 1, it waited: false
	// get in "config": not_found
}

// health prints what somebody on call looks at first.
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

// Results are counted by names that do not change.
func ExampleRequestMetrics() {
	store, err := api.New(":memory:", api.WithMetrics())
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	if _, err := store.CompareAndSet("config", "theme", "dark", 7); err == nil {
		log.Fatal("there is no revision 7")
	}
	for _, r := range store.Metrics().Requests {
		for result, n := range r.Results {
			fault := "of a later version"
			switch result {
			case api.ResultOK, api.ResultNotFound:
				fault = "nobody's"
			case api.ResultConflict, api.ResultQuota, api.ResultInvalid, api.ResultCancelled, api.ResultClosed:
				fault = "the caller's"
			case api.ResultBusy:
				fault = "the load's"
			case api.ResultDegraded, api.ResultUnknown:
				fault = "the disk's"
			case api.ResultError:
				fault = "to be looked into"
			}
			fmt.Println(r.Kind, result, n, "fault:", fault)
		}
	}
	// Output: set conflict 1 fault: the caller's
}

// tracing is a Tracer that is a function.
type tracing func(ctx context.Context, r api.TracedRequest) (context.Context, func(api.TracedResult))

func (t tracing) Begin(ctx context.Context, r api.TracedRequest) (context.Context, func(api.TracedResult)) {
	return t(ctx, r)
}

// A tracer that remembers the request that took longest. Any number of goroutines use it.
func ExampleTracer() {
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
