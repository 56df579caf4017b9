package inspect

import (
	"net/http"
	"time"
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
	Counters   map[string]uint64        `json:"counters"`
	Gauges     map[string]float64       `json:"gauges"`
	Histograms map[string]histogramJSON `json:"histograms"`
}

// metrics is a snapshot for charts.
func (h *handler) metrics(w http.ResponseWriter, r *http.Request, _ []string) error {
	if _, err := queryOf(r.URL.RawQuery); err != nil {
		return err
	}
	if h.whole == nil {
		return &problem{status: http.StatusForbidden, code: "namespace_only", detail: "this handler shows one namespace: metrics are of the whole store"}
	}
	revision, err := h.whole.WithContext(r.Context()).Revision()
	if err != nil {
		return err
	}
	writeJSON(w, "application/json", http.StatusOK, metricsJSON{
		At:         timeOf(time.Now()),
		Counters:   map[string]uint64{"revision": revision, "conflicts": h.whole.Conflicts(), "callback_overflow": h.whole.CallbackOverflow()},
		Gauges:     map[string]float64{"in_flight": float64(h.whole.InFlight())},
		Histograms: map[string]histogramJSON{},
	})
	return nil
}
