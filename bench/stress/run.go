package stress

import (
	"context"
	"errors"
	"math/rand/v2"
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
	Steps int
	// Enough is the number of findings that ends the load: by default 1000, as
	// a store that breaks one promise often breaks thousands.
	Enough   int
	Limits   Limits
	Data     []api.Item                  // entries to be there from the beginning, in groups of their own; may be none
	Log      string                      // the path of the write-ahead log, whose size is watched; may be empty
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
	began   time.Time

	data      dataSet
	registers []*register
	counters  []*counter
	revisions atomic.Uint64 // the highest that any caller has seen
	tenants   atomic.Int64  // keys under the quota that are there for certain

	marked bool // the run's last commit was made

	clock        atomic.Uint64 // the logical clock: see now
	settled      atomic.Int64  // when the last write began that has returned, since began: see settle
	steps        atomic.Uint64
	writes       atomic.Uint64 // acknowledged
	refused      atomic.Uint64 // by the quota
	conflicts    atomic.Uint64 // conditional writes that another caller got ahead of
	doubts       atomic.Uint64 // writes whose call did not say what became of them
	sessionsOver atomic.Uint64 // reads that found a session to be over
	calls        [len(kindNames)]atomic.Uint64
	findings     findings
}

// settle notes that a write which began then has returned: a caller that reads from now on judges
// expiry at that moment, or later. (Not at the present one: a commit that takes its time is
// judged at its beginning, and so are the reads meanwhile.)
func (r *run) settle(began time.Time) {
	for since := int64(began.Sub(r.began)); ; {
		last := r.settled.Load()
		if since <= last || r.settled.CompareAndSwap(last, since) {
			return
		}
	}
}

// judged is the earliest moment at which a read that begins now judges expiry.
func (r *run) judged() time.Time { return r.began.Add(time.Duration(r.settled.Load())) }

// now is a tick of the logical clock: of two, the larger was taken later.
func (r *run) now() uint64 { return r.clock.Add(1) }

// inDoubt reports whether an error leaves open whether the write took place,
// where that may happen.
func (r *run) inDoubt(err error) bool {
	return errors.Is(err, api.UnknownOutcomeError)
}

func newRun(target Target, config Config) *run {
	r := &run{config: config, target: target, data: newDataSet(config.Data), began: time.Now()}
	if r.findings.most = uint64(config.Enough); config.Enough == 0 {
		r.findings.most = 1000
	}
	for i := range sharedKeys {
		r.registers = append(r.registers, newRegister(i))
	}
	for i := range counterKeys {
		r.counters = append(r.counters, newCounter(i))
	}
	for number := range config.Callers {
		r.callers = append(r.callers, newCaller(r, number))
	}
	return r
}

// Run puts the target under stress. The target is empty, and stays open unless
// a call of it never returns: then goroutines are left behind. Cancelling ctx
// ends the load early, with the verdict so far.
func Run(ctx context.Context, target Target, config Config) Result {
	r := newRun(target, config)
	monitor := r.monitor()
	finished := make(chan Result, 1)
	go func() { finished <- r.stress(ctx) }()
	select {
	case result := <-finished:
		monitor.leave()
		return r.conclude(result, monitor)
	case <-monitor.stalled:
		return r.conclude(Result{}, monitor)
	}
}

// What some targets can do besides. No caller calls them meanwhile.
type (
	// reopener ends the store, kindly or not, and opens it again.
	reopener interface{ Reopen() error }
	// disturber ends the store at random moments, while it is called, and
	// opens it again each time.
	disturber interface {
		Disturb(ctx context.Context, random *rand.Rand)
		Killed() Killed
	}
)

// stress is all of a run.
func (r *run) stress(ctx context.Context) (result Result) {
	audience := r.gather()
	r.writeData()
	r.openAccounts()
	r.load(ctx)
	result.loading = time.Since(r.began)
	r.fillTenants()
	r.endSessions()
	r.verify()
	result.Watchers = audience.leave()
	r.marked = true
	if target, ok := r.target.(reopener); ok {
		if err := target.Reopen(); err != nil {
			r.findings.add(CallFailed, "reopen: %v", err)
			return result
		}
		r.verify()
		result.Reopened = true
	}
	if target, ok := r.target.(disturber); ok {
		killed := target.Killed()
		result.Killed = &killed
	}
	return result
}

// load runs all callers until they are done.
func (r *run) load(ctx context.Context) {
	running, stop := context.WithCancel(ctx)
	if r.config.Steps == 0 {
		running, stop = context.WithTimeout(ctx, r.config.Duration)
	}
	defer stop()
	r.findings.mu.Lock()
	r.findings.enough = stop
	if r.findings.mu.total >= r.findings.most {
		stop()
	}
	r.findings.mu.Unlock()
	var group, disturbing sync.WaitGroup
	if target, ok := r.target.(disturber); ok {
		disturbing.Go(func() { target.Disturb(running, rand.New(rand.NewPCG(r.config.Seed, hash("disturb")))) })
	}
	for _, c := range r.callers {
		group.Go(func() { c.work(running) })
	}
	group.Wait()
	stop()
	disturbing.Wait()
}
