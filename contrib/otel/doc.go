// Package otelstore shows a go-store to OpenTelemetry: its metrics, and a span for each
// request, linked to the span of the commit that it was in.
//
//	reader := metric.NewPeriodicReader(exporter, metric.WithProducer(otelstore.NewProducer(store)))
//	store, err := api.New("app.db", api.WithMetrics(), api.WithTracer(otelstore.NewTracer(tracerProvider)))
//
// It owns nothing and starts nothing: metrics are read when a reader collects, and spans are
// made in the goroutine of the request. Keys and values are never told, nor are groups unless
// WithGroups asks for them, nor the texts of errors, which may name a key, unless WithErrors
// does.
package otelstore
