package api_test

import (
	"context"
	"fmt"
	"log"

	"forge.lthn.ai/core/go-store/api"
)

// Parts of the figures, each of a type of its own.
func ExampleMetrics() {
	store, err := api.New(":memory:", api.WithMetrics())
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	watcher := store.Watch("config", "*")
	defer store.Unwatch(watcher)
	if err := store.Set("config", "theme", "dark"); err != nil {
		log.Fatal(err)
	}
	m := store.Metrics()
	wal, checkpoints, views, cache := m.WAL, m.Checkpoints, m.Views, m.Cache
	fmt.Println("in memory there is no log of writes ahead:", wal.Bytes, "bytes,", checkpoints.Failures, "failures")
	fmt.Println("open snapshots:", views.Open, "rows are cached up to a limit:", cache.Bytes <= cache.Limit)
	expiry, watchers, callbacks := m.Expiry, m.Watchers, m.Callbacks
	fmt.Println("expired and not removed for", expiry.Lag)
	fmt.Println(watchers.Open, "watcher,", watchers.Drops, "events lost;", callbacks.Drops, "by callbacks")
	for _, actor := range m.Actors {
		if actor.Restarts > 0 {
			fmt.Println(actor.Name, "has failed")
		}
	}
	fmt.Println("quotas, of at most", api.MaxQuotaMetrics, "namespaces:", len(m.Quotas))
	// Output:
	// in memory there is no log of writes ahead: 0 bytes, 0 failures
	// open snapshots: 0 rows are cached up to a limit: true
	// expired and not removed for 0s
	// 1 watcher, 0 events lost; 0 by callbacks
	// quotas, of at most 100 namespaces: 0
}

// What can come of a request, for an alarm that tells apart which side is to blame.
func ExampleRequestMetrics() {
	requests := api.RequestMetrics{Kind: "set", Results: map[string]uint64{
		api.ResultOK: 90, api.ResultNotFound: 0, api.ResultConflict: 3, api.ResultQuota: 2, api.ResultInvalid: 1,
		api.ResultBusy: 2, api.ResultCancelled: 1, api.ResultUnknown: 0, api.ResultDegraded: 1, api.ResultClosed: 0, api.ResultError: 0,
	}}
	theirs := requests.Results[api.ResultConflict] + requests.Results[api.ResultQuota] + requests.Results[api.ResultInvalid] + requests.Results[api.ResultCancelled]
	fmt.Println(requests.Count(), "requests,", requests.Failed(), "failed,", requests.Failed()-theirs, "by the store")
	// Output: 100 requests, 10 failed, 3 by the store
}

// A figure is a gauge, a counter or a histogram, and says by which labels there are several.
func ExampleSampleKind() {
	kinds := map[api.SampleKind]string{api.SampleGauge: "gauge", api.SampleCounter: "counter", api.SampleHistogram: "histogram"}
	of := map[string]int{}
	for _, t := range api.SampleTypes() {
		if kind, known := kinds[t.Kind]; known {
			of[kind]++
		}
	}
	fmt.Println(of["gauge"] > 0, of["counter"] > 0, of["histogram"] > 0)
	sample := api.Sample{Value: 1, Labels: []api.Label{{Name: "kind", Value: "get"}}}
	fmt.Println(sample.Labels[0].Name, sample.Labels[0].Value)
	// Output:
	// true true true
	// kind get
}

// Which listeners there are, and to what they listen.
func ExampleListener() {
	store, err := api.New(":memory:")
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	for _, group := range []string{"*", "config"} {
		defer store.Unwatch(store.Watch(group, "*"))
	}
	listeners, _, err := store.Listeners(100)
	if err != nil {
		log.Fatal(err)
	}
	everything, some := 0, 0
	for _, listener := range listeners {
		switch listener.Kind {
		case api.ListenerWatcher, api.ListenerActor, api.ListenerSubscriber:
		}
		for _, filter := range listener.Filters {
			switch filter.Group.Kind() {
			case api.MatchAny:
				everything++
			case api.MatchExactly, api.MatchPrefix:
				some++
			}
		}
	}
	fmt.Println(len(listeners), "listeners:", everything, "to everything,", some, "to a group")
	// Output: 2 listeners: 1 to everything, 1 to a group
}

// The figures of namespaces that are counted.
func ExampleNamespaceUsage() {
	usage := api.NamespaceUsage{Namespace: "tenant-a", Usage: api.Usage{Keys: 3, Groups: 1}, Quota: api.QuotaConfig{MaxKeys: 4}}
	fmt.Printf("%s: %d of %d keys\n", usage.Namespace, usage.Usage.Keys, usage.Quota.MaxKeys)
	// Output: tenant-a: 3 of 4 keys
}

// largest keeps how many requests shared the largest commit.
type largest struct{ requests int }

func (l *largest) Begin(ctx context.Context, _ api.TracedRequest) (context.Context, func(api.TracedResult)) {
	return ctx, func(result api.TracedResult) {
		if batch := result.Batch; batch != nil {
			l.requests = max(l.requests, batch.Requests)
		}
	}
}

func ExampleTracer() {
	seen := new(largest)
	var tracer api.Tracer = seen
	store, err := api.New(":memory:", api.WithTracer(tracer))
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	fmt.Println(store.Set("config", "theme", "dark"), seen.requests)
	// Output: <nil> 1
}

// The batch of a write says how many requests shared its commit.
func ExampleTracedBatch() {
	batch := api.TracedBatch{Number: 7, Requests: 3}
	shared := func() any { return "made once" }
	fmt.Println(batch.Number, batch.Requests, batch.Share(shared), batch.Share(shared))
	// Output: 7 3 made once made once
}
