package stress

import (
	"context"
	"errors"
	"slices"
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
	began   time.Time

	registers []*register
	tenants   atomic.Int64 // keys under the quota that are there for certain

	clock        atomic.Uint64 // the logical clock: see now
	steps        atomic.Uint64
	writes       atomic.Uint64 // acknowledged
	refused      atomic.Uint64 // by the quota
	doubts       atomic.Uint64 // writes whose call did not say what became of them
	sessionsOver atomic.Uint64 // reads that found a session to be over
	calls        [len(kindNames)]atomic.Uint64
	findings     findings
}

// now is a tick of the logical clock: of two, the larger was taken later.
func (r *run) now() uint64 { return r.clock.Add(1) }

// inDoubt reports whether an error leaves open whether the write took place,
// where that may happen.
func (r *run) inDoubt(err error) bool {
	return errors.Is(err, api.UnknownOutcomeError)
}

func newRun(target Target, config Config) *run {
	r := &run{config: config, target: target, began: time.Now()}
	for i := range hotKeys {
		r.registers = append(r.registers, newRegister(i))
	}
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
	r.fillTenants()
	r.endSessions()
	for _, c := range r.callers {
		for _, k := range append(c.cells, c.tenant...) {
			c.verify(k)
		}
		for _, g := range c.stamps.groups {
			g.checked = 0
		}
		c.verifyStamps()
		c.count()
	}
	r.verifyWhole()
}

// verifyWhole compares the list of groups and the count of all keys with what
// all models together hold.
func (r *run) verifyWhole() {
	keys, groups := map[string]int{hotGroup: 0}, []string{}
	for _, c := range r.callers {
		for _, k := range append(c.cells, c.tenant...) {
			if k.present() {
				keys[k.group]++
			}
		}
		for _, g := range c.stamps.groups {
			if g.present() {
				keys[g.group] = stampKeys
			}
		}
	}
	for _, h := range r.registers {
		if h.border() > 0 {
			keys[hotGroup]++
		}
	}
	total := 0
	for group, n := range keys {
		if n > 0 {
			groups = append(groups, group)
			total += n
		}
	}
	slices.Sort(groups)
	c := r.callers[0]
	call := Call{Kind: Groups}
	if answer := c.do(call); answer.Err != nil {
		c.unexpected(call, answer.Err)
	} else if !slices.Equal(answer.Names, groups) {
		r.findings.add(WrongCount, "Groups() lists %d groups, %d were left: %s", len(answer.Names), len(groups), firstDifference(answer.Names, groups))
	}
	call = Call{Kind: CountAll}
	if answer := c.do(call); answer.Err != nil {
		c.unexpected(call, answer.Err)
	} else if answer.Count != int64(total) {
		r.findings.add(WrongCount, "CountAll() = %d, %d keys were left", answer.Count, total)
	}
	call = Call{Kind: Usage, Group: quotaNamespace}
	if answer := c.do(call); answer.Err != nil {
		c.unexpected(call, answer.Err)
	} else if answer.Count != r.tenants.Load() {
		r.findings.add(WrongCount, "Usage(%s) = %d keys, %d were left", quotaNamespace, answer.Count, r.tenants.Load())
	}
}

// firstDifference is the first name that is in one list only.
func firstDifference(got, want []string) string {
	for _, name := range got {
		if !slices.Contains(want, name) {
			return name + " ought not to be there"
		}
	}
	for _, name := range want {
		if !slices.Contains(got, name) {
			return name + " is missing"
		}
	}
	return "they are not in order"
}
