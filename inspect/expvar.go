package inspect

import (
	"encoding/json"
	"expvar"
	"net/http"
	"strings"

	"forge.lthn.ai/core/go-store/api"
)

// Vars is a store's metrics as a variable of package expvar: an object with the figures by the
// names of docs/METRICS.md, those with labels by what the labels say, histograms as count, sum,
// mean and three quantiles. Publish it under a name of its own:
//
//	expvar.Publish("gostore", inspect.Vars(store))
//
// A nil store's object has no figure.
func Vars(store Meter) expvar.Var {
	store = meterOf(store)
	return expvar.Func(func() any {
		m := store.Metrics()
		return vars(&m)
	})
}

// VarsHandler answers GET with what expvar.Handler would if the store's metrics were published
// as "gostore", and nothing else was. Like MetricsHandler it authenticates no caller; the route
// vars of Handler does.
func VarsHandler(store Meter) http.Handler {
	store = meterOf(store)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if onlyReads(w, r) {
			writeVars(w, r, store.Metrics())
		}
	})
}

// writeVars answers a request.
func writeVars(w http.ResponseWriter, r *http.Request, m api.Metrics) {
	measuredHeader(w.Header(), "application/json; charset=utf-8")
	if r.Method == http.MethodGet {
		_ = json.NewEncoder(w).Encode(map[string]any{"gostore": vars(&m)}) // a client that has left can't be told
	}
}

// varHistogram is a histogram in JSON.
type varHistogram struct {
	Count uint64  `json:"count"`
	Sum   float64 `json:"sum"`
	Mean  float64 `json:"mean"`
	P50   float64 `json:"p50"`
	P90   float64 `json:"p90"`
	P99   float64 `json:"p99"`
}

func vars(m *api.Metrics) map[string]any {
	all := make(map[string]any)
	for s := range m.Samples() {
		value := any(s.Value)
		if h := &s.Histogram; s.Kind == api.SampleHistogram {
			value = varHistogram{h.Count(), h.Sum, h.Mean(), h.Quantile(0.5), h.Quantile(0.9), h.Quantile(0.99)}
		}
		if len(s.SampleType.Labels) == 0 {
			all[s.Name] = value
			continue
		}
		by, _ := all[s.Name].(map[string]any)
		if by == nil {
			by = make(map[string]any)
			all[s.Name] = by
		}
		by[labelsOf(s.Labels)] = value
	}
	if m.Health != nil {
		all["gostore.health"] = m.Health.Error()
	}
	return all
}

// labelsOf is what a sample's labels say: "set,ok".
func labelsOf(labels []api.Label) string {
	values := make([]string, len(labels))
	for i, l := range labels {
		values[i] = l.Value
	}
	return strings.Join(values, ",")
}
