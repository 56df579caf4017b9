package storetest

import (
	"flag"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/asynkron/protoactor-go/actor"
)

// Actors are the actors of a run, by name: for each a function that makes its Props. It is
// called anew for each seed, so that a run begins with nothing of the one before; what the
// actor needs of the world it is given there.
type Actors map[string]func(m *Member) *actor.Props

var (
	onlySeed = flag.String("storetest.seed", "", "have storetest.Run run one seed, the one that a failure has named")
	runs     = flag.Int("storetest.runs", 10, "how many seeds storetest.Run runs: 1, 2, 3 and so on")
)

// Run runs a program of several actors and one store, once for each of some seeds. A seed
// decides at each step which actor's next message is delivered: one message is handled at
// a time, with all that the store does because of it, before the next is chosen. So the
// order is one that a busy machine might have shown, it is another for another seed, and
// it is the same for the same seed.
//
// drive is the test: it runs in a goroutine of its own, sends the first messages
// (World.Send), has them and all that follow delivered (World.Settle, World.Advance) and
// checks what came of it. Each run is in a bubble of testing/synctest, so that timers and
// TTLs cost no time. Until drive calls Settle or Advance no actor does anything.
//
// A failure ends the run and names its seed; the flag -storetest.seed=n of go test runs
// that one alone, and -storetest.runs=1000 tries more than the ten of the default. Seeds
// are counted from 1, so that a test that passes does so tomorrow.
//
// The store is one as New makes, by the bubble's clock; the options are New's.
//
// What is not in the hands of the seed: goroutines that actors start, and actors that were
// not spawned with World.Props. They run freely between two deliveries. If they race with
// each other the same seed may not show the same twice.
func Run(t *testing.T, actors Actors, drive func(w *World), options ...Option) {
	t.Helper()
	seeds, err := chosenSeeds(*onlySeed, *runs)
	if err != nil {
		t.Fatal(err)
	}
	for _, seed := range seeds {
		passed := t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) {
			if r := play(t, seed, actors, drive, options); len(r.failures) > 0 {
				t.Error(r.report(t.Name()))
			}
		})
		if !passed {
			return
		}
	}
}

func chosenSeeds(only string, runs int) (seeds []uint64, err error) {
	if only != "" {
		seed, err := strconv.ParseUint(only, 10, 64)
		if err != nil {
			return nil, fmt.Errorf("-storetest.seed=%s: must be a number: %w", only, err)
		}
		return []uint64{seed}, nil
	}
	for seed := range uint64(max(runs, 1)) {
		seeds = append(seeds, seed+1)
	}
	return seeds, nil
}

// result is what came of a run.
type result struct {
	seed     uint64
	failures []string
	trace    []string
}

// shown is how many of the last steps are shown.
const shown = 60

// report is what a failed test shows.
func (r result) report(test string) string {
	parent, _, _ := strings.Cut(test, "/")
	var text strings.Builder
	for _, failure := range r.failures {
		fmt.Fprintln(&text, failure)
	}
	fmt.Fprintf(&text, "\nstoretest: seed %d fails; to run it again:\n\tgo test -run '^%s$' -storetest.seed=%d\n", r.seed, parent, r.seed)
	steps := r.trace
	if len(steps) > shown {
		steps = steps[len(steps)-shown:]
	}
	fmt.Fprintf(&text, "the last %d of %d steps:\n", len(steps), len(r.trace))
	for i, step := range steps {
		fmt.Fprintf(&text, "%5d  %s\n", len(r.trace)-len(steps)+i+1, step)
	}
	return text.String()
}

// outlives is longer than what Proto.Actor starts lives on: in a bubble nothing may.
const outlives = 2 * time.Second

// play is one run.
func play(t *testing.T, seed uint64, actors Actors, drive func(w *World), options []Option) (r result) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		t.Cleanup(func() { time.Sleep(outlives) }) // after the store was closed
		w := newWorld(t, seed, actors, options)
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			defer w.end()
			defer w.recover()
			w.spawn()
			drive(w)
		}()
		<-ended
		r = result{seed, w.mu.failures, w.mu.trace}
	})
	return r
}
