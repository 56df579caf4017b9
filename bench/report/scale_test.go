package report

import (
	"math"
	"strings"
	"testing"

	"forge.lthn.ai/core/go-store/internal/testkit"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestMain(m *testing.M) {
	testkit.SameDraws()
	m.Run()
}

func labels(ticks []tick) string {
	var texts []string
	for _, t := range ticks {
		if t.label != "" {
			texts = append(texts, t.label)
		}
	}
	return strings.Join(texts, " ")
}

func TestTicks(t *testing.T) {
	assert.Equal(t, "100 200 500 1 k 2 k", labels(logTicks(magnitude)(90, 2100)))
	assert.Equal(t, "10 100 1 k 10 k", labels(logTicks(magnitude)(9, 20_000)), "1, 2 and 5 would be too many")
	assert.Equal(t, "2.5 k 3 k 3.5 k 4 k 4.5 k", labels(logTicks(magnitude)(2100, 4900)), "no power of ten, nor 2 or 5 of it")
	assert.Equal(t, "0 0.2 0.4 0.6 0.8 1", labels(linearTicks(digits)(0, 1)))
	assert.Equal(t, "-0.1 0 0.1 0.2 0.3", labels(linearTicks(digits)(-0.1, 0.32)))
	assert.Equal(t, "0 10 20 30 40 50 60", labels(linearTicks(digits)(0, 64.8)))
	assert.Equal(t, "50 % 90 % 99 % 99.9 %", labels(quantileAxis().ticks(0, nines(0.9995))))
}

// TestTicks_OfAnyAxis: whatever values an axis shows, it has at least two labels, few
// enough to be read, and places all of them within the chart.
func TestTicks_OfAnyAxis(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := axis{log: rapid.Bool().Draw(t, "log"), zero: rapid.Bool().Draw(t, "zero"), ticks: linearTicks(thousandsOf)}
		if a.log {
			a.ticks = logTicks(roundTime)
		}
		values := rapid.SliceOfN(rapid.Float64Range(1e-2, 1e15), 1, 9).Draw(t, "values")
		s := a.scaled(values)
		s.from, s.to = 40, 300
		ticks := s.ticks(s.least, s.most)
		count := len(strings.Fields(strings.ReplaceAll(labels(ticks), " ", "")))
		require.NotZero(t, count)
		require.GreaterOrEqual(t, len(ticks), 2)
		require.LessOrEqual(t, len(ticks), 20)
		for _, v := range append(values, math.Inf(1), -1, 0) {
			at := s.at(v)
			require.True(t, at >= 40 && at <= 300, "%g at %g", v, at)
		}
	})
}

// TestChart_OfWhatCantBeShown: a chart of nothing, of nothing on a logarithmic axis, and
// of values that are no numbers has axes all the same.
func TestChart_OfWhatCantBeShown(t *testing.T) {
	for _, points := range [][]point{nil, {{1, 0, 0, 0}}, {{1, 5, 0, 9}}, {{math.NaN(), math.Inf(1), 1, 1}, {1, 2, 1, 3}}} {
		drawn := string(chart("title", timeAxis("x"), timeAxis("y"), []series{{name: "line", points: points}}))
		require.Contains(t, drawn, `class="axis"`)
		require.NotContains(t, drawn[strings.Index(drawn, ">"):], "NaN")
		require.NotContains(t, drawn[strings.Index(drawn, ">"):], "Inf")
	}
}
