// Package metrics counts what a store does, so cheaply that a read from memory can be
// counted.
//
// It owns the counters of requests and the histograms; what a component counts for itself
// (a cache its hits, a watcher its drops) stays with that. It never takes a lock, never
// waits, and knows no store.
//
// # How requests are counted
//
// Counters that all goroutines share would cost each of them a cache line on its way between
// processors, ten times what the rest costs. So there are stripes of counters, and a goroutine
// uses the one that the address of its stack leads to: those that run at the same time have
// different ones, mostly, and nothing has to be asked of the scheduler. What is read is the
// sum.
//
// Reading the clock twice costs as much as a read from memory, so of such requests one in 64
// is measured, and counts as 64; of mutations in memory one in 256. Which ones the stripe's own count says, multiplied by an odd
// number: that is such a share of any long run of it, and falls in step with no period that
// callers may have. The first few hundred are measured all: a store with few requests is to
// see them. See docs/adr/0070-metrics-and-traces.md.
package metrics

import (
	"runtime"
	"sync/atomic"
	"time"
	"unsafe"

	"forge.lthn.ai/core/go-store/kv"
)

const (
	// measuredFirst is how many requests of a kind are measured of each stripe before the
	// lot decides.
	measuredFirst = 256
	// getShift and memoryShift are how many are measured then: one in 1<<shift, of single
	// keys read, and of mutations in memory. One of those looks at the clock three times and
	// adds to four histograms, of which a hundredth of a Set has little room.
	getShift    = 6
	memoryShift = 8

	stripesEach = 8 // for each processor
	mostStripes = 512
)

// stripe is the counters of some goroutines. A stripe is three cache lines, and shares none.
type stripe struct {
	begun    [kinds]atomic.Uint64
	notFound atomic.Uint64 // of Get alone, which is as hot
	_        [192 - 8*(int(kinds)+1)]byte
}

// Recorder is the counters of one store. A nil one counts nothing.
type Recorder struct {
	stripes []stripe
	shift   uint         // a hash's top bits name the stripe
	lots    [kinds]uint8 // one in 1<<lots is measured
	failed  [kinds][results]atomic.Uint64
	took    [kinds]*Histogram

	// Of the writer, and of storage.
	Wait, Batch, Commit, Sync, Checkpoint *Histogram
}

// Checkpoints is r.Checkpoint; nil of a nil Recorder.
func (r *Recorder) Checkpoints() *Histogram {
	if r == nil {
		return nil
	}
	return r.Checkpoint
}

// New is a Recorder; memory says that the store has no file, where a mutation takes no
// longer than some microseconds.
func New(memory bool) *Recorder {
	n, bits := 16, uint(4)
	for n < mostStripes && n < stripesEach*runtime.GOMAXPROCS(0) {
		n, bits = 2*n, bits+1
	}
	r := &Recorder{stripes: make([]stripe, n), shift: 64 - bits,
		Wait: NewTimes(), Batch: NewSizes(), Commit: NewTimes(), Sync: NewTimes(), Checkpoint: NewTimes()}
	for k := range r.took {
		r.took[k] = NewTimes()
	}
	r.lots[Get] = getShift
	if memory {
		for k := mutations; k < kinds; k++ {
			r.lots[k] = memoryShift
		}
	}
	return r
}

// Lot says of what one goroutine at a time does which times are measured.
type Lot struct {
	n     uint64
	shift uint8
}

// Commits is a Lot for those of a store's writer: a commit in memory takes no longer than to
// note two figures of it would cost in a hundredth of that.
func (r *Recorder) Commits() Lot { return Lot{shift: r.lots[Of(kv.Set)]} }

// Draw is as how many this time counts; 0: it is not measured.
func (l *Lot) Draw() (weight uint64) {
	l.n++
	switch {
	case l.n <= measuredFirst:
		return 1
	case l.n*odd>>(64-l.shift) != 0:
		return 0
	default:
		return 1 << l.shift
	}
}

// odd is 2^64 divided by the golden ratio: its multiples are spread evenly.
const odd = 0x9E3779B97F4A7C15

// stripe is that of the calling goroutine. Stacks are 2 KiB at least, and lie at multiples
// of that.
func (r *Recorder) stripe() *stripe {
	var here byte
	return &r.stripes[uint64(uintptr(unsafe.Pointer(&here))>>11)*odd>>r.shift]
}

// Timer is a request under way. The zero value is one that is not measured.
type Timer struct {
	Began  int64  // by Now; 0: it is not measured
	Weight uint32 // how many requests it counts as
}

// origin is from when Now counts: the monotonic clock has no zero of its own.
var origin = time.Now()

// Now is nanoseconds of the process's own, never 0.
func Now() int64 { return int64(time.Since(origin)) + 1 }

// Begin counts a request. It counts as ok unless Fail is told otherwise.
func (r *Recorder) Begin(k Kind) Timer {
	n := r.stripe().begun[k].Add(1)
	lot := r.lots[k]
	if n*odd>>(64-lot) != 0 && n > measuredFirst {
		return Timer{}
	}
	return r.measured(n, lot)
}

func (r *Recorder) measured(n uint64, lot uint8) Timer {
	if n <= measuredFirst {
		lot = 0
	}
	return Timer{Now(), 1 << lot}
}

// End notes how long a request took, if it is measured.
func (r *Recorder) End(k Kind, t Timer) {
	if t.Weight != 0 {
		r.took[k].add(Now()-t.Began, uint64(t.Weight))
	}
}

// Fail notes that a request was not ok.
func (r *Recorder) Fail(k Kind, err error) {
	if r == nil || err == nil {
		return
	}
	result := resultOf(err)
	if k == Get && result == notFound {
		r.stripe().notFound.Add(1)
		return
	}
	r.failed[k][result].Add(1)
}

// Batched notes the requests of a batch, and Committed how long its COMMIT took.
func (r *Recorder) Batched(requests int, weight uint64) { r.Batch.add(2*int64(requests), weight) }

// Committed is as Batched says.
func (r *Recorder) Committed(took time.Duration, weight uint64) { r.Commit.add(int64(took), weight) }

// Waited notes that a request, measured since it began, has waited until now.
func (r *Recorder) Waited(now, began int64, weight uint32) {
	r.Wait.add(now-began, uint64(weight))
}

// Requests is what came of the requests of each kind that there was, in the order of the
// kinds' names.
func (r *Recorder) Requests() []kv.RequestMetrics {
	if r == nil {
		return nil
	}
	var all []kv.RequestMetrics
	for _, k := range ordered {
		results := make(map[string]uint64)
		failed := uint64(0)
		note := func(result int, n uint64) {
			if failed += n; n > 0 {
				results[resultNames[result]] += n
			}
		}
		for result := range r.failed[k] { // before those that have begun
			note(result, r.failed[k][result].Load())
		}
		if k == Get {
			for i := range r.stripes {
				note(notFound, r.stripes[i].notFound.Load())
			}
		}
		begun := uint64(0)
		for i := range r.stripes {
			begun += r.stripes[i].begun[k].Load()
		}
		if begun > failed {
			results[kv.ResultOK] = begun - failed
		}
		if begun > 0 {
			all = append(all, kv.RequestMetrics{Kind: k.String(), Results: results, Took: r.took[k].Read()})
		}
	}
	return all
}
