package bench

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// MaxCallers is how many callers there may be.
const MaxCallers = 4096

// Plan says what to measure and how long.
type Plan struct {
	Workloads []Workload
	// Callers are the numbers of callers, in ascending order. Workloads that
	// sweep run at each of them, the others at the largest up to 64.
	Callers []int
	// Keys is how many keys a store holds before a workload begins.
	Keys int
	// ValueSize is that of values, RecordSize that of YCSB's records.
	ValueSize, RecordSize Sizes
	Distribution          Distribution
	// Sorted has the keys be there in the order of their names, as after an import of what is
	// sorted; else they come in the order of their numbers, which is none.
	Sorted bool
	// Rate is how many calls a second all callers make together, whether or not
	// the store keeps up. 0: each calls again when its call has returned.
	Rate float64
	// Seed makes every caller's choices the same in each run, for each contender.
	Seed uint64
	// Rounds is how many rounds each contender has, each of Round, after WarmUp.
	Rounds        int
	Round, WarmUp time.Duration
	// Expiring is how many keys expire in the workload ttl.
	Expiring int
	// Folder is where the stores are made, and removed from; empty: the
	// system's folder for temporary files, which must be on a disk for durable
	// figures to mean anything.
	Folder string
}

// DefaultPlan is a short run's, but for its workloads and round lengths.
func DefaultPlan() Plan {
	return Plan{
		Callers: []int{1, 16, 64}, Keys: 20_000,
		ValueSize: Sizes{Least: 100, Most: 100}, RecordSize: Sizes{Least: 1000, Most: 1000},
		Distribution: Uniform, Seed: 1, Rounds: 3, Expiring: 20_000,
	}
}

// FullPlan is a full run's: every workload, to 4096 callers, 100,000 keys and a
// million that expire.
func FullPlan() Plan {
	p := DefaultPlan()
	p.Workloads = Workloads()
	p.Callers = []int{1, 8, 64, 512, 4096}
	p.Keys, p.Expiring = 100_000, 1_000_000
	p.Rounds, p.Round, p.WarmUp = 5, time.Second, 500*time.Millisecond
	return p
}

// Fit chooses round lengths so that the whole takes about as long as it should.
func (p *Plan) Fit(total time.Duration, contenders int) {
	// What is left of the time goes into opening, loading and closing.
	const measuring, warming = 0.45, 0.25
	rounds := p.rounds(contenders)
	p.Round = time.Duration(measuring / (1 + warming) * float64(total) / float64(max(rounds, 1)))
	p.Round = min(max(p.Round.Round(time.Millisecond), 20*time.Millisecond), 5*time.Second)
	p.WarmUp = time.Duration(warming * float64(p.Round))
}

// rounds is how many rounds there will be at most.
func (p *Plan) rounds(contenders int) int {
	n := 0
	for i := range p.Workloads {
		w := &p.Workloads[i]
		each := 1
		if w.beside != nil {
			each = 2
		}
		n += each * len(p.callersOf(w)) * contenders * p.roundsOf(w)
	}
	return n
}

// roundOf is how long a round of a workload takes.
func (p *Plan) roundOf(w *Workload) time.Duration {
	if w.length == nil {
		return p.Round
	}
	return w.length(p)
}

// roundsOf is how many rounds a workload has. A long one is enough.
func (p *Plan) roundsOf(w *Workload) int {
	if w.length != nil && w.length(p) > expiryLong {
		return 1
	}
	return p.Rounds
}

// callersOf is the numbers of callers that a workload runs at.
func (p *Plan) callersOf(w *Workload) []int {
	switch {
	case w.Callers > 0:
		return []int{w.Callers}
	case w.Sweeps:
		return p.Callers
	}
	callers := p.Callers[0]
	for _, n := range p.Callers {
		if n <= 64 {
			callers = n
		}
	}
	return []int{callers}
}

// Validate says what is wrong with a plan, and what would be right.
func (p *Plan) Validate() error {
	switch {
	case len(p.Workloads) == 0:
		return fmt.Errorf("no workload named; there are %s", strings.Join(WorkloadNames(), ", "))
	case len(p.Callers) == 0 || p.Callers[0] < 1 || p.Callers[len(p.Callers)-1] > MaxCallers:
		return fmt.Errorf("callers %v: use numbers from 1 to %d", p.Callers, MaxCallers)
	case !slices.IsSorted(p.Callers) || len(slices.Compact(slices.Clone(p.Callers))) != len(p.Callers):
		return fmt.Errorf("callers %v: name each number once, the least first", p.Callers)
	case p.Keys < 10 || p.Keys > 100_000_000:
		return fmt.Errorf("%d keys: use 10 to 100,000,000", p.Keys)
	case p.Expiring < 1 || p.Expiring > 10_000_000:
		return fmt.Errorf("%d keys that expire: use 1 to 10,000,000", p.Expiring)
	case !slices.Contains(Distributions, p.Distribution):
		return fmt.Errorf("no distribution %q; there are %v", p.Distribution, Distributions)
	case p.Rounds < 1 || p.Round <= 0 || p.WarmUp < 0:
		return fmt.Errorf("%d rounds of %v after %v: use at least one round that takes time", p.Rounds, p.Round, p.WarmUp)
	case p.Rate < 0:
		return fmt.Errorf("rate %g: use calls a second, or 0 for as many as go", p.Rate)
	case p.Rate > 0 && p.Rate*p.Round.Seconds() < 1:
		return fmt.Errorf("rate %g: not one call would be due in a round of %v; use at least %.3g", p.Rate, p.Round, 1/p.Round.Seconds())
	}
	return p.validateWorkloads()
}

// validateWorkloads looks for combinations that can't be.
func (p *Plan) validateWorkloads() error {
	ownKeys := true
	for _, w := range p.Workloads {
		ownKeys = ownKeys && w.ownKeys
		if w.stamped && p.ValueSize.Least < stampSize {
			return fmt.Errorf("workload %s with values of %s bytes: it needs %d at least, for the moment of the write", w.Name, p.ValueSize, stampSize)
		}
	}
	if ownKeys && p.Distribution != Uniform {
		return fmt.Errorf("distribution %s: the workloads named choose their keys by their own definition; leave it out, or name set, get-hot, mixed, scoped, transaction or ttl too", p.Distribution)
	}
	return nil
}
