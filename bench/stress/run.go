package stress

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"forge.lthn.ai/core/go-store/api"
)

// Config says what to do, and for how long.
type Config struct {
	Seed     uint64
	Callers  int           // at least 1
	Duration time.Duration // of the load; verifying comes on top
	// Steps bounds the load by what each caller does instead of by time: for
	// tests. 0 means no bound.
	Steps    int
	Progress func(elapsed time.Duration) // called ten times a second; may be nil
}

// patience is how long a call may take.
const patience = 30 * time.Second

// run is a stress test under way. What is not otherwise marked is written
// before the callers start.
type run struct {
	config  Config
	target  Target
	callers []*caller
	ledger  ledger

	clock    atomic.Uint64 // the logical clock: see now
	steps    atomic.Uint64
	writes   atomic.Uint64 // acknowledged
	doubts   atomic.Uint64 // writes whose call did not say what became of them
	calls    [len(kindNames)]atomic.Uint64
	findings findings
}

// now is a tick of the logical clock: of two, the larger was taken later.
func (r *run) now() uint64 { return r.clock.Add(1) }

// inDoubt reports whether an error leaves open whether the write took place,
// where that may happen.
func (r *run) inDoubt(err error) bool {
	return errors.Is(err, api.UnknownOutcomeError)
}

func newRun(target Target, config Config) *run {
	r := &run{config: config, target: target}
	for number := range config.Callers {
		r.callers = append(r.callers, newCaller(r, number))
	}
	return r
}

// Run puts the target under stress. The target is empty and stays open.
// Cancelling ctx ends the load early, with the verdict so far.
func Run(ctx context.Context, target Target, config Config) Result {
	r := newRun(target, config)
	audience := r.gather()
	started := time.Now()
	r.load(ctx)
	loading := time.Since(started)
	r.verifyAll()
	audience.leave()
	return r.result(loading, audience)
}

// load runs all callers until they are done.
func (r *run) load(ctx context.Context) {
	running, stop := context.WithCancel(ctx)
	if r.config.Steps == 0 {
		running, stop = context.WithTimeout(ctx, r.config.Duration)
	}
	defer stop()
	r.findings.enough = stop
	var group sync.WaitGroup
	for _, c := range r.callers {
		group.Go(func() { c.work(running) })
	}
	group.Wait()
}

// verifyAll reads everything when nobody writes any more.
func (r *run) verifyAll() {
	for _, c := range r.callers {
		for _, k := range c.cells {
			c.verify(k)
		}
		c.count()
	}
}
