package kv

import (
	"iter"
	"maps"
	"slices"
	"time"
)

// SampleKind says how a sample is to be read.
type SampleKind uint8

const (
	SampleGauge     SampleKind = iota // how it is
	SampleCounter                     // how often since the store was opened
	SampleHistogram                   // what was seen since then, in Sample.Histogram
)

// Label is one part of what tells samples of a name apart.
type Label struct{ Name, Value string }

// Sample is one figure of a Metrics, for exporters, which pass all of them on.
type Sample struct {
	*SampleType
	Labels    []Label // in the order of their names; shared, and not to be changed
	Value     float64 // of a SampleGauge or SampleCounter
	Histogram Histogram
}

// SampleType is what the samples of one name have in common.
type SampleType struct {
	Name   string // as OpenTelemetry writes names: "gostore.commit.duration"
	Unit   string // in UCUM: "s", "By", "1", or what is counted in braces: "{request}"
	Kind   SampleKind
	Help   string // a sentence without its full stop
	Labels []string

	read func(*Metrics, emitter)
}

// emitter takes one sample: its value, and the values of its labels.
type emitter func(value float64, histogram *Histogram, labels ...string)

// SampleTypes is the types of all samples that there may be, in the order in which Samples
// yields them. docs/METRICS.md says what each is for.
func SampleTypes() []*SampleType { return slices.Clone(sampleTypes) }

// Samples yields every figure, those of a name together. Without WithMetrics there are none of
// what is not collected.
func (m *Metrics) Samples() iter.Seq[Sample] {
	return func(yield func(Sample) bool) {
		for _, t := range sampleTypes {
			going := true
			t.read(m, func(value float64, histogram *Histogram, labels ...string) {
				if !going {
					return
				}
				s := Sample{SampleType: t, Value: value}
				if histogram != nil {
					s.Histogram = *histogram
				}
				for i, label := range labels {
					s.Labels = append(s.Labels, Label{t.Labels[i], label})
				}
				going = yield(s)
			})
			if !going {
				return
			}
		}
	}
}

var sampleTypes = []*SampleType{
	{"gostore.healthy", "1", SampleGauge, "1 while nothing is wrong with the store, 0 while its disk or its files are not as they should be", nil,
		func(m *Metrics, emit emitter) { emit(truth(m.Health == nil), nil) }},
	{"gostore.uptime", "s", SampleGauge, "Since the store was opened", nil,
		func(m *Metrics, emit emitter) {
			if !m.Since.IsZero() {
				emit(m.At.Sub(m.Since).Seconds(), nil)
			}
		}},

	{"gostore.requests", "{request}", SampleCounter, "Requests by kind and by what came of them", []string{"kind", "result"},
		func(m *Metrics, emit emitter) {
			for _, r := range m.Requests {
				for _, result := range slices.Sorted(maps.Keys(r.Results)) {
					emit(float64(r.Results[result]), nil, r.Kind, result)
				}
			}
		}},
	{"gostore.request.duration", "s", SampleHistogram, "From a call to its end, or to its first row", []string{"kind"},
		func(m *Metrics, emit emitter) {
			for i := range m.Requests {
				emit(0, &m.Requests[i].Took, m.Requests[i].Kind)
			}
		}},
	{"gostore.transaction.conflicts", "{attempt}", SampleCounter, "Attempts of transactions that were in vain", nil,
		func(m *Metrics, emit emitter) { emit(float64(m.Conflicts), nil) }},

	{"gostore.queue.depth", "{request}", SampleGauge, "Mutations that were admitted and not answered yet", nil,
		func(m *Metrics, emit emitter) { emit(float64(m.Queue.Depth), nil) }},
	{"gostore.queue.limit", "{request}", SampleGauge, "How many mutations may be admitted at a time", nil,
		func(m *Metrics, emit emitter) { emit(float64(m.Queue.Limit), nil) }},
	{"gostore.queue.waits", "{request}", SampleCounter, "Mutations that found the store at its limit, and waited", nil,
		func(m *Metrics, emit emitter) { emit(float64(m.Queue.Waited), nil) }},
	{"gostore.queue.wait", "s", SampleHistogram, "From the call of a mutation to the beginning of its commit", nil, seen(func(m *Metrics) *Histogram { return &m.Queue.Wait })},
	{"gostore.batch.size", "{request}", SampleHistogram, "Requests in a commit", nil, seen(func(m *Metrics) *Histogram { return &m.Batches })},
	{"gostore.commit.duration", "s", SampleHistogram, "COMMIT, the sync of the disk included", nil, seen(func(m *Metrics) *Histogram { return &m.Commits })},
	{"gostore.sync.duration", "s", SampleHistogram, "Syncs of the write-ahead log", nil, seen(func(m *Metrics) *Histogram { return &m.Syncs })},

	{"gostore.wal.size", "By", SampleGauge, "How long the write-ahead log's file is", nil,
		func(m *Metrics, emit emitter) { emit(float64(m.WAL.Bytes), nil) }},
	{"gostore.wal.frames", "{page}", SampleGauge, "Pages that were committed into the write-ahead log since it began anew", nil,
		func(m *Metrics, emit emitter) { emit(float64(m.WAL.Frames), nil) }},
	{"gostore.wal.behind", "{page}", SampleGauge, "Of those, pages that are not in the database yet", nil,
		func(m *Metrics, emit emitter) { emit(float64(m.WAL.Behind), nil) }},
	{"gostore.checkpoints", "{checkpoint}", SampleCounter, "Moves of pages from the write-ahead log into the database", nil,
		func(m *Metrics, emit emitter) { emit(float64(m.Checkpoints.Completed), nil) }},
	{"gostore.checkpoint.failures", "{checkpoint}", SampleCounter, "Of those, the ones that failed", nil,
		func(m *Metrics, emit emitter) { emit(float64(m.Checkpoints.Failures), nil) }},
	{"gostore.checkpoint.ended", "{view}", SampleCounter, "Scans and snapshots that were ended because they kept the write-ahead log from beginning anew", nil,
		func(m *Metrics, emit emitter) { emit(float64(m.Checkpoints.Ended), nil) }},
	{"gostore.checkpoint.duration", "s", SampleHistogram, "Checkpoints", nil, seen(func(m *Metrics) *Histogram { return &m.Checkpoints.Took })},

	{"gostore.views.open", "{view}", SampleGauge, "Snapshots, transactions and scans that are open", nil,
		func(m *Metrics, emit emitter) { emit(float64(m.Views.Open), nil) }},
	{"gostore.views.oldest", "s", SampleGauge, "How old the oldest of those is", nil,
		func(m *Metrics, emit emitter) { emit(m.Views.Oldest.Seconds(), nil) }},

	{"gostore.cache.hits", "{key}", SampleCounter, "Keys that were read from the cache, estimated", nil,
		func(m *Metrics, emit emitter) { emit(float64(m.Cache.Hits), nil) }},
	{"gostore.cache.misses", "{key}", SampleCounter, "Keys that were not in it", nil,
		func(m *Metrics, emit emitter) { emit(float64(m.Cache.Misses), nil) }},
	{"gostore.cache.rows", "{row}", SampleGauge, "Rows in the cache", nil,
		func(m *Metrics, emit emitter) { emit(float64(m.Cache.Rows), nil) }},
	{"gostore.cache.size", "By", SampleGauge, "What they take", nil,
		func(m *Metrics, emit emitter) { emit(float64(m.Cache.Bytes), nil) }},
	{"gostore.cache.limit", "By", SampleGauge, "What they may take", nil,
		func(m *Metrics, emit emitter) { emit(float64(m.Cache.Limit), nil) }},

	{"gostore.log.revision", "{revision}", SampleGauge, "The last revision committed", nil,
		func(m *Metrics, emit emitter) { emit(float64(m.Log.Revision), nil) }},
	{"gostore.log.oldest", "{revision}", SampleGauge, "The first revision in the log of changes", nil,
		func(m *Metrics, emit emitter) { emit(float64(m.Log.OldestRevision), nil) }},
	{"gostore.log.size", "By", SampleGauge, "What the log's records take", nil,
		func(m *Metrics, emit emitter) { emit(float64(m.Log.Bytes), nil) }},
	{"gostore.log.age", "s", SampleGauge, "How far back the log goes", nil,
		func(m *Metrics, emit emitter) {
			age := time.Duration(0)
			if !m.Log.Begins.IsZero() {
				age = max(m.At.Sub(m.Log.Begins), 0)
			}
			emit(age.Seconds(), nil)
		}},
	{"gostore.log.unfolded", "By", SampleGauge, "Memory that has what was committed and is not in the table of entries yet", nil,
		func(m *Metrics, emit emitter) { emit(float64(m.Log.Unfolded), nil) }},
	{"gostore.expiry.lag", "s", SampleGauge, "How long a key has been expired and is not removed", nil,
		func(m *Metrics, emit emitter) { emit(m.Expiry.Lag.Seconds(), nil) }},

	{"gostore.listeners.open", "{listener}", SampleGauge, "Watchers and subscribers", []string{"type"},
		listeners(func(l *ListenerMetrics) float64 { return float64(l.Open) })},
	{"gostore.listeners.waiting", "{event}", SampleGauge, "Events that wait for them", []string{"type"},
		listeners(func(l *ListenerMetrics) float64 { return float64(l.Waiting) })},
	{"gostore.listeners.most", "{event}", SampleGauge, "Events that wait for the listener with the longest queue", []string{"type"},
		listeners(func(l *ListenerMetrics) float64 { return float64(l.Most) })},
	{"gostore.listeners.behind", "{listener}", SampleGauge, "Subscribers that read the log to catch up", []string{"type"},
		listeners(func(l *ListenerMetrics) float64 { return float64(l.Behind) })},
	{"gostore.listener.drops", "{event}", SampleCounter, "Events that watchers have missed; times that subscribers, and events of purges that callbacks were too slow for", []string{"type"},
		func(m *Metrics, emit emitter) {
			emit(float64(m.Callbacks.Drops), nil, "callback")
			emit(float64(m.Subscribers.Drops), nil, "subscriber")
			emit(float64(m.Watchers.Drops), nil, "watcher")
		}},

	{"gostore.namespaces", "{namespace}", SampleGauge, "Namespaces whose use is counted", nil,
		func(m *Metrics, emit emitter) { emit(float64(m.Namespaces), nil) }},
	{"gostore.quota.used", "1", SampleGauge, "The larger share of a namespace's limits that is used; of the fullest namespaces", []string{"namespace"},
		quotas(func(q *QuotaMetrics) float64 { return q.Used() })},
	{"gostore.quota.keys", "{key}", SampleGauge, "Keys of a namespace", []string{"namespace"},
		quotas(func(q *QuotaMetrics) float64 { return float64(q.Keys) })},
	{"gostore.quota.groups", "{group}", SampleGauge, "Groups of a namespace", []string{"namespace"},
		quotas(func(q *QuotaMetrics) float64 { return float64(q.Groups) })},

	{"gostore.actor.restarts", "{restart}", SampleCounter, "Actors of the store that failed and were started anew", []string{"actor"},
		func(m *Metrics, emit emitter) {
			for _, a := range m.Actors {
				emit(float64(a.Restarts), nil, a.Name)
			}
		}},
}

func truth(is bool) float64 {
	if is {
		return 1
	}
	return 0
}

// seen emits a histogram that is collected.
func seen(of func(*Metrics) *Histogram) func(*Metrics, emitter) {
	return func(m *Metrics, emit emitter) {
		if h := of(m); len(h.Counts) > 0 {
			emit(0, h)
		}
	}
}

func listeners(of func(*ListenerMetrics) float64) func(*Metrics, emitter) {
	return func(m *Metrics, emit emitter) {
		emit(of(&m.Subscribers), nil, "subscriber")
		emit(of(&m.Watchers), nil, "watcher")
	}
}

func quotas(of func(*QuotaMetrics) float64) func(*Metrics, emitter) {
	return func(m *Metrics, emit emitter) {
		for i := range m.Quotas {
			emit(of(&m.Quotas[i]), nil, m.Quotas[i].Namespace)
		}
	}
}
