package inspect

import (
	"math"
	"net/http"
	"strings"

	"forge.lthn.ai/core/go-store/api"
)

type histogramJSON struct {
	Unit    string       `json:"unit"`
	Count   uint64       `json:"count"`
	Sum     float64      `json:"sum"`
	Max     float64      `json:"max"`
	P50     float64      `json:"p50"`
	P90     float64      `json:"p90"`
	P99     float64      `json:"p99"`
	Buckets []bucketJSON `json:"buckets"`
}

type bucketJSON struct {
	LE    *float64 `json:"le"` // nil: no bound
	Count uint64   `json:"count"`
}

type metricsJSON struct {
	At         string                   `json:"at"`
	Collecting bool                     `json:"collecting"`
	Counters   map[string]uint64        `json:"counters"`
	Gauges     map[string]float64       `json:"gauges"`
	Histograms map[string]histogramJSON `json:"histograms"`
}

// measured is the store's metrics, for a request without parameters.
func (h *handler) measured(r *http.Request) (m api.Metrics, err error) {
	if _, err := queryOf(r.URL.RawQuery); err != nil {
		return m, err
	}
	if h.whole == nil {
		return m, &problem{status: http.StatusForbidden, code: "namespace_only", detail: "this handler shows one namespace: metrics are of the whole store"}
	}
	if _, err := h.whole.WithContext(r.Context()).Revision(); err != nil {
		return m, err // it is closed
	}
	return h.whole.Metrics(), nil
}

// figures are what write makes of the store's metrics, as MetricsHandler and VarsHandler do, for
// callers that may see this handler.
func figures(write func(http.ResponseWriter, *http.Request, api.Metrics)) operation {
	return func(h *handler, w http.ResponseWriter, r *http.Request, _ []string) error {
		m, err := h.measured(r)
		if err == nil {
			write(w, r, m)
		}
		return err
	}
}

// metrics is a snapshot for charts.
func (h *handler) metrics(w http.ResponseWriter, r *http.Request, _ []string) error {
	m, err := h.measured(r)
	if err != nil {
		return err
	}
	answer := metricsJSON{At: timeOf(m.At), Collecting: m.Collecting,
		Counters: make(map[string]uint64), Gauges: make(map[string]float64), Histograms: make(map[string]histogramJSON)}
	for s := range m.Samples() {
		name, unit, scale := sampleName(&s)
		switch s.Kind {
		case api.SampleCounter:
			answer.Counters[name] = uint64(s.Value)
		case api.SampleGauge:
			answer.Gauges[name] = s.Value * scale
		case api.SampleHistogram:
			answer.Histograms[name] = histogramOf(&s.Histogram, unit, scale)
		}
	}
	writeJSON(w, "application/json", http.StatusOK, answer)
	return nil
}

// shortNames are those that the page's charts know, of what docs/METRICS.md has longer ones
// for.
var shortNames = map[string]string{
	"request.duration": "requests", "commit.duration": "commits", "sync.duration": "syncs", "batch.size": "batches",
	"queue.wait": "queue_wait", "queue.depth": "in_flight", "wal.size": "wal_bytes", "log.size": "log_bytes",
	"views.open": "views", "views.oldest": "oldest_view_ns", "cache.size": "cache_bytes", "cache.limit": "cache_limit_bytes",
	"checkpoint.duration": "checkpoints.took", "uptime": "uptime_ns", "log.age": "log_age_ns", "expiry.lag": "expiry_lag_ns",
}

// sampleName is a figure's name with what its labels say behind it, and its unit: times are
// in nanoseconds.
func sampleName(s *api.Sample) (name, unit string, scale float64) {
	name = strings.TrimPrefix(s.Name, "gostore.")
	if short, found := shortNames[name]; found {
		name = short
	}
	for _, label := range s.Labels {
		name += "." + label.Value
	}
	switch s.Unit {
	case "s":
		return name, "ns", 1e9
	case "By":
		return name, "bytes", 1
	default:
		return name, "count", 1
	}
}

func histogramOf(h *api.Histogram, unit string, scale float64) histogramJSON {
	j := histogramJSON{Unit: unit, Count: h.Count(), Sum: h.Sum * scale, Max: h.Quantile(1) * scale,
		P50: h.Quantile(0.5) * scale, P90: h.Quantile(0.9) * scale, P99: h.Quantile(0.99) * scale, Buckets: []bucketJSON{}}
	for i, count := range h.Counts {
		if count == 0 {
			continue
		}
		bucket := bucketJSON{Count: count}
		if bound := h.Buckets[i+1] * scale; !math.IsInf(bound, 1) {
			bucket.LE = &bound
		}
		j.Buckets = append(j.Buckets, bucket)
	}
	return j
}
