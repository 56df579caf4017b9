package inspect_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"expvar"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/stretchr/testify/require"

	"forge.lthn.ai/core/go-store/api"
	"forge.lthn.ai/core/go-store/inspect"
)

// measured is a store that has something to tell.
func measured(t *testing.T, options ...api.Option) *api.Store {
	t.Helper()
	store, err := api.New(":memory:", append(options, api.WithMetrics())...)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, store.Close()) })
	scope, err := api.NewScopedWithQuota(store, "tenant", api.QuotaConfig{MaxKeys: 4})
	require.NoError(t, err)
	require.NoError(t, scope.Set("g", "k", "v"))
	_, err = scope.Usage()
	require.NoError(t, err)
	for i := range 10 {
		require.NoError(t, store.Set("g", fmt.Sprint(i), "v"))
	}
	_, err = store.Get("g", "none")
	require.ErrorIs(t, err, api.NotFoundError)
	return store
}

func parse(t *testing.T, text string) map[string]*dto.MetricFamily {
	t.Helper()
	var parser expfmt.TextParser
	families, err := parser.TextToMetricFamilies(strings.NewReader(text))
	require.NoError(t, err, "%s", text)
	return families
}

// value is that of a sample with these values of labels.
func value(t *testing.T, family *dto.MetricFamily, labels ...string) float64 {
	t.Helper()
	require.NotNil(t, family)
	for _, m := range family.Metric {
		var values []string
		for _, l := range m.Label {
			values = append(values, l.GetValue())
		}
		if strings.Join(values, "\x00") == strings.Join(labels, "\x00") {
			switch family.GetType() {
			case dto.MetricType_COUNTER:
				return m.Counter.GetValue()
			case dto.MetricType_HISTOGRAM:
				return float64(m.Histogram.GetSampleCount())
			default:
				return m.Gauge.GetValue()
			}
		}
	}
	t.Fatalf("%s has no sample with %q", family.GetName(), labels)
	return 0
}

// TestPrometheus: Prometheus's own parser reads what is written, and finds there what Metrics has.
func TestPrometheus(t *testing.T) {
	store := measured(t)
	response := httptest.NewRecorder()
	inspect.MetricsHandler(store).ServeHTTP(response, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	require.Equal(t, http.StatusOK, response.Code)
	require.Equal(t, string(expfmt.FmtText), strings.ReplaceAll(response.Header().Get("Content-Type"), "  ", " "))
	families := parse(t, response.Body.String())

	require.InDelta(t, 11, value(t, families["gostore_requests_total"], "set", "ok"), 0)
	require.InDelta(t, 1, value(t, families["gostore_requests_total"], "get", "not_found"), 0)
	require.InDelta(t, 11, value(t, families["gostore_request_duration_seconds"], "set"), 0)
	require.InDelta(t, 1, value(t, families["gostore_healthy"]), 0)
	require.InDelta(t, 0.25, value(t, families["gostore_quota_used"], "tenant"), 0)
	require.InDelta(t, 0, value(t, families["gostore_actor_restarts_total"], "writer"), 0)
	m := store.Metrics()
	names := map[string]bool{}
	for s := range m.Samples() {
		names[s.Name] = true
	}
	require.Len(t, families, len(names))
	for name, family := range families {
		require.True(t, strings.HasSuffix(name, "_total") == (family.GetType() == dto.MetricType_COUNTER), name)
		require.NotEmpty(t, family.GetHelp(), name)
		for _, m := range family.Metric {
			if h := m.Histogram; h != nil {
				checkHistogram(t, name, h)
			}
		}
	}
}

// checkHistogram: its buckets grow, and the last of them has all.
func checkHistogram(t *testing.T, name string, h *dto.Histogram) {
	t.Helper()
	bound, count := 0.0, uint64(0)
	for _, b := range h.Bucket {
		require.Greater(t, b.GetUpperBound(), bound, name)
		require.GreaterOrEqual(t, b.GetCumulativeCount(), count, name)
		bound, count = b.GetUpperBound(), b.GetCumulativeCount()
	}
	require.True(t, math.IsInf(bound, 1), name)
	require.Equal(t, h.GetSampleCount(), count, name)
	require.Len(t, h.Bucket, 32, name)
}

// TestPrometheusLabels: whatever a program labels a store with, the parser gets it back.
func TestPrometheusLabels(t *testing.T) {
	store := measured(t)
	for _, hostile := range []string{"", `"`, `\`, "\n", `a\n"b`, "\x00", "{}", "é 語", "# HELP x y\n# TYPE x counter\nx 1\n"} {
		var text bytes.Buffer
		require.NoError(t, inspect.WritePrometheus(&text, store.Metrics(), api.Label{Name: "store", Value: hostile},
			api.Label{Name: "le", Value: "x"}, api.Label{Name: "1a", Value: "x"}, api.Label{Name: "a-b", Value: "x"}, api.Label{Name: "__name__", Value: "x"}, api.Label{}))
		families := parse(t, text.String())
		require.InDelta(t, 1, value(t, families["gostore_healthy"], hostile), 0, "%q", hostile)
		require.InDelta(t, 11, value(t, families["gostore_requests_total"], hostile, "set", "ok"), 0, "%q", hostile)
		require.NotContains(t, families, "x")
	}
	var text bytes.Buffer
	require.NoError(t, inspect.WritePrometheus(&text, store.Metrics(), api.Label{Name: "store", Value: "\xFF"}))
	require.InDelta(t, 1, value(t, parse(t, text.String())["gostore_healthy"], "\uFFFD"), 0)
}

// TestPrometheusLabelsOfOneName: a program's labels that are named as the store's, or twice the
// same, leave a page that Prometheus takes, with one value of each.
func TestPrometheusLabelsOfOneName(t *testing.T) {
	store := measured(t)
	labels := []api.Label{{Name: "store", Value: "first"}, {Name: "store", Value: "second"}, {Name: "exported_kind", Value: "mine"}}
	for _, sample := range api.SampleTypes() {
		for _, name := range sample.Labels {
			labels = append(labels, api.Label{Name: name, Value: "my " + name})
		}
	}
	response := httptest.NewRecorder()
	inspect.MetricsHandler(store, labels...).ServeHTTP(response, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	families := parse(t, response.Body.String())
	for name, family := range families {
		for _, m := range family.Metric {
			seen := map[string]string{}
			for _, l := range m.Label {
				require.NotContains(t, seen, l.GetName(), name)
				seen[l.GetName()] = l.GetValue()
			}
			require.Equal(t, "first", seen["store"], name)
			require.Equal(t, "mine", seen["exported_kind"], name)
			require.Equal(t, "my result", seen["exported_result"], name)
			require.Equal(t, "my namespace", seen["exported_namespace"], name)
		}
	}
	require.Contains(t, response.Body.String(), `kind="set",result="ok"} 11`)
}

// TestPrometheusOfStoresThatAreNot: closed, nil, or without WithMetrics: all of it parses.
func TestPrometheusOfStoresThatAreNot(t *testing.T) {
	closed, err := api.New(":memory:")
	require.NoError(t, err)
	var text bytes.Buffer
	require.NoError(t, inspect.WritePrometheus(&text, closed.Metrics()))
	families := parse(t, text.String())
	require.NotContains(t, families, "gostore_requests_total")
	require.InDelta(t, 4096, value(t, families["gostore_queue_limit"]), 0)
	require.NoError(t, closed.Close())
	for name, store := range map[string]inspect.Meter{"closed": closed, "nil": (*api.Store)(nil), "scope": (*api.ScopedStore)(nil)} {
		text.Reset()
		require.NoError(t, inspect.WritePrometheus(&text, store.Metrics()))
		require.InDelta(t, 0, value(t, parse(t, text.String())["gostore_healthy"]), 0, name)
	}
}

// broken is a connection whose other side has left.
type broken struct{ left int }

var errLeft = errors.New("the other side has left")

func (b *broken) Write(p []byte) (int, error) {
	if b.left -= len(p); b.left < 0 {
		return 0, errLeft
	}
	return len(p), nil
}

func TestPrometheusToAReaderThatHasLeft(t *testing.T) {
	store := measured(t)
	for _, after := range []int{0, 100, 5000} {
		require.ErrorIs(t, inspect.WritePrometheus(&broken{after}, store.Metrics()), errLeft)
	}
}

func TestVars(t *testing.T) {
	store := measured(t)
	check := func(text string) {
		t.Helper()
		var found map[string]any
		require.NoError(t, json.Unmarshal([]byte(text), &found))
		require.InDelta(t, 11, found["gostore.requests"].(map[string]any)["set,ok"], 0)
		require.InDelta(t, 11, found["gostore.request.duration"].(map[string]any)["set"].(map[string]any)["count"], 0)
		require.InDelta(t, 1, found["gostore.healthy"], 0)
		require.NotContains(t, found, "gostore.health")
	}
	check(inspect.Vars(store).String())
	expvar.Publish("TestVars", inspect.Vars(store))
	check(expvar.Get("TestVars").String())

	response := httptest.NewRecorder()
	inspect.VarsHandler(store).ServeHTTP(response, httptest.NewRequest(http.MethodGet, "/debug/vars", nil))
	var outer map[string]json.RawMessage
	require.NoError(t, json.Unmarshal(response.Body.Bytes(), &outer))
	check(string(outer["gostore"]))

	require.Contains(t, inspect.Vars((*api.Store)(nil)).String(), `"gostore.health":"store.Health: store instance is nil"`)
}

// TestMetricsAreReadOnly: nothing but GET and HEAD is answered.
func TestMetricsAreReadOnly(t *testing.T) {
	store := measured(t)
	for name, handler := range map[string]http.Handler{"metrics": inspect.MetricsHandler(store), "vars": inspect.VarsHandler(store)} {
		for _, method := range []string{http.MethodPost, http.MethodPut, http.MethodDelete, "TRACE", "get"} {
			response := httptest.NewRecorder()
			handler.ServeHTTP(response, &http.Request{Method: method})
			if method != http.MethodGet {
				require.Equal(t, http.StatusMethodNotAllowed, response.Code, "%s %s", name, method)
				require.Equal(t, "GET, HEAD", response.Header().Get("Allow"))
			}
		}
		response := httptest.NewRecorder()
		handler.ServeHTTP(response, httptest.NewRequest(http.MethodHead, "/", nil))
		require.Equal(t, http.StatusOK, response.Code, name)
		require.Empty(t, response.Body.String())
	}
}

// TestMetricsOfNoStore: a nil store answers, with figures of nothing.
func TestMetricsOfNoStore(t *testing.T) {
	for name, store := range map[string]inspect.Meter{"nil": nil, "a nil store": (*api.Store)(nil)} {
		for _, handler := range []http.Handler{inspect.MetricsHandler(store), inspect.VarsHandler(store)} {
			w := httptest.NewRecorder()
			handler.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
			require.Equal(t, http.StatusOK, w.Code, name)
		}
		require.True(t, json.Valid([]byte(inspect.Vars(store).String())), name)
	}
}
