package otelstore_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	otelstore "forge.lthn.ai/core/go-store/contrib/otel"

	"forge.lthn.ai/core/go-store/api"
	"forge.lthn.ai/core/go-store/storetest"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func open(t *testing.T, options ...api.Option) *api.Store {
	t.Helper()
	store, err := api.New(":memory:", options...)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, store.Close()) })
	return store
}

func collect(t *testing.T, reader sdkmetric.Reader) map[string]metricdata.Metrics {
	t.Helper()
	var all metricdata.ResourceMetrics
	require.NoError(t, reader.Collect(t.Context(), &all))
	found := map[string]metricdata.Metrics{}
	for _, s := range all.ScopeMetrics {
		for _, m := range s.Metrics {
			require.NotContains(t, found, m.Name)
			found[m.Name] = m
		}
	}
	return found
}

// point is the one with these values of attributes.
func point[T any](t *testing.T, points []T, attributes func(T) attribute.Set, wants ...attribute.KeyValue) T {
	t.Helper()
	for _, p := range points {
		set, fits := attributes(p), true
		for _, want := range wants {
			value, has := set.Value(want.Key)
			fits = fits && has && value == want.Value
		}
		if fits {
			return p
		}
	}
	t.Fatalf("no point with %v in %v", wants, points)
	panic("unreachable")
}

func operation(kind string) attribute.KeyValue { return attribute.String("db.operation.name", kind) }

// TestProducer: an SDK's reader gets what Metrics has, under the names of the conventions.
func TestProducer(t *testing.T) {
	store := open(t, api.WithMetrics())
	scope, err := api.NewScopedWithQuota(store, "tenant", api.QuotaConfig{MaxKeys: 4})
	require.NoError(t, err)
	for i := range 3 {
		require.NoError(t, scope.Set("g", fmt.Sprint(i), "v"))
	}
	_, err = scope.Usage()
	require.NoError(t, err)
	_, err = store.Get("g", "none")
	require.ErrorIs(t, err, api.NotFoundError)

	reader := sdkmetric.NewManualReader(sdkmetric.WithProducer(otelstore.NewProducer(store, otelstore.WithAttributes(attribute.String("db.namespace", "app")), nil)))
	provider := sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader))
	defer provider.Shutdown(context.Background())
	found := collect(t, reader)
	require.Len(t, found, len(api.SampleTypes()))

	duration := found["db.client.operation.duration"]
	require.Equal(t, "s", duration.Unit)
	histogram := duration.Data.(metricdata.Histogram[float64])
	require.Equal(t, metricdata.CumulativeTemporality, histogram.Temporality)
	set := point(t, histogram.DataPoints, func(p metricdata.HistogramDataPoint[float64]) attribute.Set { return p.Attributes }, operation("set"),
		attribute.String("db.system.name", "go-store"), attribute.String("db.namespace", "app"))
	require.EqualValues(t, 3, set.Count)
	require.Len(t, set.BucketCounts, len(set.Bounds)+1)
	sum := uint64(0)
	for _, n := range set.BucketCounts {
		sum += n
	}
	require.Equal(t, set.Count, sum)
	require.False(t, set.StartTime.IsZero())

	of := func(p metricdata.DataPoint[int64]) attribute.Set { return p.Attributes }
	requests := found["gostore.requests"].Data.(metricdata.Sum[int64])
	require.True(t, requests.IsMonotonic)
	require.EqualValues(t, 3, point(t, requests.DataPoints, of, operation("set"), otelstore.ResultKey.String("ok")).Value)
	require.EqualValues(t, 1, point(t, requests.DataPoints, of, operation("get"), otelstore.ResultKey.String("not_found")).Value)
	used := found["gostore.quota.used"].Data.(metricdata.Gauge[float64])
	require.InDelta(t, 0.75, point(t, used.DataPoints, func(p metricdata.DataPoint[float64]) attribute.Set { return p.Attributes }, otelstore.NamespaceKey.String("tenant")).Value, 0)

	require.NoError(t, store.Close())
	healthy := collect(t, reader)["gostore.healthy"].Data.(metricdata.Gauge[float64])
	require.Zero(t, healthy.DataPoints[0].Value, "a closed store can still be asked")
}

// TestRegister: the same by the instruments of a meter, but for the histograms.
func TestRegister(t *testing.T) {
	store := open(t, api.WithMetrics())
	reader := sdkmetric.NewManualReader()
	provider := sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader))
	defer provider.Shutdown(context.Background())
	registration, err := otelstore.Register(provider.Meter("test"), store)
	require.NoError(t, err)
	require.NoError(t, store.Set("g", "k", "v"))
	found := collect(t, reader)
	for _, s := range api.SampleTypes() {
		if s.Kind == api.SampleHistogram || strings.HasPrefix(s.Name, "gostore.quota.") {
			require.NotContains(t, found, s.Name)
		} else {
			require.Contains(t, found, s.Name)
			require.Equal(t, s.Unit, found[s.Name].Unit)
		}
	}
	requests := found["gostore.requests"].Data.(metricdata.Sum[int64])
	require.EqualValues(t, 1, point(t, requests.DataPoints, func(p metricdata.DataPoint[int64]) attribute.Set { return p.Attributes }, operation("set")).Value)
	require.NoError(t, registration.Unregister())
	require.Empty(t, collect(t, reader))
}

// traced is a store with its spans.
func traced(t *testing.T, options ...otelstore.Option) (*api.Store, *tracetest.InMemoryExporter, *sdktrace.TracerProvider) {
	t.Helper()
	exporter := tracetest.NewInMemoryExporter()
	provider := sdktrace.NewTracerProvider(sdktrace.WithSyncer(exporter))
	t.Cleanup(func() { require.NoError(t, provider.Shutdown(context.Background())) })
	return open(t, api.WithTracer(otelstore.NewTracer(provider, options...))), exporter, provider
}

func named(spans tracetest.SpanStubs, name string) (all tracetest.SpanStubs) {
	for _, s := range spans {
		if s.Name == name {
			all = append(all, s)
		}
	}
	return all
}

func attributeOf(s tracetest.SpanStub, key attribute.Key) attribute.Value {
	set := attribute.NewSet(s.Attributes...)
	value, _ := set.Value(key)
	return value
}

// TestSpans: a span a request, a child of its caller's, linked to its commit's.
func TestSpans(t *testing.T) {
	store, exporter, provider := traced(t)
	ctx, parent := provider.Tracer("test").Start(t.Context(), "handler")
	require.NoError(t, store.WithContext(ctx).Set("group", "secret", "value"))
	_, err := store.WithContext(ctx).Get("group", "none")
	require.ErrorIs(t, err, api.NotFoundError)
	_, err = store.WithContext(ctx).SetIfAbsent("group", "secret", "other")
	require.Error(t, err)
	parent.End()

	spans := exporter.GetSpans()
	sets, commits := named(spans, "set"), named(spans, "commit")
	require.Len(t, sets, 2)
	require.Len(t, commits, 2)
	for i, s := range sets {
		require.Equal(t, parent.SpanContext().SpanID(), s.Parent.SpanID())
		require.Equal(t, trace.SpanKindClient, s.SpanKind)
		require.Equal(t, "go-store", attributeOf(s, "db.system.name").AsString())
		require.Equal(t, "set", attributeOf(s, "db.operation.name").AsString())
		require.Len(t, s.Links, 1)
		require.Equal(t, commits[i].SpanContext.SpanID(), s.Links[0].SpanContext.SpanID())
		require.False(t, commits[i].Parent.IsValid(), "a commit is of many")
		require.EqualValues(t, 1, attributeOf(commits[i], "db.operation.batch.size").AsInt64())
		require.Equal(t, attributeOf(s, otelstore.BatchKey), attributeOf(commits[i], otelstore.BatchKey))
		require.False(t, commits[i].StartTime.Before(s.StartTime))
		require.False(t, commits[i].EndTime.After(s.EndTime))
		require.False(t, commits[i].EndTime.Before(commits[i].StartTime))
	}
	require.EqualValues(t, 1, attributeOf(commits[0], otelstore.RevisionKey).AsInt64())
	require.Equal(t, codes.Unset, sets[0].Status.Code)
	require.Equal(t, codes.Error, sets[1].Status.Code)
	require.Equal(t, "conflict", attributeOf(sets[1], "error.type").AsString())
	get := named(spans, "get")[0]
	require.Equal(t, codes.Unset, get.Status.Code, "that a key is not there is no failure")
	require.Equal(t, "not_found", attributeOf(get, otelstore.ResultKey).AsString())
	require.Empty(t, get.Links)
	for _, secret := range []string{"secret", "group", "value"} {
		require.NotContains(t, fmt.Sprint(spans), secret)
	}
}

// TestOneSpanForACommitOfMany: requests that were committed together are linked to the same.
func TestOneSpanForACommitOfMany(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		exporter := tracetest.NewInMemoryExporter()
		provider := sdktrace.NewTracerProvider(sdktrace.WithSyncer(exporter))
		store := storetest.New(t, storetest.InMemory(), storetest.RealClock(), storetest.With(api.WithTracer(otelstore.NewTracer(provider))))
		const callers = 16
		var all sync.WaitGroup
		set := func(key string) {
			all.Go(func() {
				if err := store.Set("g", key, "v"); err != nil {
					t.Error(err)
				}
			})
		}
		release := make(chan struct{})
		reached := store.At("writer.commit", 1, func(*storetest.Store) { <-release })
		set("first")
		<-reached
		for i := range callers {
			set(fmt.Sprint(i))
		}
		synctest.Wait() // all of them are queued behind the first
		close(release)
		all.Wait()
		spans := exporter.GetSpans()
		commits, linked := map[trace.SpanID]int64{}, map[trace.SpanID]int64{}
		for _, s := range named(spans, "commit") {
			commits[s.SpanContext.SpanID()] = attributeOf(s, "db.operation.batch.size").AsInt64()
		}
		for _, s := range named(spans, "set") {
			require.Len(t, s.Links, 1)
			linked[s.Links[0].SpanContext.SpanID()]++
		}
		require.Equal(t, commits, linked, "each commit's requests are linked to it, all of them")
		require.ElementsMatch(t, []int64{1, callers}, slices.Collect(maps.Values(commits)))
	})
}

// TestSpansOfTransactions: what a transaction ends with is a child of it.
func TestSpansOfTransactions(t *testing.T) {
	store, exporter, _ := traced(t, otelstore.WithErrors(), otelstore.WithGroups())
	require.NoError(t, store.Transaction(func(tx *api.Transaction) error { return tx.Set("g", "k", "v") }))
	own := errors.New("the function's own")
	require.ErrorIs(t, store.Transaction(func(tx *api.Transaction) error { return own }), own)
	require.NoError(t, store.Set("g", "k", "w"))
	for range store.Scan(api.ScanOptions{}) {
		break
	}
	spans := exporter.GetSpans()
	transactions, batches := named(spans, "transaction"), named(spans, "batch")
	require.Len(t, transactions, 2)
	require.Len(t, batches, 1)
	require.Equal(t, transactions[0].SpanContext.SpanID(), batches[0].Parent.SpanID())
	require.Equal(t, own.Error(), transactions[1].Status.Description)
	require.Equal(t, "g", attributeOf(named(spans, "set")[0], "db.collection.name").AsString())
	require.Len(t, named(spans, "scan"), 1)
}

// TestSpansThatAreNotRecorded make no commit's either.
func TestSpansThatAreNotRecorded(t *testing.T) {
	exporter := tracetest.NewInMemoryExporter()
	provider := sdktrace.NewTracerProvider(sdktrace.WithSyncer(exporter), sdktrace.WithSampler(sdktrace.NeverSample()))
	defer provider.Shutdown(context.Background())
	store := open(t, api.WithTracer(otelstore.NewTracer(provider)))
	require.NoError(t, store.Set("g", "k", "v"))
	require.Empty(t, exporter.GetSpans())
}

// TestNothing: what is not there is no panic: a nil store has no figures, a nil provider is the
// global one, and a meter has to be there.
func TestNothing(t *testing.T) {
	for name, store := range map[string]otelstore.Meter{"nil": nil, "a nil store": (*api.Store)(nil)} {
		all, err := otelstore.NewProducer(store).Produce(t.Context())
		require.NoError(t, err, name)
		require.Len(t, all, 1, name)
		reader := sdkmetric.NewManualReader()
		provider := sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader))
		registration, err := otelstore.Register(provider.Meter("test"), store)
		require.NoError(t, err, name)
		var collected metricdata.ResourceMetrics
		require.NoError(t, reader.Collect(t.Context(), &collected), name)
		require.NoError(t, registration.Unregister(), name)
		require.NoError(t, provider.Shutdown(t.Context()), name)
	}
	_, err := otelstore.Register(nil, nil)
	require.ErrorContains(t, err, "meter")
	_, end := otelstore.NewTracer(nil).Begin(t.Context(), api.TracedRequest{Kind: "set"})
	require.Nil(t, end, "nothing is recorded")
}
