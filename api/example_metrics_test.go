package api_test

import (
	"context"
	"errors"
	"fmt"
	"log"
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
