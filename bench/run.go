package bench

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"os"
	"runtime"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Progress is told how many rounds of how many are over, and what is next.
type Progress func(done, total int, next string)

// Run carries out a plan: for each workload and each number of callers, rounds
// of all contenders in turn. The first contender that can do a workload is what
// the others' ratios relate to.
//
// A workload that goes wrong is reported in its cell (Cell.Failed) and the run
// goes on. When ctx ends, so does the run: the result has what was measured by
// then and says Interrupted. An error means that nothing could be measured.
func Run(ctx context.Context, plan Plan, contenders []Contender, progress Progress) (*Result, error) {
	if err := plan.Validate(); err != nil {
		return nil, fmt.Errorf("bench.Run: %w", err)
	}
	if len(contenders) == 0 {
		return nil, errors.New("bench.Run: no contenders")
	}
	folder, err := os.MkdirTemp(plan.Folder, "gostore-bench-")
	if err != nil {
		return nil, fmt.Errorf("bench.Run: make a folder for the stores: %w", err)
	}
	defer os.RemoveAll(folder)
	if progress == nil {
		progress = func(int, int, string) {}
	}
	r := &runner{plan: &plan, contenders: contenders, folder: folder, progress: progress, total: plan.rounds(len(contenders))}
	defer r.closeSites()
	result := &Result{Schema: Schema, Started: time.Now(), Plan: plan.result()}
	for _, c := range contenders {
		result.Contenders = append(result.Contenders, ContenderInfo{c.Name, c.Durability, c.Note})
	}
	if result.Machine, err = DescribeMachine(folder); err != nil {
		return nil, fmt.Errorf("bench.Run: %w", err)
	}
	result.Harness = calibrate(ctx, &plan)
	for i := range plan.Workloads {
		w := &plan.Workloads[i]
		for _, callers := range plan.callersOf(w) {
			if ctx.Err() == nil {
				result.Cells = append(result.Cells, r.measure(ctx, w, callers)...)
			}
		}
	}
	result.Interrupted = ctx.Err() != nil
	result.Elapsed = time.Since(result.Started).Seconds()
	return result, nil
}

func (p *Plan) result() PlanResult {
	return PlanResult{
		Seed: p.Seed, Keys: p.Keys, ValueSize: p.ValueSize.String(), Distribution: string(p.Distribution), Sorted: p.Sorted, Rate: p.Rate,
		Rounds: p.Rounds, Round: p.Round.Seconds(), WarmUp: p.WarmUp.Seconds(), Expiring: p.Expiring,
	}
}

// runner has what the rounds of a run share.
type runner struct {
	plan       *Plan
	contenders []Contender
	folder     string
	sites      map[siteKey]*site
	progress   Progress
	done       int // rounds
	total      int
}

// entry is one contender while a workload is measured.
type entry struct {
	contender *Contender
	cell      Cell
	latency   histograms
	lateness  *hdrhistogram.Histogram
	delivery  *delivered
	expiry    *delivered
	beside    []float64
}

func (e *entry) out() bool { return e.cell.Cannot != "" || e.cell.Failed != "" }

// measure runs all rounds of one workload with one number of callers.
func (r *runner) measure(ctx context.Context, w *Workload, callers int) []Cell {
	entries := make([]*entry, len(r.contenders))
	for i := range r.contenders {
		c := &r.contenders[i]
		entries[i] = &entry{contender: c, cell: Cell{Workload: w.Name, Callers: callers, Contender: c.Name}}
	}
	for round := range r.plan.roundsOf(w) {
		for _, e := range entries {
			r.progress(r.done, r.total, w.Name+", "+e.contender.Name)
			r.done++
			if w.beside != nil {
				r.done++
			}
			if e.out() || ctx.Err() != nil {
				continue
			}
			m, err := r.round(ctx, w, e.contender, callers, round)
			if err == nil && w.beside != nil {
				err = r.beside(ctx, w.beside, e, m, round)
			}
			var refusal cannotError
			switch {
			case err == nil:
				e.add(m)
			case errors.As(err, &refusal):
				e.cell.Cannot = refusal.why
			case ctx.Err() == nil:
				e.cell.Failed = err.Error()
			}
		}
	}
	if w.batches {
		for _, e := range entries {
			if !e.out() && ctx.Err() == nil {
				e.cell.Batches = r.observeBatches(ctx, w, e.contender, callers)
			}
		}
	}
	return summarise(entries)
}

// beside measures what stands beside a workload, and keeps the quotient.
func (r *runner) beside(ctx context.Context, w *Workload, e *entry, m *measurement, round int) error {
	other, err := r.round(ctx, w, e.contender, r.plan.callersOf(w)[0], round)
	if err != nil {
		return fmt.Errorf("beside it, %s: %w", w.About, err)
	}
	e.beside = append(e.beside, m.round.throughput()/other.round.throughput())
	e.cell.Beside = &Beside{What: w.About, Ratio: spread(e.beside)}
	return nil
}

// cannotError says why a contender can't do a workload.
type cannotError struct{ why string }

func (e cannotError) Error() string { return e.why }

// delivered is what became of events in one round, or several merged.
type delivered struct {
	receivers          int
	expected, received int64
	silent             bool
	histogram          *hdrhistogram.Histogram
}

func newDelivered(receivers int, expected int64, got *receipts) *delivered {
	histogram := got.merged()
	return &delivered{receivers: receivers, expected: expected, received: histogram.TotalCount(), histogram: histogram}
}

func (d *delivered) add(other *delivered) *delivered {
	if d == nil || other == nil {
		return other
	}
	d.expected += other.expected
	d.received += other.received
	d.silent = d.silent || other.silent
	d.histogram.Merge(other.histogram)
	return d
}

func (d *delivered) result() *Delivery {
	if d == nil {
		return nil
	}
	return &Delivery{
		Receivers: d.receivers, Expected: d.expected, Received: d.received, Dropped: d.expected - d.received,
		Silent: d.silent, Latency: summary(d.histogram),
	}
}

func (e *entry) add(m *measurement) {
	e.cell.Rounds = append(e.cell.Rounds, m.round)
	e.cell.Unserved += m.unserved
	e.cell.Conflicts += m.conflicts
	e.latency.merge(&m.latency)
	e.lateness = merged(e.lateness, m.lateness)
	if m.delivery != nil {
		e.delivery = e.delivery.add(m.delivery)
	}
	if m.expiry != nil {
		e.expiry = e.expiry.add(m.expiry)
	}
}

// summarise makes cells of what was gathered. Rounds with the same number stand
// beside each other in time; only they are compared.
func summarise(entries []*entry) []Cell {
	var base *entry
	for _, e := range entries {
		if base == nil && len(e.cell.Rounds) > 0 {
			base = e
		}
	}
	cells := make([]Cell, 0, len(entries))
	for _, e := range entries {
		if len(e.cell.Rounds) == 0 && !e.out() {
			continue // interrupted before its first
		}
		var throughputs, ratios []float64
		for i, round := range e.cell.Rounds {
			throughputs = append(throughputs, round.throughput())
			if i < len(base.cell.Rounds) {
				ratios = append(ratios, round.throughput()/base.cell.Rounds[i].throughput())
			}
		}
		e.cell.Throughput = spread(throughputs)
		if len(ratios) > 0 {
			ratio := spread(ratios)
			e.cell.Ratio = &ratio
		}
		e.cell.Latency = e.latency.latencies()
		if e.lateness != nil {
			lateness := summary(e.lateness)
			e.cell.Lateness = &lateness
		}
		e.cell.Delivery, e.cell.Expiry = e.delivery.result(), e.expiry.result()
		cells = append(cells, e.cell)
	}
	return cells
}

// makeCallers gives each caller its random numbers. They depend on the
// workload, the round and the caller, not on the contender: all contenders are
// asked the same.
func (r *runner) makeCallers(w *Workload, callers, round int) []*Caller {
	name := fnv.New64a()
	fmt.Fprintf(name, "%s/%d/%d", w.Name, callers, round)
	made := make([]*Caller, callers)
	for i := range made {
		made[i] = &Caller{
			Number: i,
			Random: newRandom(r.plan.Seed, name.Sum64()+uint64(i)),
			Keys:   w.chooser(r.plan, i, callers),
		}
	}
	return made
}

// collectGarbage keeps one side's garbage from being collected in the other's
// time.
func collectGarbage() { runtime.GC() }
