package soak

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// leastJudged is how many samples a verdict takes: fewer are more chance than
// growth.
const leastJudged = 4

// Growth compares a figure after the warm-up with the same figure at the end:
// medians of the first and of the last tenth of the samples in between, of
// three at least if there are as many as six.
type Growth struct {
	Figure string  `json:"figure"`
	Unit   string  `json:"unit"` // "bytes", or empty for a count
	Early  float64 `json:"early"`
	Late   float64 `json:"late"`
	Most   float64 `json:"most"` // what Late may be
	Grown  bool    `json:"grown"`
}

// figure is what is judged, with the slack that it has beside its share: small
// against a leak, it lets small figures breathe.
type figure struct {
	name, unit   string
	about        string
	of           func(Sample) int64
	slack, loose int64 // loose is that of a run without a steady state
}

var figures = []figure{
	{"Go heap", "bytes", "live after a collection", func(s Sample) int64 { return s.Heap }, 1 << 20, 4 << 20},
	{"memory outside Go", "bytes", "resident, beyond what Go's runtime has mapped", func(s Sample) int64 { return s.Outside }, 1 << 20, 16 << 20},
	{"goroutines", "", "the callers included", func(s Sample) int64 { return s.Goroutines }, 4, 4},
	{"descriptors", "", "open files", func(s Sample) int64 { return s.Descriptors }, 2, 32},
	{"WAL", "bytes", "the largest size since the sample before", func(s Sample) int64 { return s.WAL }, 1 << 20, 4 << 20},
	{"database file", "bytes", "the log of changes is bounded at 1 MiB", func(s Sample) int64 { return s.File }, 1 << 20, 4 << 20},
}

// What a figure may grow by, besides its slack. A run that is too short for five
// minutes of warm-up begins while caches fill and connections are opened; it
// finds what leaks fast.
const (
	share      = 0.02
	looseShare = 0.25
)

// judge fills in the verdict.
func (r *Result) judge() {
	var judged []Sample
	for _, s := range r.Samples {
		if s.At >= r.Warm {
			judged = append(judged, s)
		}
	}
	if len(judged) < leastJudged {
		r.Verdict = Unjudged
		return
	}
	n := len(judged) / 10
	if n < 3 {
		n = min(3, len(judged)/2)
	}
	r.Share, r.Verdict = share, Pass
	loose := r.Warm < steady.Seconds()
	if loose {
		r.Share = looseShare
	}
	for _, f := range figures {
		g := Growth{Figure: f.name, Unit: f.unit, Early: median(judged[:n], f.of), Late: median(judged[len(judged)-n:], f.of)}
		slack := f.slack
		if loose {
			slack = f.loose
		}
		g.Most = g.Early*(1+r.Share) + float64(slack)
		g.Grown = g.Late > g.Most
		if g.Grown {
			r.Verdict = Fail
		}
		r.Growth = append(r.Growth, g)
	}
}

// median is that of one figure; of an even number of samples, the mean of the
// two in the middle.
func median(samples []Sample, of func(Sample) int64) float64 {
	values := make([]int64, len(samples))
	for i, s := range samples {
		values[i] = of(s)
	}
	slices.Sort(values)
	n := len(values)
	return (float64(values[(n-1)/2]) + float64(values[n/2])) / 2
}

// Summary says what grew, or why that can't be told.
func (r Result) Summary() string {
	if r.Verdict == Unjudged {
		return fmt.Sprintf("not judged: it ended %s after its begin, too soon after a warm-up of %s", seconds(r.Seconds), seconds(r.Warm))
	}
	var grown []string
	for _, g := range r.Growth {
		if g.Grown {
			grown = append(grown, fmt.Sprintf("%s from %s to %s (at most %s)", g.Figure, g.show(g.Early), g.show(g.Late), g.show(g.Most)))
		}
	}
	if grown == nil {
		return "nothing grew"
	}
	return strings.Join(grown, "; ")
}

// Percent is how much it grew, in percent of what it was; 0 if it was nothing.
func (g Growth) Percent() float64 {
	if g.Early == 0 {
		return 0
	}
	return 100 * (g.Late - g.Early) / g.Early
}

func (g Growth) show(value float64) string {
	if g.Unit == "bytes" {
		return fmt.Sprintf("%.2f MiB", value/(1<<20))
	}
	return fmt.Sprintf("%.4g", value)
}

func seconds(n float64) string {
	return time.Duration(n * float64(time.Second)).Round(time.Millisecond).String()
}
