package otelstore_test

import (
	"context"
	"fmt"
	"log"

	otelstore "forge.lthn.ai/core/go-store/contrib/otel"

	"forge.lthn.ai/core/go-store/api"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
)

// exported is a store whose spans an exporter keeps.
func exported(options ...otelstore.Option) (*api.Store, *tracetest.InMemoryExporter) {
	exporter := tracetest.NewInMemoryExporter()
	provider := sdktrace.NewTracerProvider(sdktrace.WithSyncer(exporter))
	store, err := api.New(":memory:", api.WithTracer(otelstore.NewTracer(provider, options...)))
	if err != nil {
		log.Fatal(err)
	}
	return store, exporter
}

// Attributes of the store's own, by which spans are searched: which requests shared a commit,
// what it changed, for which tenant, and what came of it.
func ExampleNewTracer_attributes() {
	store, exporter := exported()
	defer store.Close()
	tenant, err := api.NewScoped(store, "tenant")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(tenant.Set("config", "theme", "dark"))
	for _, span := range exporter.GetSpans() {
		fmt.Println(span.Name)
		attributes := attribute.NewSet(span.Attributes...)
		for _, key := range []attribute.Key{otelstore.BatchKey, otelstore.RevisionKey, otelstore.NamespaceKey, otelstore.ResultKey} {
			if value, has := attributes.Value(key); has {
				fmt.Println(" ", key, value.String())
			}
		}
	}
	// Output:
	// <nil>
	// commit
	//   gostore.batch 1
	//   gostore.revision 1
	// set
	//   gostore.batch 1
	//   gostore.namespace tenant
	//   gostore.result ok
}

// A program with several stores says in each figure and span which one it is of.
func ExampleWithAttributes() {
	store, exporter := exported(otelstore.WithAttributes(semconv.DBNamespace("orders")))
	defer store.Close()
	fmt.Println(store.Exists("config", "theme"))
	attributes := attribute.NewSet(exporter.GetSpans()[0].Attributes...)
	namespace, _ := attributes.Value(semconv.DBNamespaceKey)
	fmt.Println(namespace.AsString())
	// Output:
	// false <nil>
	// orders
}

// Where groups are few and name no users, spans may tell which group takes the time.
func ExampleWithGroups() {
	for _, options := range [][]otelstore.Option{nil, {otelstore.WithGroups()}} {
		store, exporter := exported(options...)
		defer store.Close()
		if err := store.Set("config", "theme", "dark"); err != nil {
			log.Fatal(err)
		}
		attributes := attribute.NewSet(exporter.GetSpans()[1].Attributes...)
		group, told := attributes.Value(semconv.DBCollectionNameKey)
		fmt.Printf("%v %q\n", told, group.AsString())
	}
	// Output:
	// false ""
	// true "config"
}

// The text of an error may name a key. Where those are no secrets it says more than error.type.
func ExampleWithErrors() {
	for _, options := range [][]otelstore.Option{nil, {otelstore.WithErrors()}} {
		store, exporter := exported(options...)
		defer store.Close()
		if _, err := store.CompareAndSet("config", "theme", "dark", 7); err == nil {
			log.Fatal("the key was at revision 7")
		}
		span := exporter.GetSpans()[1] // after the commit's
		attributes := attribute.NewSet(span.Attributes...)
		kind, _ := attributes.Value(semconv.ErrorTypeKey)
		fmt.Printf("%s: %q\n", kind.AsString(), span.Status.Description)
	}
	// Output:
	// conflict: ""
	// conflict: "config/theme: absent, expected revision 7; read it again and decide anew"
}

// A view of a namespace has the figures of the whole store, but of quotas its own alone: a
// tenant sees no other's use.
func ExampleMeter() {
	store, err := api.New(":memory:")
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	meters := []otelstore.Meter{store}
	for _, name := range []string{"ada", "bob"} {
		view, err := api.NewScopedWithQuota(store, name, api.QuotaConfig{MaxKeys: 10})
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(view.Set("config", "theme", "dark"))
		fmt.Println(view.Usage()) // once this has answered, the figures have the key
		meters = append(meters, view)
	}
	for _, meter := range meters {
		fmt.Println("namespaces:", len(gauge(meter, "gostore.quota.keys")))
	}
	// Output:
	// <nil>
	// {1 1} <nil>
	// <nil>
	// {1 1} <nil>
	// namespaces: 2
	// namespaces: 1
	// namespaces: 1
}

// gauge is what a reader collects of a figure.
func gauge(meter otelstore.Meter, name string) []metricdata.DataPoint[float64] {
	producer := otelstore.NewProducer(meter)
	scopes, err := producer.Produce(context.Background())
	if err != nil {
		log.Fatal(err)
	}
	for _, m := range scopes[0].Metrics {
		if gauge, is := m.Data.(metricdata.Gauge[float64]); is && m.Name == name {
			return gauge.DataPoints
		}
	}
	return nil
}
