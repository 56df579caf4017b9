package metamorphic

import (
	"flag"
	"fmt"
	"runtime/debug"
	"strconv"
	"testing"
	"time"

	"forge.lthn.ai/core/go-store/api"
	"forge.lthn.ai/core/go-store/internal/storage/faultfs"
	"forge.lthn.ai/core/go-store/internal/testkit"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

var runFor = flag.Duration("metamorphic", 3*time.Second, "how long TestMetamorphic goes on")

// folds are the steps of the fold that programs came to.
var folds testkit.Folds

func TestMain(m *testing.M) {
	testkit.SameDraws()
	// A failure prints a test to be pasted: no files of bits beside it.
	_ = flag.Set("rapid.nofailfile", "true")
	_ = flag.Set("rapid.checks", "10")
	_ = flag.Set("rapid.steps", "1000") // a store is opened for each program
	debug.SetGCPercent(400)
	faultfs.Install()
	faultfs.SkipSyncs(true)
	testkit.Main(m)
}

// TestMetamorphic: whatever the public interface is used for, in whatever order and
// with whatever options, every answer is that of a plain model.
func TestMetamorphic(t *testing.T) {
	// The actor system, which takes long to make, is there as long as a store is.
	spare, err := api.New(":memory:")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = spare.Close() })
	keepSeed(t)
	programs, operations := 0, 0
	kinds := map[string]int{}
	for began := time.Now(); programs == 0 || time.Since(began) < *runFor; drawOthers() {
		rapid.Check(t, func(r *rapid.T) {
			p := draw(r)
			programs++
			done, err := p.run()
			operations += done
			for _, o := range p.operations[:done] {
				kinds[fmt.Sprintf("%T", o)]++
			}
			if err != nil {
				r.Fatalf("%v\n\n%s", err, program{p.settings, p.operations[:min(done+1, len(p.operations))]}.test())
			}
		})
	}
	t.Logf("%d operations in %d programs: %v", operations, programs, kinds)
	t.Logf("steps of the fold: %v", &folds)
	if programs >= 200 { // by then each is hit some ten times, as a rule
		require.Empty(t, folds.Missing(), "steps of the fold that no program has come to")
	}
	t.Logf("calls of the disk that failed: %d; failures of actors that a call has met: %d; of the writes that failed with them %d have an unknown outcome, %d have none",
		struck.disk.Load(), struck.actors.Load(), struck.unknown.Load(), struck.undone.Load())
}

// keepSeed has the tests behind this one begin with the seed that this one began with.
func keepSeed(t *testing.T) {
	seed := flag.Lookup("rapid.seed").Value.String()
	t.Cleanup(func() { _ = flag.Set("rapid.seed", seed) })
}

// drawOthers has rapid's next Check draw other programs than its last did.
func drawOthers() {
	const apart = 10_000 // a Check counts its seed on
	if seed, err := strconv.ParseUint(flag.Lookup("rapid.seed").Value.String(), 10, 64); err == nil && seed != 0 {
		_ = flag.Set("rapid.seed", strconv.FormatUint(seed+apart, 10))
	}
}

// replay is a program that has failed once.
func replay(t *testing.T, s settings, operations ...operation) {
	t.Helper()
	if _, err := (program{s, operations}).run(); err != nil {
		t.Fatal(err)
	}
}

// run goes through the program and says how far it came.
func (p program) run() (done int, err error) {
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		done, err = p.goThrough()
	}()
	limit := time.NewTimer(2 * testkit.Patience)
	defer limit.Stop()
	select {
	case <-ended:
		return done, err
	case <-limit.C:
		panic(fmt.Sprintf("a program hangs:\n%s\n%s", p.test(), testkit.Stacks()))
	}
}

func (p program) goThrough() (done int, err error) {
	defer func() {
		if reason := recover(); reason != nil {
			err = fmt.Errorf("a panic: %v\n%s", reason, debug.Stack())
		}
	}()
	w, err := newWorld(p.settings)
	if err != nil {
		return 0, err
	}
	defer w.end()
	for i, o := range p.operations {
		if err := o.run(w); err != nil {
			return i, fmt.Errorf("operation %d, %s: %w", i, source(o), err)
		}
		if err := w.reap(); err != nil {
			return i, fmt.Errorf("after operation %d, %s: %w", i, source(o), err)
		}
	}
	if err := w.verify(); err != nil {
		return len(p.operations), fmt.Errorf("in the end: %w", err)
	}
	return len(p.operations), w.close()
}
