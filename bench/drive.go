package bench

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// errExhausted ends a caller's part of a round: there is nothing left to do.
var errExhausted = errors.New("bench: nothing left to do")

// Caller is one of the goroutines that call a target. What it has is its own.
type Caller struct {
	Number int
	Random *rand.Rand
	Keys   chooser
	Calls  int // made so far, over all phases of a round

	latency  histograms
	lateness *hdrhistogram.Histogram // at a fixed rate
	done     int64
	given    int64 // bytes of the keys and values that it set
	unserved int64
	last     Kind // of the call before
	err      error
}

// step makes one call and says what it was.
type step func(c *Caller) (Kind, error)

// phase is some time of a round that callers spend calling.
type phase struct {
	length time.Duration
	rate   float64 // calls a second by all callers together; 0: each as fast as it can
	step   step
	burst  int // operations of a step, if they are many
}

// outcome is what the callers of a phase did.
type outcome struct {
	operations int64
	given      int64
	elapsed    time.Duration
	latency    histograms
	lateness   *hdrhistogram.Histogram
	unserved   int64
}

// drive has the callers call until the phase is over, ctx ends, one fails or
// all have nothing left to do. It returns when every call has returned; the
// time is that until then.
func drive(ctx context.Context, callers []*Caller, p phase) (outcome, error) {
	var stopped atomic.Bool // read by every caller, written once: no cache line travels
	defer context.AfterFunc(ctx, func() { stopped.Store(true) })()
	var group sync.WaitGroup
	begin := clock()
	for _, caller := range callers {
		caller.reset()
		group.Go(func() {
			if p.rate > 0 && p.burst == 0 {
				caller.keepRate(ctx, p, begin, len(callers), &stopped)
			} else {
				caller.loop(p, begin, &stopped)
			}
			if caller.err != nil {
				stopped.Store(true)
			}
		})
	}
	group.Wait()
	o := outcome{elapsed: time.Duration(clock() - begin)}
	var errs []error
	for _, caller := range callers {
		o.operations += caller.done
		o.given += caller.given
		o.unserved += caller.unserved
		o.latency.merge(&caller.latency)
		o.lateness = merged(o.lateness, caller.lateness)
		if caller.err != nil {
			errs = append(errs, fmt.Errorf("caller %d: %w", caller.Number, caller.err))
		}
	}
	if errs != nil {
		return o, errs[0] // the others are most likely the same
	}
	return o, ctx.Err()
}

func (c *Caller) reset() {
	for _, histogram := range c.latency {
		if histogram != nil {
			histogram.Reset()
		}
	}
	c.lateness, c.done, c.given, c.unserved, c.err = nil, 0, 0, 0, nil
}

// loop calls again as soon as the last call returned. One reading of the clock
// ends a call and begins the next, so that a latency includes what the harness
// does in between, a few dozen nanoseconds (see Calibration), and the clock is
// read half as often.
func (c *Caller) loop(p phase, begin int64, stopped *atomic.Bool) {
	end := begin + int64(p.length)
	for now := clock(); now < end && !stopped.Load(); {
		kind, err := p.step(c)
		if err != nil {
			c.fail(err)
			return
		}
		returned := clock()
		c.Calls++
		if p.burst > 0 {
			c.done += int64(p.burst)
		} else {
			c.latency.record(kind, returned-now)
			c.done++
		}
		now = returned
	}
}

func (c *Caller) fail(err error) {
	if !errors.Is(err, errExhausted) {
		c.err = err
	}
}

// keepRate calls at moments that were fixed before: this caller's are every
// callers÷rate seconds. A latency counts from the moment that the call was due.
// When the phase ends, calls that were due and could not begin are counted with
// the time that they have waited: to leave them out would hide the very stall
// that kept them waiting.
func (c *Caller) keepRate(ctx context.Context, p phase, begin int64, callers int, stopped *atomic.Bool) {
	end := begin + int64(p.length)
	timer := time.NewTimer(0)
	defer timer.Stop()
	c.lateness = newHistogram()
	for i := 0; !stopped.Load(); i++ {
		due := begin + int64(float64(c.Number+i*callers)/p.rate*float64(time.Second))
		if due >= end {
			return
		}
		now := clock()
		if now >= end {
			c.unserved++
			c.latency.record(c.last, now-due)
			continue
		}
		if now < due {
			timer.Reset(time.Duration(due - now))
			select {
			case <-timer.C:
			case <-ctx.Done():
				return
			}
			_ = c.lateness.RecordValue(min(clock()-due, highest)) // can't be out of range
		}
		kind, err := p.step(c)
		if err != nil {
			c.fail(err)
			return
		}
		c.latency.record(kind, clock()-due)
		c.last = kind
		c.Calls++
		c.done++
	}
}
