package otelstore_test

import (
	"context"
	"fmt"
	"log"

	otelstore "forge.lthn.ai/core/go-store/contrib/otel"

	"forge.lthn.ai/core/go-store/api"

	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
)

// A reader collects what the store has measured. A program would have a periodic one, with an
// exporter.
func ExampleNewProducer() {
	store, err := api.New(":memory:", api.WithMetrics())
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	reader := metric.NewManualReader(metric.WithProducer(otelstore.NewProducer(store, otelstore.WithAttributes(semconv.DBNamespace("app")))))
	provider := metric.NewMeterProvider(metric.WithReader(reader))
	defer provider.Shutdown(context.Background())

	if err := store.Set("config", "theme", "dark"); err != nil {
		log.Fatal(err)
	}
	var all metricdata.ResourceMetrics
	if err := reader.Collect(context.Background(), &all); err != nil {
		log.Fatal(err)
	}
	for _, m := range all.ScopeMetrics[0].Metrics {
		if h, is := m.Data.(metricdata.Histogram[float64]); is && m.Name == "db.client.operation.duration" {
			operation, _ := h.DataPoints[0].Attributes.Value(semconv.DBOperationNameKey)
			fmt.Println(operation.AsString(), h.DataPoints[0].Count)
		}
	}
	// Output: set 1
}

// Instruments of a meter, for libraries that don't know the SDK.
func ExampleRegister() {
	store, err := api.New(":memory:")
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	reader := metric.NewManualReader()
	provider := metric.NewMeterProvider(metric.WithReader(reader))
	defer provider.Shutdown(context.Background())
	registration, err := otelstore.Register(provider.Meter("app"), store)
	if err != nil {
		log.Fatal(err)
	}
	var all metricdata.ResourceMetrics
	fmt.Println(reader.Collect(context.Background(), &all))
	for _, m := range all.ScopeMetrics[0].Metrics {
		if gauge, is := m.Data.(metricdata.Gauge[float64]); is && m.Name == "gostore.healthy" {
			fmt.Println(m.Name, gauge.DataPoints[0].Value)
		}
	}
	fmt.Println(registration.Unregister()) // before the store is closed
	// Output:
	// <nil>
	// gostore.healthy 1
	// <nil>
}

// A span for each request, linked to that of the commit which it was in.
func ExampleNewTracer() {
	exporter := tracetest.NewInMemoryExporter()
	provider := sdktrace.NewTracerProvider(sdktrace.WithSyncer(exporter))
	defer provider.Shutdown(context.Background())
	store, err := api.New(":memory:", api.WithTracer(otelstore.NewTracer(provider, otelstore.WithGroups(), otelstore.WithErrors())))
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	if err := store.Set("config", "theme", "dark"); err != nil {
		log.Fatal(err)
	}
	spans := exporter.GetSpans()
	for _, s := range spans {
		fmt.Println(s.Name, s.SpanKind, len(s.Links))
	}
	fmt.Println(spans[1].Links[0].SpanContext.SpanID() == spans[0].SpanContext.SpanID())
	// Output:
	// commit internal 0
	// set client 1
	// true
}
