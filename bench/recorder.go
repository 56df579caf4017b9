package bench

import (
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Kind is what an operation was, for its latency.
type Kind uint8

// The kinds.
const (
	Read Kind = iota
	Write
	Scan
	kinds
)

var kindNames = [kinds]string{"read", "write", "scan"}

// epoch is where the harness's own clock begins. time.Since reads the
// monotonic clock alone, at half the price of time.Now.
var epoch = time.Now()

// clock is nanoseconds since epoch.
func clock() int64 { return int64(time.Since(epoch)) }

// highest is the longest time that histograms tell from longer ones.
const highest = int64(2 * time.Minute)

// newHistogram has two significant digits: a percentile is at most 1 % off. A
// third would take 240 kB, and there may be 4096 callers with two each.
func newHistogram() *hdrhistogram.Histogram { return hdrhistogram.New(1, highest, 2) }

// histograms are those of one caller, or of several merged.
type histograms [kinds]*hdrhistogram.Histogram

func (h *histograms) record(kind Kind, nanoseconds int64) {
	histogram := h[kind]
	if histogram == nil {
		histogram = newHistogram()
		h[kind] = histogram
	}
	_ = histogram.RecordValue(min(nanoseconds, highest)) // can't be out of range
}

func (h *histograms) merge(other *histograms) {
	for kind, histogram := range other {
		h[kind] = merged(h[kind], histogram)
	}
}

// merged adds one histogram to another; either may be nil.
func merged(into, from *hdrhistogram.Histogram) *hdrhistogram.Histogram {
	if from == nil {
		return into
	}
	if into == nil {
		into = newHistogram()
	}
	into.Merge(from)
	return into
}

// latencies are the summaries by kind, and of all together if there are several.
func (h *histograms) latencies() map[string]Latency {
	var all *hdrhistogram.Histogram
	summaries := make(map[string]Latency)
	for kind, histogram := range h {
		if histogram != nil && histogram.TotalCount() > 0 {
			summaries[kindNames[kind]] = summary(histogram)
			all = merged(all, histogram)
		}
	}
	if all != nil {
		summaries["all"] = summary(all)
	}
	return summaries
}

func summary(h *hdrhistogram.Histogram) Latency {
	l := Latency{
		Count: h.TotalCount(), Mean: math.Round(h.Mean()),
		P50: h.ValueAtQuantile(50), P90: h.ValueAtQuantile(90), P99: h.ValueAtQuantile(99),
		P999: h.ValueAtQuantile(99.9), Max: h.Max(),
	}
	for _, q := range Quantiles {
		if q > 0.5 && float64(l.Count)*(1-q) < 1 {
			break
		}
		l.Curve = append(l.Curve, h.ValueAtQuantile(100*q))
	}
	return l
}

// shardCount keeps receivers that share a histogram from waiting for each
// other; ten thousand of them can't have one each.
const shardCount = 64

// receipts records what many receivers got.
type receipts struct {
	from   atomic.Int64
	shards [shardCount]receiptShard
}

type receiptShard struct {
	mu struct {
		sync.Mutex
		histogram *hdrhistogram.Histogram
		all       int64 // those of the warm-up too
	}
	_ [40]byte // a cache line each
}

// newReceipts measures nothing until begin.
func newReceipts() *receipts {
	r := new(receipts)
	r.from.Store(math.MaxInt64)
	return r
}

// begin has only what begins from now on be measured.
func (r *receipts) begin() { r.from.Store(clock()) }

// receive records that a receiver got, now, what began at the given moment.
func (r *receipts) receive(receiver int, begin int64) {
	now := clock()
	shard := &r.shards[receiver%shardCount]
	shard.mu.Lock()
	defer shard.mu.Unlock()
	shard.mu.all++
	if begin < r.from.Load() {
		return
	}
	if shard.mu.histogram == nil {
		shard.mu.histogram = newHistogram()
	}
	_ = shard.mu.histogram.RecordValue(min(max(now-begin, 0), highest)) // can't be out of range
}

// all counts what was received, that of the warm-up included.
func (r *receipts) all() (received int64) {
	for i := range r.shards {
		shard := &r.shards[i]
		shard.mu.Lock()
		received += shard.mu.all
		shard.mu.Unlock()
	}
	return received
}

func (r *receipts) merged() *hdrhistogram.Histogram {
	all := newHistogram()
	for i := range r.shards {
		shard := &r.shards[i]
		shard.mu.Lock()
		all = merged(all, shard.mu.histogram)
		shard.mu.Unlock()
	}
	return all
}
