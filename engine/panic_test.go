package engine

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"forge.lthn.ai/core/go-store/internal/testkit"
	"forge.lthn.ai/core/go-store/kv"

	"github.com/stretchr/testify/require"
)

// steps are all steps of all actors, and how many of a step's panics in a row
// the store can survive without being asked anew: steps that end an actor come
// once in its life.
var steps = []string{
	"writer.start", "writer.accept", "writer.begin", "writer.apply", "writer.seal", "writer.commit", "writer.committed",
	"writer.publish", "writer.count", "writer.counted", "writer.drain",
	"notifier.watch", "notifier.unwatch", "notifier.deliver", "notifier.delivered", "notifier.stop",
	"notifier.subscribe", "notifier.unsubscribe", "notifier.mark", "notifier.resynchronise",
	"reaper.resynchronise", "reaper.committed", "reaper.hint", "reaper.wake",
	"quota.count", "quota.committed", "quota.resynchronise", "quota.usage",
}

// last are the steps that an actor takes when it ends.
var last = []string{"writer.drain", "notifier.stop"}

// afterRestart are the steps that the load comes by only when the writer was
// started anew.
var afterRestart = []string{"writer.start", "reaper.resynchronise", "quota.resynchronise", "notifier.resynchronise"}

// TestEveryStepIsTested compares the lists of steps with the source.
func TestEveryStepIsTested(t *testing.T) {
	require.ElementsMatch(t, testkit.Steps(t, "."), slices.Concat(steps, gatewaySteps, lastOfGateway))
}

// TestPanicAtEveryStep: under load, each step of each actor fails. No caller
// hangs, what was acknowledged is there, what was rolled back is not, figures
// are right, keys still expire, and watchers have every event or know of it.
func TestPanicAtEveryStep(t *testing.T) {
	for _, step := range steps {
		t.Run(step, func(t *testing.T) {
			eachStorage(t, func(t *testing.T, path string) { panicAt(t, path, step, 1) })
		})
	}
}

// TestPanicThreeTimesInARow at every step.
func TestPanicThreeTimesInARow(t *testing.T) {
	for _, step := range steps {
		// The notifier hears of one restart of the writer once.
		if !slices.Contains(last, step) && step != "notifier.resynchronise" {
			t.Run(step, func(t *testing.T) { panicAt(t, ":memory:", step, 3) })
		}
	}
}

func panicAt(t *testing.T, path, step string, times int) {
	faults := testkit.NewFaults()
	// Buffered: no power is cut here, and syncing takes most of the time.
	e := open(t, Config{Path: path, Durability: kv.DurabilityBuffered, Failpoint: faults.Hook,
		PurgeInterval: time.Millisecond, WatchBuffer: 1 << 14})
	l := startLoad(t, e, 16, 1)
	l.more(40)
	faults.Plan(step, times)
	switch {
	case slices.Contains(last, step): // comes by Close below
	case slices.Contains(afterRestart, step):
		faults.Plan("writer.apply", 1)
		require.Equal(t, "writer.apply", testkit.Await(t, "the first fault", faults.Done()))
		fallthrough
	default:
		require.Equal(t, step, testkit.Await(t, "the fault", faults.Done()))
	}
	l.more(100)
	l.settle(e)
	expires(t, e, "afterwards")
	require.Zero(t, e.InFlight())
	closeNow(t, e)
	_, panics := faults.Hits(step)
	require.Equal(t, times, panics)
	l.verifyEvents()
	if path != ":memory:" {
		l.verifyKeys(open(t, Config{Path: path}))
	}
}

// ofOtherCalls are the steps of the fold that no writer comes by while it runs.
var ofOtherCalls = []string{"compact", "close", "load", "direct"}

// TestPanicAtEveryStepOfTheFold: and at no step of that is anything lost, once, three times in
// a row, or now and then at any of them.
func TestPanicAtEveryStepOfTheFold(t *testing.T) {
	for _, step := range testkit.FoldSteps {
		if slices.Contains(ofOtherCalls, step) {
			continue
		}
		for _, times := range []int{1, 3} {
			t.Run(fmt.Sprint(step, times), func(t *testing.T) {
				panicsInFold(t, func(f *testkit.Faults) { f.Plan(step, times) }, func(f *testkit.Faults) {
					require.Equal(t, step, testkit.Await(t, "the fault", f.Done()))
				})
			})
		}
	}
	for seed := range uint64(2) {
		t.Run(fmt.Sprint("scattered", seed), func(t *testing.T) {
			panicsInFold(t, func(f *testkit.Faults) { f.Scatter(seed, 4) }, func(f *testkit.Faults) {
				testkit.Until(t, "faults", func() bool {
					all := 0
					for step := range f.Steps() {
						_, panics := f.Hits(step)
						all += panics
					}
					return all >= 20
				})
				f.Scatter(seed, 0)
			})
		})
	}
}

func panicsInFold(t *testing.T, begin, await func(*testkit.Faults)) {
	faults := testkit.NewFaults()
	path := filepath.Join(t.TempDir(), "fold.db")
	// So small an overlay is folded all the time.
	e := open(t, Config{Path: path, Durability: kv.DurabilityBuffered, Overlay: 64 << 10, FoldStep: faults.Hook, WatchBuffer: 1 << 14})
	l := startLoad(t, e, 16, 1)
	l.more(40)
	begin(faults)
	var deleting sync.WaitGroup
	ended := make(chan struct{})
	deleting.Go(func() { // so that there are marks, and more rows than one slice has
		value := strings.Repeat("v", 100)
		for n := 0; ; n++ {
			group := fmt.Sprint("marked", n%8)
			l.workers[0].try(set(group, "k", value))
			for k := range 20 {
				l.workers[0].try(set("rows", fmt.Sprint(20*n+k), value))
			}
			l.workers[0].try(kv.Mutation{Kind: kv.DeleteGroup, Group: group})
			select {
			case <-ended:
				return
			default:
			}
		}
	})
	await(faults)
	close(ended)
	testkit.Within(t, "the deletions' end", deleting.Wait)
	l.more(100)
	l.settle(e)
	require.Zero(t, e.InFlight())
	closeNow(t, e)
	l.verifyEvents()
	l.verifyKeys(open(t, Config{Path: path}))
	l.verifyKeys(open(t, Config{Path: path, ReadOnly: true}))
}

// TestPanicsAtRandom: everything fails now and then, all the time.
func TestPanicsAtRandom(t *testing.T) {
	for seed := range uint64(2) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			eachStorage(t, func(t *testing.T, path string) {
				faults := testkit.NewFaults()
				e := open(t, Config{Path: path, Durability: kv.DurabilityBuffered, Failpoint: faults.Hook,
					PurgeInterval: time.Millisecond, WatchBuffer: 1 << 14})
				l := startLoad(t, e, 64, seed)
				faults.Scatter(seed, 30)
				l.more(1000)
				faults.Scatter(seed, 0)
				l.more(64)
				l.settle(e)
				expires(t, e, "afterwards")
				require.Zero(t, e.InFlight())
				faults.Scatter(seed, 2) // Close survives it too
				closeNow(t, e)
				l.verifyEvents()
			})
		})
	}
}
