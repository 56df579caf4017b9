package admission

import (
	"sync/atomic"
	"time"
)

// The bounds of what RetryAfter says, and what it says before anything was measured.
const (
	minRetry     = 100 * time.Microsecond
	maxRetry     = time.Second
	unknownRetry = time.Millisecond
)

// Pace is how long something takes that is done again and again, by one goroutine:
// lately, on the average. The zero value knows nothing yet.
type Pace struct {
	mean  atomic.Int64 // nanoseconds; the one that measures alone changes it
	began atomic.Int64 // when what is under way began, in nanoseconds of the process's own; 0: nothing is
}

// origin is from when a Pace counts: the monotonic clock has no zero of its own.
var origin = time.Now()

func sinceOrigin() int64 { return int64(time.Since(origin)) + 1 }

// Begin says that it is done once more.
func (p *Pace) Begin() { p.began.Store(sinceOrigin()) }

// End says that it has been done.
func (p *Pace) End() {
	began := p.began.Swap(0)
	if began == 0 { // it began before commits were measured
		return
	}
	took := sinceOrigin() - began
	mean := p.mean.Load()
	if mean == 0 {
		mean = took
	}
	p.mean.Store(max(mean+(took-mean)/8, 1))
}

// RetryAfter is how long it is likely to take once more: what it has taken lately, or,
// if it is taking longer this time, as long as it has so far.
func (p *Pace) RetryAfter() time.Duration {
	wait := time.Duration(p.mean.Load())
	if wait == 0 {
		wait = unknownRetry
	}
	if began := p.began.Load(); began != 0 {
		wait = max(wait, time.Duration(sinceOrigin()-began))
	}
	return min(max(wait, minRetry), maxRetry)
}
