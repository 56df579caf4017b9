package soak

import (
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"strconv"
	"strings"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Sample is what the process and the store's files took at one moment, between
// two calls of each caller and after a collection. What the system does not
// tell is 0.
type Sample struct {
	At          float64 `json:"at_seconds"`    // since the load began
	Heap        int64   `json:"heap_bytes"`    // live in Go's heap
	Outside     int64   `json:"outside_bytes"` // resident in memory beyond what Go's runtime has mapped: SQLite's
	Resident    int64   `json:"resident_bytes"`
	Goroutines  int64   `json:"goroutines"`
	Descriptors int64   `json:"descriptors"`
	WAL         int64   `json:"wal_bytes"` // the largest size since the sample before
	File        int64   `json:"file_bytes"`

	Calls float64 `json:"calls_per_second"` // since the sample before
	P99   int64   `json:"p99_ns"`           // of those calls, at most 1 % off
}

// measure stops the callers between two calls, collects garbage and counts.
func (l *load) measure() Sample {
	l.pause.Lock()
	defer l.pause.Unlock()
	sample := Sample{At: time.Since(l.began).Seconds()}
	sample.Calls, sample.P99 = l.interval(sample.At)
	for range 3 { // a sync.Pool gives up what it holds at the second collection
		runtime.GC()
	}
	debug.FreeOSMemory() // so that what Go keeps for later is not taken for memory in use
	var mapped int64
	sample.Heap, mapped = goMemory()
	if sample.Resident = resident(); sample.Resident > 0 {
		sample.Outside = max(sample.Resident-mapped, 0)
	}
	descriptors, _ := os.ReadDir("/proc/self/fd") // absent elsewhere than on Linux
	sample.Goroutines, sample.Descriptors = int64(runtime.NumGoroutine()), int64(len(descriptors))
	sample.File = size(l.config.Path)
	return sample
}

// interval adds up what the callers have done since the sample before. They
// pause.
func (l *load) interval(now float64) (perSecond float64, p99 int64) {
	l.latency.Reset()
	for _, c := range l.callers {
		l.latency.Merge(c.latency)
		c.latency.Reset()
	}
	perSecond = float64(l.latency.TotalCount()) / max(now-l.sampled, 1e-3)
	l.sampled = now
	return perSecond, l.latency.ValueAtQuantile(99)
}

// newHistogram has two significant digits, like those of package bench.
func newHistogram() *hdrhistogram.Histogram { return hdrhistogram.New(1, longest, 2) }

// longest is the longest time that histograms tell from longer ones.
const longest = int64(2 * time.Minute)

// goMemory is what lives in the heap, and what the runtime has mapped for
// whatever purpose and not given back.
func goMemory() (heap, mapped int64) {
	values := []metrics.Sample{
		{Name: "/memory/classes/heap/objects:bytes"},
		{Name: "/memory/classes/total:bytes"},
		{Name: "/memory/classes/heap/released:bytes"},
	}
	metrics.Read(values)
	return int64(values[0].Value.Uint64()), int64(values[1].Value.Uint64()) - int64(values[2].Value.Uint64())
}

// resident is the process's memory; 0 where there is no such file.
func resident() int64 {
	text, err := os.ReadFile("/proc/self/statm")
	fields := strings.Fields(string(text))
	if err != nil || len(fields) < 2 {
		return 0
	}
	pages, _ := strconv.ParseInt(fields[1], 10, 64)
	return pages * int64(os.Getpagesize())
}

// size is that of a file, or 0 if there is none: a store in memory has none.
func size(path string) int64 {
	info, err := os.Stat(path)
	if err != nil {
		return 0
	}
	return info.Size()
}
