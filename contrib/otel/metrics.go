package otelstore

import (
	"context"
	"errors"
	"fmt"
	"time"

	"forge.lthn.ai/core/go-store/api"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/sdk/instrumentation"
	sdk "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/semconv/v1.43.0/dbconv"
)

// Meter has metrics: a store, or a view of a namespace. A nil one is a store without figures.
type Meter interface{ Metrics() api.Metrics }

// meterOf is a store that can be asked.
func meterOf(store Meter) Meter {
	if store == nil {
		return (*api.Store)(nil)
	}
	return store
}

// producer brings a reader all that a store has measured.
type producer struct {
	store    Meter
	settings settings
}

// NewProducer is what a reader of the SDK's collects from beside its instruments, by
// metric.WithProducer: every figure of the store's, histograms as the store has counted them.
// Their sums are cumulative whatever the reader prefers. Of requests db.client.operation.duration
// says how many there were and how long they took, those that failed among the others, without
// error.type; gostore.requests counts them by result. The rest is named as in docs/METRICS.md.
// Without api.WithMetrics there are no requests and no histograms in it.
func NewProducer(store Meter, options ...Option) sdk.Producer {
	return &producer{meterOf(store), settingsOf(options)}
}

// Produce takes one snapshot. It never fails.
func (p *producer) Produce(context.Context) ([]metricdata.ScopeMetrics, error) {
	m := p.store.Metrics()
	span := interval{m.Since, m.At}
	var all []metricdata.Metrics
	var last *api.SampleType
	for s := range m.Samples() {
		if s.SampleType != last {
			last = s.SampleType
			all = append(all, metricdata.Metrics{Name: nameOf(s.SampleType), Description: s.Help + ".", Unit: s.Unit, Data: span.empty(s.Kind)})
		}
		series := &all[len(all)-1]
		series.Data = span.with(series.Data, &s, attribute.NewSet(p.settings.of(&s)...))
	}
	return []metricdata.ScopeMetrics{{Scope: instrumentation.Scope{Name: scope, SchemaURL: semconv.SchemaURL}, Metrics: all}}, nil
}

// interval is from when sums count, and until when.
type interval struct{ from, to time.Time }

func (interval) empty(kind api.SampleKind) metricdata.Aggregation {
	switch kind {
	case api.SampleCounter:
		return metricdata.Sum[int64]{Temporality: metricdata.CumulativeTemporality, IsMonotonic: true}
	case api.SampleHistogram:
		return metricdata.Histogram[float64]{Temporality: metricdata.CumulativeTemporality}
	default:
		return metricdata.Gauge[float64]{}
	}
}

func (i interval) with(data metricdata.Aggregation, s *api.Sample, attributes attribute.Set) metricdata.Aggregation {
	switch data := data.(type) {
	case metricdata.Sum[int64]:
		data.DataPoints = append(data.DataPoints, metricdata.DataPoint[int64]{Attributes: attributes, StartTime: i.from, Time: i.to, Value: int64(s.Value)})
		return data
	case metricdata.Histogram[float64]:
		h := &s.Histogram
		data.DataPoints = append(data.DataPoints, metricdata.HistogramDataPoint[float64]{Attributes: attributes, StartTime: i.from, Time: i.to,
			Count: h.Count(), Sum: h.Sum, Bounds: h.Buckets[1 : len(h.Buckets)-1], BucketCounts: h.Counts})
		return data
	case metricdata.Gauge[float64]:
		data.DataPoints = append(data.DataPoints, metricdata.DataPoint[float64]{Attributes: attributes, Time: i.to, Value: s.Value})
		return data
	default:
		return data
	}
}

// nameOf is a figure's name: that of the semantic conventions where they have one.
func nameOf(t *api.SampleType) string {
	if t.Name == "gostore.request.duration" {
		return dbconv.ClientOperationDuration{}.Name()
	}
	return t.Name
}

// of is the attributes of a sample.
func (s *settings) of(sample *api.Sample) []attribute.KeyValue {
	all := s.attributes
	for _, l := range sample.Labels {
		switch l.Name {
		case "kind":
			all = append(all, semconv.DBOperationName(l.Value))
		case "result":
			all = append(all, ResultKey.String(l.Value))
		default:
			all = append(all, attribute.String("gostore."+l.Name, l.Value))
		}
	}
	return all
}

// Register makes observable instruments of a meter's, one for each figure but the histograms, for
// programs that know the API of OpenTelemetry alone: its instruments can't take histograms that
// were counted elsewhere. Where there is an SDK, NewProducer has those too: use one of the two.
// They are read when something collects, until Unregister. It fails if the meter refuses one.
func Register(meter metric.Meter, store Meter, options ...Option) (metric.Registration, error) {
	if meter == nil {
		return nil, errors.New("otelstore.Register: there is no meter: take one of a metric.MeterProvider")
	}
	store = meterOf(store)
	s := settingsOf(options)
	gauges, counters := map[*api.SampleType]metric.Float64ObservableGauge{}, map[*api.SampleType]metric.Int64ObservableCounter{}
	var instruments []metric.Observable
	var failed error
	for _, t := range api.SampleTypes() {
		var err error
		switch t.Kind {
		case api.SampleCounter:
			counters[t], err = meter.Int64ObservableCounter(t.Name, metric.WithUnit(t.Unit), metric.WithDescription(t.Help+"."))
			instruments = append(instruments, counters[t])
		case api.SampleGauge:
			gauges[t], err = meter.Float64ObservableGauge(t.Name, metric.WithUnit(t.Unit), metric.WithDescription(t.Help+"."))
			instruments = append(instruments, gauges[t])
		}
		failed = errors.Join(failed, err)
	}
	if failed != nil {
		return nil, fmt.Errorf("otelstore.Register: %w", failed)
	}
	registration, err := meter.RegisterCallback(func(_ context.Context, to metric.Observer) error {
		m := store.Metrics()
		for sample := range m.Samples() {
			attributes := metric.WithAttributes(s.of(&sample)...)
			if counter := counters[sample.SampleType]; counter != nil {
				to.ObserveInt64(counter, int64(sample.Value), attributes)
			} else if gauge := gauges[sample.SampleType]; gauge != nil {
				to.ObserveFloat64(gauge, sample.Value, attributes)
			}
		}
		return nil
	}, instruments...)
	if err != nil {
		return nil, fmt.Errorf("otelstore.Register: %w", err)
	}
	return registration, nil
}
