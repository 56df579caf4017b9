package inspect

import (
	"bufio"
	"io"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"forge.lthn.ai/core/go-store/api"
)

// Meter is what has metrics: a store, or a view of a namespace.
type Meter interface{ Metrics() api.Metrics }

// prometheusType is the content type of Prometheus's text format.
const prometheusType = "text/plain; version=0.0.4; charset=utf-8"

// MetricsHandler answers GET with the store's metrics in Prometheus's text format, each figure
// with the labels given beside its own: such as the store's name, where a program has several.
// Those of a name that the store's figures have too are renamed, as by WritePrometheus.
// It authenticates no caller, and answers any host: mount it where only callers come by that may
// see it, or use the route metrics of Handler, which has a token and looks at hosts. A nil store has
// metrics without a figure.
func MetricsHandler(store Meter, labels ...api.Label) http.Handler {
	store = meterOf(store)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if onlyReads(w, r) {
			writePrometheus(w, r, store.Metrics(), labels...)
		}
	})
}

// meterOf is a store that can be asked.
func meterOf(store Meter) Meter {
	if store == nil {
		return (*api.Store)(nil)
	}
	return store
}

// writePrometheus answers a request.
func writePrometheus(w http.ResponseWriter, r *http.Request, m api.Metrics, labels ...api.Label) {
	measuredHeader(w.Header(), prometheusType)
	if r.Method == http.MethodGet {
		_ = WritePrometheus(w, m, labels...) // a client that has left can't be told
	}
}

func measuredHeader(h http.Header, contentType string) {
	h.Set("Content-Type", contentType)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store")
}

// onlyReads refuses what is neither GET nor HEAD.
func onlyReads(w http.ResponseWriter, r *http.Request) bool {
	if r.Method == http.MethodGet || r.Method == http.MethodHead {
		return true
	}
	w.Header().Set("Allow", "GET, HEAD")
	http.Error(w, "inspect: metrics are read with GET", http.StatusMethodNotAllowed)
	return false
}

// WritePrometheus writes metrics in Prometheus's text format, each figure with the labels given
// beside its own; one of a name that is no label's is left out, of several of one name the first
// stays, and one of a name that the store's figures have (kind, result, type, namespace, actor,
// …) is exported_NAME everywhere, as Prometheus renames a target's. Names are those of
// docs/METRICS.md with underscores, units and _total at the end. Of the buckets every second is
// written: those at powers of two. It returns the writer's error.
func WritePrometheus(w io.Writer, m api.Metrics, labels ...api.Label) error {
	out := bufio.NewWriter(w)
	common := commonLabels(labels)
	var last *api.SampleType
	for s := range m.Samples() {
		name := prometheusName(s.SampleType)
		if s.SampleType != last {
			last = s.SampleType
			_, _ = out.WriteString("# HELP " + name + " " + helpText.Replace(s.Help) + ".\n# TYPE " + name + " " + prometheusKind(s.Kind) + "\n")
		}
		all := append(common[:len(common):len(common)], s.Labels...)
		if s.Kind != api.SampleHistogram {
			line(out, name, all, s.Value)
			continue
		}
		writeHistogram(out, name, all, &s.Histogram)
	}
	return out.Flush()
}

// commonLabels are those that can stand beside any figure's own: with one name twice in a line
// Prometheus takes nothing of a page.
func commonLabels(labels []api.Label) (common []api.Label) {
	own := map[string]bool{}
	for _, t := range api.SampleTypes() {
		for _, name := range t.Labels {
			own[name] = true
		}
	}
	for _, l := range labels {
		if own[l.Name] {
			l.Name = "exported_" + l.Name
		}
		named := func(other api.Label) bool { return other.Name == l.Name }
		if isLabelName(l.Name) && !slices.ContainsFunc(common, named) {
			common = append(common, l)
		}
	}
	return common
}

func writeHistogram(out *bufio.Writer, name string, labels []api.Label, h *api.Histogram) {
	le := append(labels[:len(labels):len(labels)], api.Label{Name: "le"})
	below := uint64(0)
	for i, count := range h.Counts {
		below += count
		if i%2 == 1 && i < len(h.Counts)-1 { // half-way between powers of two
			continue
		}
		le[len(le)-1].Value = number(h.Buckets[i+1])
		line(out, name+"_bucket", le, float64(below))
	}
	line(out, name+"_sum", labels, h.Sum)
	line(out, name+"_count", labels, float64(below))
}

// line writes one sample. What goes wrong is what Flush says.
func line(out *bufio.Writer, name string, labels []api.Label, value float64) {
	_, _ = out.WriteString(name)
	for i, l := range labels {
		if i == 0 {
			_ = out.WriteByte('{')
		} else {
			_ = out.WriteByte(',')
		}
		_, _ = out.WriteString(l.Name + `="` + labelText.Replace(strings.ToValidUTF8(l.Value, "\uFFFD")) + `"`)
	}
	if len(labels) > 0 {
		_ = out.WriteByte('}')
	}
	_, _ = out.WriteString(" " + number(value) + "\n")
}

func number(v float64) string {
	switch {
	case math.IsInf(v, 1):
		return "+Inf"
	case v == math.Trunc(v) && math.Abs(v) < 1<<53:
		return strconv.FormatInt(int64(v), 10)
	default:
		return strconv.FormatFloat(v, 'g', -1, 64)
	}
}

var (
	helpText  = strings.NewReplacer(`\`, `\\`, "\n", `\n`)
	labelText = strings.NewReplacer(`\`, `\\`, "\n", `\n`, `"`, `\"`)
)

// prometheusName is a sample's name as Prometheus's conventions have it.
func prometheusName(t *api.SampleType) string {
	name := strings.ReplaceAll(t.Name, ".", "_")
	switch t.Unit {
	case "s":
		name += "_seconds"
	case "By":
		name += "_bytes"
	}
	if t.Kind == api.SampleCounter {
		name += "_total"
	}
	return name
}

func prometheusKind(k api.SampleKind) string {
	switch k {
	case api.SampleCounter:
		return "counter"
	case api.SampleHistogram:
		return "histogram"
	default:
		return "gauge"
	}
}

// isLabelName reports whether a name can be a label's, and is not one that has a meaning of its
// own.
func isLabelName(name string) bool {
	if name == "" || name == "le" || strings.HasPrefix(name, "__") {
		return false
	}
	for i, c := range []byte(name) {
		if c != '_' && (c|0x20 < 'a' || c|0x20 > 'z') && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return true
}
