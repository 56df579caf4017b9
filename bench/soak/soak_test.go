package soak

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Two seconds of everything: nothing leaks fast, and each kind of call is made.
func TestSoak(t *testing.T) {
	path := filepath.Join(t.TempDir(), "soak.db")
	progressed := false
	result, err := Run(context.Background(), Config{Path: path, Duration: 2 * time.Second, Seed: 5,
		Progress: func(time.Duration) { progressed = true }})
	require.NoError(t, err)
	assert.True(t, progressed)
	assert.Equal(t, Pass, result.Verdict, "%s\n%+v", result.Summary(), result.Samples)
	assert.False(t, result.Interrupted)
	for _, kind := range kinds {
		if kind.share >= 50 {
			assert.NotZero(t, result.Calls[kind.name], kind.name)
		}
	}
	require.GreaterOrEqual(t, len(result.Samples), leastJudged)
	for _, sample := range result.Samples {
		assert.Positive(t, sample.Heap)
		assert.GreaterOrEqual(t, sample.Goroutines, int64(result.Callers), "goroutines")
		assert.Positive(t, sample.File)
		assert.Positive(t, sample.WAL)
		if runtime.GOOS == "linux" {
			assert.Positive(t, sample.Descriptors)
			assert.Positive(t, sample.Resident)
			assert.Less(t, sample.Outside, sample.Resident)
		}
	}
	left, err := os.ReadDir(filepath.Dir(path))
	require.NoError(t, err)
	for _, entry := range left {
		assert.True(t, strings.HasPrefix(entry.Name(), "soak.db"), "%s is left behind", entry.Name())
	}
}

// What really grows, as the process shows it, is found: goroutines that never
// end, memory that is kept, files that stay open.
func TestSoak_FindsLeaks(t *testing.T) {
	var kept [][]byte
	var files []*os.File
	release := make(chan struct{})
	defer close(release)
	defer func() {
		for _, file := range files {
			assert.NoError(t, file.Close())
		}
	}()
	result, err := Run(context.Background(), Config{Path: filepath.Join(t.TempDir(), "soak.db"), Duration: 2 * time.Second,
		Callers: 4, beside: func() {
			kept = append(kept, make([]byte, 4<<20))
			for range 16 {
				go func() { <-release }()
				file, err := os.Open(os.DevNull)
				if assert.NoError(t, err) {
					files = append(files, file)
				}
			}
		}})
	require.NoError(t, err)
	runtime.KeepAlive(kept)
	assert.Equal(t, Fail, result.Verdict)
	grown := grownOf(result)
	assert.Contains(t, grown, "Go heap")
	assert.Contains(t, grown, "goroutines")
	if runtime.GOOS == "linux" {
		assert.Contains(t, grown, "descriptors")
	}
	for _, figure := range grown {
		assert.Contains(t, result.Summary(), figure+" from ")
	}
}

// On a machine so slow that a sample takes longer than the run, there is a
// verdict all the same.
func TestSoak_SlowSamples(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	taken := 0
	result, err := Run(ctx, Config{Path: filepath.Join(t.TempDir(), "soak.db"), Duration: time.Second, Callers: 2, Rate: 50,
		beside: func() {
			if taken++; taken <= leastJudged {
				time.Sleep(500 * time.Millisecond) // the slowness itself
			}
		}})
	require.NoError(t, err)
	assert.NotEqual(t, Unjudged, result.Verdict, result.Summary())
	assert.Greater(t, result.Seconds, 1.0)
}

func grownOf(result Result) (grown []string) {
	for _, g := range result.Growth {
		if g.Grown {
			grown = append(grown, g.Figure)
		}
	}
	return grown
}

// of is a run of an hour whose samples are what change makes of a steady one.
func of(warm time.Duration, change func(n int, s *Sample)) Result {
	result := Result{Warm: warm.Seconds(), Seconds: 3600, Callers: 64, Seed: 7, Command: "gostore soak --for 1h",
		Started: time.Unix(1_700_000_000, 0).UTC(), Calls: map[string]uint64{"get": 3_000_000}}
	for n := range 360 {
		s := Sample{At: float64(10 * (n + 1)), Heap: 50 << 20, Outside: 100 << 20, Resident: 200 << 20, Goroutines: 100,
			Descriptors: 40, WAL: 10 << 20, File: 20 << 20, Calls: 1000, P99: 5_000_000}
		if change != nil {
			change(n, &s)
		}
		result.Samples = append(result.Samples, s)
	}
	result.judge()
	return result
}

func TestJudge(t *testing.T) {
	at := func(n int, share float64, from int64) int64 { return from + int64(float64(from)*share*float64(n)/359) }
	for name, test := range map[string]struct {
		change func(n int, s *Sample)
		grown  []string
	}{
		"flat":                         {nil, nil},
		"it shrinks":                   {func(n int, s *Sample) { s.Heap = at(n, -0.5, s.Heap) }, nil},
		"before minute five":           {func(n int, s *Sample) { s.Outside = min(int64(n+1), 29) << 20 }, nil},
		"after minute five":            {func(n int, s *Sample) { s.Outside = min(int64(n+1), 90) << 20 }, []string{"memory outside Go"}},
		"heap, 2 % and the slack":      {func(n int, s *Sample) { s.Heap = at(n, 0.04, s.Heap) }, nil},
		"heap, more":                   {func(n int, s *Sample) { s.Heap = at(n, 0.07, s.Heap) }, []string{"Go heap"}},
		"outside":                      {func(n int, s *Sample) { s.Outside = at(n, 0.05, s.Outside) }, []string{"memory outside Go"}},
		"two goroutines and the slack": {func(n int, s *Sample) { s.Goroutines += min(int64(n)/50, 6) }, nil},
		"more goroutines":              {func(n int, s *Sample) { s.Goroutines += int64(n) / 40 }, []string{"goroutines"}},
		"a descriptor in ten minutes":  {func(n int, s *Sample) { s.Descriptors += int64(n) / 60 }, []string{"descriptors"}},
		"WAL":                          {func(n int, s *Sample) { s.WAL = at(n, 0.2, s.WAL) }, []string{"WAL"}},
		"file":                         {func(n int, s *Sample) { s.File = at(n, 0.1, s.File) }, []string{"database file"}},
		"a peak within a tenth": {func(n int, s *Sample) {
			if n > 345 {
				s.WAL, s.Heap = 500<<20, 500<<20
			}
		}, nil},
		"all": {func(n int, s *Sample) {
			for _, figure := range []*int64{&s.Heap, &s.Outside, &s.Goroutines, &s.Descriptors, &s.WAL, &s.File} {
				*figure = at(n, 1, *figure)
			}
		}, []string{"Go heap", "memory outside Go", "goroutines", "descriptors", "WAL", "database file"}},
		"what the system does not tell": {func(_ int, s *Sample) { s.Outside, s.Descriptors, s.WAL = 0, 0, 0 }, nil},
	} {
		t.Run(name, func(t *testing.T) {
			result := of(5*time.Minute, test.change)
			assert.Equal(t, test.grown, grownOf(result))
			assert.Equal(t, test.grown == nil, result.Passed())
			assert.Equal(t, 0.02, result.Share)
		})
	}
}

func TestJudge_AShortRunIsJudgedLessStrictly(t *testing.T) {
	result := of(5*time.Minute-time.Second, func(n int, s *Sample) { s.Descriptors += min(int64(n)/10, 30) })
	assert.Empty(t, grownOf(result))
	assert.Equal(t, 0.25, result.Share)
	result = of(5*time.Minute-time.Second, func(n int, s *Sample) { s.Heap += int64(n) << 20 })
	assert.Equal(t, []string{"Go heap"}, grownOf(result))
}

func TestJudge_TooFewSamples(t *testing.T) {
	result := of(5*time.Minute, nil)
	for judged := range leastJudged {
		short := Result{Warm: 300, Seconds: 330, Samples: result.Samples[:29+judged], Interrupted: true}
		short.judge()
		assert.Equal(t, Unjudged, short.Verdict)
		assert.False(t, short.Passed())
		assert.Equal(t, "not judged: it ended 5m30s after its begin, too soon after a warm-up of 5m0s", short.Summary())
	}
	enough := Result{Warm: 300, Samples: result.Samples[:29+leastJudged]}
	enough.judge()
	assert.Equal(t, Pass, enough.Verdict)
}

func TestMedian(t *testing.T) {
	heap := func(s Sample) int64 { return s.Heap }
	assert.Equal(t, 5.0, median([]Sample{{Heap: 9}, {Heap: 1}, {Heap: 5}}, heap))
	assert.Equal(t, 3.0, median([]Sample{{Heap: 9}, {Heap: 1}, {Heap: 5}, {Heap: 1}}, heap))
}

func TestKinds_AreAThousand(t *testing.T) {
	sum := 0
	for _, kind := range kinds {
		sum += kind.share
	}
	assert.Equal(t, 1000, sum)
}

func TestRun_RefusesWhatCannotBe(t *testing.T) {
	path := filepath.Join(t.TempDir(), "soak.db")
	for want, config := range map[string]Config{
		"name a database": {Duration: time.Second},
		"use a second":    {Path: path},
		"-1 callers":      {Path: path, Duration: time.Second, Callers: -1},
		"a rate of -1":    {Path: path, Duration: time.Second, Rate: -1},
		"fewer than 4":    {Path: path, Duration: time.Second, Every: time.Second},
	} {
		_, err := Run(context.Background(), config)
		assert.ErrorContains(t, err, want)
	}
	assert.NoFileExists(t, path)
}

func TestRun_EndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	result, err := Run(ctx, Config{Path: filepath.Join(t.TempDir(), "soak.db"), Duration: time.Hour, Callers: 4, Rate: 100,
		Progress: func(time.Duration) { cancel() }})
	require.NoError(t, err)
	assert.True(t, result.Interrupted)
	assert.Equal(t, Unjudged, result.Verdict)
}

// A caller's error ends the run, and is what it returns.
func TestRun_EndsWithAnError(t *testing.T) {
	broken := errors.New("broken")
	saved := kinds[0].call
	defer func() { kinds[0].call = saved }()
	kinds[0].call = func(*caller, context.Context, string, string) error { return broken }
	_, err := Run(context.Background(), Config{Path: filepath.Join(t.TempDir(), "soak.db"), Duration: time.Hour, Callers: 4})
	require.ErrorIs(t, err, broken)
	assert.Contains(t, err.Error(), "(set): broken")
}

func TestResult_Print(t *testing.T) {
	var out bytes.Buffer
	require.NoError(t, of(5*time.Minute, nil).Print(&out))
	assert.Contains(t, out.String(), "3,000,000 calls by 64 callers in 1h0m0s, seed 7; 360 samples, the first 5m0s not judged\n")
	assert.Contains(t, out.String(), "Go heap")
	assert.Contains(t, out.String(), "50.00 MiB")
	assert.Contains(t, out.String(), "\nPASS: nothing grew (seed 7)\n")

	out.Reset()
	require.NoError(t, of(5*time.Minute, func(n int, s *Sample) { s.Goroutines += int64(n) }).Print(&out))
	assert.Contains(t, out.String(), "GREW")
	assert.Contains(t, out.String(), "\nFAIL: goroutines from 145 to 443 (at most 151.9)\n")
}

func TestResult_JSON(t *testing.T) {
	var out bytes.Buffer
	result := of(5*time.Minute, nil)
	require.NoError(t, result.WriteJSON(&out))
	var read Result
	require.NoError(t, json.Unmarshal(out.Bytes(), &read))
	assert.Equal(t, result, read)
}

// The page has a chart of each figure that is well-formed, and needs nothing
// besides.
func TestResult_HTML(t *testing.T) {
	for _, result := range []Result{
		of(5*time.Minute, nil),
		of(5*time.Minute, func(n int, s *Sample) { s.Goroutines += int64(n); s.Outside, s.Descriptors = 0, 0 }),
	} {
		result.Command = "gostore soak <script>"
		var out bytes.Buffer
		require.NoError(t, result.HTML(&out))
		page := out.String()
		assert.Equal(t, len(figures)+2, strings.Count(page, "<svg"))
		for _, svg := range strings.Split(page, "<svg")[1:] {
			inner, _, found := strings.Cut(svg, "</svg>")
			require.True(t, found)
			wellFormed(t, "<svg"+inner+"</svg>")
		}
		for _, f := range figures {
			assert.Contains(t, page, "<h3>"+f.name+"</h3>")
			assert.Contains(t, page, `<td class="left">`+f.name+"</td>")
		}
		for _, reference := range []string{"http:", "https:", "//", "src=", "href=", "url(", "@import", "<script", "<link", "NaN"} {
			assert.NotContains(t, page, reference)
		}
		assert.Equal(t, !result.Passed(), strings.Contains(page, "GREW"))
		assert.Contains(t, page, "gostore soak &lt;script&gt;")
	}
}

func TestResult_HTMLOfNoSamples(t *testing.T) {
	var out bytes.Buffer
	result := Result{Warm: 300, Interrupted: true}
	result.judge()
	require.NoError(t, result.HTML(&out))
	assert.NotContains(t, out.String(), "<svg")
	assert.Contains(t, out.String(), "not judged")
}

func wellFormed(t *testing.T, text string) {
	t.Helper()
	decoder := xml.NewDecoder(strings.NewReader(text))
	for {
		_, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			return
		}
		require.NoError(t, err)
	}
}
