package report

import (
	"bytes"
	"html/template"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"forge.lthn.ai/core/go-store/bench"
)

// example is a result with something of everything.
func example() *bench.Result {
	latency := bench.Latency{Count: 1000, P50: 1_500, P90: 2_000, P99: 9_000, P999: 20_000, Max: 2_500_000,
		Curve: []int64{0, 1_200, 1_500, 1_700, 2_000, 3_000, 5_000, 9_000, 10_000, 15_000, 20_000}}
	cell := func(workload string, callers int, contender string, median float64) bench.Cell {
		ratio := bench.Spread{Median: median / 1000, Least: median / 1100, Most: median / 900}
		return bench.Cell{
			Workload: workload, Callers: callers, Contender: contender, Rounds: []bench.Round{{Operations: 1000, Seconds: 1}},
			Throughput: bench.Spread{Median: median, Least: median * 0.9, Most: median * 1.1}, Ratio: &ratio,
			Latency: map[string]bench.Latency{"all": latency},
		}
	}
	r := &bench.Result{
		Schema: bench.Schema, Command: "gostore bench", Started: time.Unix(1_700_000_000, 0).UTC(), Elapsed: 31.5,
		Machine: bench.Machine{OS: "linux", Arch: "amd64", Cores: 2, Go: "go1.26", Folder: "/tmp", SyncNs: 250_000},
		Plan:    bench.PlanResult{Seed: 1, Keys: 20_000, ValueSize: "100", Distribution: "uniform", Sorted: true, Rounds: 3, Round: 0.5, WarmUp: 0.1},
		Harness: bench.Calibration{Callers: 64, SetNs: 60, GetNs: 25, SetCPU: 120, GetCPU: 50},
		Contenders: []bench.ContenderInfo{
			{Name: "one", Durability: "power cut"}, {Name: "other", Durability: "nothing", Note: "<script>alert(1)</script>"},
		},
	}
	for _, callers := range []int{1, 64} {
		r.Cells = append(r.Cells, cell("set", callers, "one", 1000*float64(callers)), cell("set", callers, "other", 2_000_000))
	}
	r.Cells[0].Batches = []bench.Bucket{{Size: 1, Count: 10}, {Size: 5, Count: 2}}
	r.Cells[2].Conflicts, r.Cells[2].Unserved = 7, 1234
	r.Cells[1].Rounds = []bench.Round{{Written: 900}} // given nothing that is counted
	r.Cells[2].Rounds = []bench.Round{{Written: 900, Given: 100}, {Written: 1100, Given: 100}}
	actors := cell("actor-get", 1, "one", 400_000)
	actors.Latency, actors.Beside = nil, &bench.Beside{What: "an actor that only answers", Ratio: bench.Spread{Median: 0.5, Least: 0.25, Most: 0.75}}
	r.Cells = append(r.Cells, actors)
	ttl := cell("ttl", 64, "one", 5000)
	ttl.Expiry = &bench.Delivery{Receivers: 1, Expected: 1000, Received: 1000, Latency: latency}
	watch := cell("watch-100", 1, "other", 300)
	watch.Delivery = &bench.Delivery{Receivers: 100, Expected: 5000, Received: 4000, Dropped: 1000, Silent: true, Latency: latency}
	r.Cells = append(r.Cells, ttl, watch,
		bench.Cell{Workload: "delete", Callers: 64, Contender: "one", Cannot: "nothing is ever deleted"},
		bench.Cell{Workload: "delete", Callers: 64, Contender: "other", Failed: "the disk is on fire"})
	return r
}

func html(t *testing.T, r *bench.Result) string {
	t.Helper()
	var out bytes.Buffer
	require.NoError(t, HTML(&out, r))
	return out.String()
}

func TestHTML_NeedsNothingBesides(t *testing.T) {
	page := html(t, example())
	for _, reference := range []string{"http:", "https:", "//", "src=", "href=", "url(", "@import", "<script", "<link", "xmlns"} {
		assert.NotContains(t, page, reference)
	}
	assert.Contains(t, page, "&lt;script&gt;alert(1)", "a contender's note is text")
}

func TestHTML_ShowsAll(t *testing.T) {
	page := html(t, example())
	for _, section := range []string{"Throughput by callers", "Latency percentiles", "Batch sizes", "Expiry lag", "Delivery", "All figures"} {
		assert.Contains(t, page, "<h2>"+section)
	}
	// Throughput of set; latency of set, ttl, watch-100; batches of one; expiry; delivery.
	assert.Equal(t, 7, strings.Count(page, "<svg"))
	assert.Equal(t, 7, strings.Count(page, "</svg>"))
	for _, want := range []string{"can&#39;t: nothing is ever deleted", "failed: the disk is on fire", "20 % dropped (and nobody told)",
		"0.50 × an actor that only answers", "60 ns a set, 25 ns a get", "4 KiB synced in 250 µs", "1 caller: 1.7 on average"} {
		assert.Contains(t, page, want)
	}
	assert.Contains(t, page, `role="img" aria-label="set. Across: callers. Up: operations a second. one: 1,000 at 1 caller, 64,000 at 64 callers. other: `)
	assert.Contains(t, page, "<title>one: 9.00 µs at 99 %</title>", "a dot says what it stands for")
	assert.NotContains(t, page, "NaN")
	assert.NotContains(t, page, "was interrupted")
}

func TestHTML_OfAnEmptyRun(t *testing.T) {
	r := example()
	r.Cells, r.Interrupted = nil, true
	page := html(t, r)
	assert.Contains(t, page, "This run was interrupted")
	assert.NotContains(t, page, "<svg")
}

// A chart whose values are all the same, or zero, has axes all the same.
func TestChart_OfOneValue(t *testing.T) {
	r := example()
	for i := range r.Cells {
		r.Cells[i].Latency = map[string]bench.Latency{"all": {Count: 1, Curve: []int64{0}}}
	}
	assert.NotContains(t, html(t, r), "NaN")
}

func TestText(t *testing.T) {
	var out bytes.Buffer
	require.NoError(t, Text(&out, example()))
	text := regexp.MustCompile(` +`).ReplaceAllString(out.String(), " ")
	assert.Equal(t, 1, strings.Count(text, "written to disk for each byte set"))
	for _, want := range []string{
		" set 1 one 1,000 900 to 1,100 1.50 µs 9.00 µs 1.00 × 0.91 to 1.11",
		" other 2,000,000 1,800,000 to 2,200,000 1.50 µs 9.00 µs 2,000 × 1,818 to 2,222",
		"can't: nothing is ever deleted", "FAILED: see below",
		"FAILED: other, delete, 64 callers: the disk is on fire\n",
		"set, one, 1 caller: 1.7 writes a commit\n",
		"set, one, 64 callers: 10.0 bytes written to disk for each byte set\n",
		"set, one, 64 callers: 7 conflicts\n",
		"actor-get, one, 1 caller: 0.50 × what was measured beside it, an actor that only answers; 0.25 to 0.75\n",
		"set, one, 64 callers: 1,234 calls were due and not begun",
		"ttl, one, 64 callers: 1,000 of 1,000 keys expired; lag p50 1.50 µs, p99 9.00 µs, most 2.50 ms; writes meanwhile p99 9.00 µs\n",
		"watch-100, other, 1 caller: 4,000 of 5,000 events received, 1,000 dropped (and nobody told); from",
		"one survives: power cut\n",
	} {
		assert.Contains(t, text, want)
	}
}

func TestMarkdown(t *testing.T) {
	var out bytes.Buffer
	require.NoError(t, Markdown(&out, example()))
	assert.Contains(t, out.String(), "| set | 1 | one | 1,000 |")
	assert.Contains(t, out.String(), "20,000 keys, loaded in the order of their names, values")
	assert.Equal(t, 1, strings.Count(out.String(), "can't: nothing is ever deleted"))
	assert.Contains(t, out.String(), "\n- one survives: power cut\n")
}

func TestNumbers(t *testing.T) {
	for n, want := range map[float64]string{0: "0", 0.5: "0.50", 7: "7", 999: "999", 1000: "1,000", 1234567.4: "1,234,567", -12345: "-12,345"} {
		assert.Equal(t, want, Count(n))
	}
	for n, want := range map[float64]string{0: "0 ns", 999: "999 ns", 1500: "1.50 µs", 25e6: "25.0 ms", 3.2e11: "320 s"} {
		assert.Equal(t, want, Time(n))
	}
	for n, want := range map[float64]string{0.001: "0.001", 0.5: "0.50", 12.34: "12.3", 1234: "1,234"} {
		assert.Equal(t, want, Ratio(n))
	}
	for n, want := range map[float64]string{1: "1", 20_000: "20 k", 5e6: "5 M"} {
		assert.Equal(t, want, magnitude(n))
	}
	for n, want := range map[float64]string{5: "5 ns", 2000: "2 µs", 1e6: "1 ms", 1e9: "1 s"} {
		assert.Equal(t, want, roundTime(n))
	}
	assert.Equal(t, template.CSS("#0072b2"), colour(0))
	assert.Equal(t, colour(0), colour(len(palette)), "more stores than colours share them")
}
