package api

import (
	"context"
	"fmt"

	"forge.lthn.ai/core/go-store/engine"
	"forge.lthn.ai/core/go-store/kv"
)

// Metrics is what a store has done since it was opened, and how it is now. Its Samples are
// every figure of it with a name, for exporters. docs/METRICS.md says what each
// is for, and at what to be alarmed.
type Metrics = kv.Metrics

// The parts of Metrics.
type (
	RequestMetrics    = kv.RequestMetrics    // requests of one kind: what came of them, how long they took
	QueueMetrics      = kv.QueueMetrics      // mutations on their way
	WALMetrics        = kv.WALMetrics        // the write-ahead log of a file
	CheckpointMetrics = kv.CheckpointMetrics // what moves that into the database
	ViewMetrics       = kv.ViewMetrics       // snapshots, transactions and scans that are open
	CacheMetrics      = kv.CacheMetrics      // the read cache
	LogMetrics        = kv.LogMetrics        // the log of changes
	ExpiryMetrics     = kv.ExpiryMetrics     // the removal of expired keys
	ListenerMetrics   = kv.ListenerMetrics   // watchers, or subscribers
	CallbackMetrics   = kv.CallbackMetrics   // OnChange
	QuotaMetrics      = kv.QuotaMetrics      // a namespace and its limits
	ActorMetrics      = kv.ActorMetrics      // an actor of the store's
)

// Histogram is how often which values were seen, in the shape of runtime/metrics'
// Float64Histogram. Quantile and Mean read it, Since makes one of what came after an earlier one.
type Histogram = kv.Histogram

// Sample is one figure of Metrics: a SampleType, which names it, its Labels, and its Value or
// Histogram.
type Sample = kv.Sample

// SampleType is the name, unit, kind and meaning of samples.
type SampleType = kv.SampleType

// SampleKind says how a sample is to be read.
type SampleKind = kv.SampleKind

// Label is one part of what tells samples of a name apart: its Name and Value.
type Label = kv.Label

const (
	SampleGauge     = kv.SampleGauge     // how it is
	SampleCounter   = kv.SampleCounter   // how often since the store was opened
	SampleHistogram = kv.SampleHistogram // what was seen since then
)

// MaxQuotaMetrics is how many namespaces Metrics.Quotas names at most: the fullest.
const MaxQuotaMetrics = kv.MaxQuotaMetrics

// What came of requests, in RequestMetrics.Results and TracedResult.Result.
const (
	ResultOK        = kv.ResultOK
	ResultNotFound  = kv.ResultNotFound  // NotFoundError
	ResultConflict  = kv.ResultConflict  // a condition was not met, or a transaction's attempts were in vain
	ResultQuota     = kv.ResultQuota     // QuotaExceededError
	ResultInvalid   = kv.ResultInvalid   // refused for what it asks, or its size
	ResultBusy      = kv.ResultBusy      // BusyError, TooManySnapshotsError
	ResultCancelled = kv.ResultCancelled // its context ended before it was admitted
	ResultUnknown   = kv.ResultUnknown   // UnknownOutcomeError
	ResultDegraded  = kv.ResultDegraded  // DegradedError, FileLostError
	ResultClosed    = kv.ResultClosed    // ClosedError, or a snapshot's end
	ResultError     = kv.ResultError     // anything else, a transaction's function's own error too
)

// SampleTypes is the types of all samples that there may be, in the order of Metrics.Samples.
func SampleTypes() []*SampleType { return kv.SampleTypes() }

// WithMetrics has the store count its requests, and measure how long they, commits, syncs and
// checkpoints take, for Metrics. By default it does not, which costs nothing: then Metrics tells
// how the store is, and what is counted anyway. It costs a Get from memory some nanoseconds,
// and the process some 200 bytes for each of some stripes of counters: eight for each processor.
func WithMetrics() Option { return func(c *engine.Config) error { c.Metrics = true; return nil } }

// Metrics is what the store has done, and how it is. It counts no keys, as Stats does, and
// takes some ten microseconds, more with thousands of watchers. It waits for no commit. Of a
// closed store Health is ClosedError, and what the files would tell is missing; of a nil one it
// is NilStoreError.
func (s *Store) Metrics() Metrics {
	m := s.inner().Metrics(context.WithoutCancel(s.context()))
	m.Health = wrap("Health", m.Health)
	return m
}

// Metrics is Store.Metrics, of the whole store, but that Quotas has the namespace alone, if it
// is counted, whether it has limits or not. A view that is nil has those of a nil store.
func (s *ScopedStore) Metrics() Metrics {
	m := s.parent().Metrics()
	m.Quotas, m.Namespaces = nil, 0
	if q, counted := s.parent().inner().Quota(s.Namespace()); counted {
		m.Quotas, m.Namespaces = []QuotaMetrics{q}, 1
	}
	return m
}

// Tracer is told of requests as they begin and end, each time in the goroutine of the caller.
type Tracer = kv.Tracer

// TracedRequest is what a request is about, without keys and values.
type TracedRequest = kv.TracedRequest

// TracedResult is what came of it, with the batch that a write was committed with.
type TracedResult = kv.TracedResult

// TracedBatch is a group commit, the same for all requests that were in it. With Share the first
// of those can make something for all of them, such as a span.
type TracedBatch = kv.TracedBatch

// WithTracer has a tracer told of requests: of those that count as RequestMetrics, but for
// messages to the store's actors. A transaction is one, and its reads in its snapshot are none;
// the batch that it ends with is another one, within the context of the first. Module
// contrib/otel is a tracer for OpenTelemetry.
//
// It is never called by an actor of the store's: neither a slow one nor one that panics delays
// or harms any caller but its own.
func WithTracer(tracer Tracer) Option {
	return func(c *engine.Config) error {
		if tracer == nil {
			return fmt.Errorf("tracer is nil: %w", InvalidOptionError)
		}
		c.Tracer = tracer
		return nil
	}
}
