package bench

import (
	"context"
	"runtime"
	"time"
)

// nothing is a target that does nothing: what is measured against it is the
// harness.
type nothing struct{ value string }

func (nothing) Set(string, string, string) error           { return nil }
func (n nothing) Get(string, string) (string, bool, error) { return n.value, true, nil }
func (nothing) Close() error                               { return nil }

const (
	calibrationCallers = 64
	calibrationRounds  = 5
	calibrationRound   = 40 * time.Millisecond
)

// calibrate measures what the harness adds to every operation: the fastest of a
// few short rounds, since whatever else the machine does can only add to it.
func calibrate(ctx context.Context, plan *Plan) Calibration {
	c := Calibration{Callers: calibrationCallers}
	c.SetNs, c.SetCPU = overhead(ctx, plan, "set", calibrationRound)
	c.GetNs, c.GetCPU = overhead(ctx, plan, "get-hot", calibrationRound)
	return c
}

// overhead is the harness's own time an operation of a workload, elapsed and
// of the processors together.
func overhead(ctx context.Context, plan *Plan, workload string, round time.Duration) (elapsed, processors float64) {
	selected, err := SelectWorkloads([]string{workload})
	if err != nil {
		panic(err) // it is one of ours
	}
	w := &selected[0]
	s := &session{
		ctx: ctx, plan: plan, target: nothing{plan.ValueSize.value(newRandom(plan.Seed, 0))},
		keys: newKeyspace(plan.Keys, plan.Distribution == Sequential), sizes: plan.ValueSize, callers: calibrationCallers,
	}
	if s.sizes.Least < s.sizes.Most { // what was read must be long enough
		s.target = nothing{Sizes{Least: s.sizes.Most, Most: s.sizes.Most}.value(newRandom(plan.Seed, 0))}
	}
	job, err := w.begin(s)
	if err != nil {
		panic(err) // nothing can fail
	}
	callers := (&runner{plan: plan}).makeCallers(w, calibrationCallers, 0)
	for range calibrationRounds {
		collectGarbage()
		before, _ := processorTime()
		o, err := drive(ctx, callers, phase{length: round, step: job.step})
		if err != nil || o.operations == 0 {
			break // interrupted
		}
		each := float64(o.elapsed) / float64(o.operations)
		used := each * float64(min(runtime.GOMAXPROCS(0), calibrationCallers))
		if after, told := processorTime(); told {
			used = float64(after-before) / float64(o.operations)
		}
		if elapsed == 0 || each < elapsed {
			elapsed, processors = each, used
		}
	}
	return elapsed, processors
}
