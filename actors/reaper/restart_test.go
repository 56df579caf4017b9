package reaper

import (
	"fmt"
	"testing"
	"time"

	"forge.lthn.ai/core/go-store/internal/testkit"
	"forge.lthn.ai/core/go-store/kv"

	"github.com/stretchr/testify/require"
)

// TestRestartAsksToResynchronise: each step fails, once and three times in a
// row. The reaper then knows nothing, asks, and goes on with what it is told.
func TestRestartAsksToResynchronise(t *testing.T) {
	steps := testkit.Steps(t, "actors/reaper")
	require.ElementsMatch(t, steps, []string{"reaper.resynchronise", "reaper.committed", "reaper.hint", "reaper.wake"})
	for _, step := range steps {
		for _, times := range []int{1, 3} {
			t.Run(fmt.Sprintf("%s/%d", step, times), func(t *testing.T) {
				faults := testkit.NewFaults()
				b := start(t, faults.Hook)
				deadline := b.in(time.Second)
				b.wrote(deadline)
				b.sleeps(time.Second + interval)
				faults.Plan(step, times)
				// As the writer does: a reaper that asks is told the present state.
				for range times {
					switch step {
					case "reaper.committed":
						b.wrote(deadline)
					case "reaper.hint":
						b.Hint()
					case "reaper.resynchronise":
						b.Ref.Resynchronise(deadline)
					case "reaper.wake":
						b.source.Advance(time.Minute)
					}
					testkit.Await(t, "the reaper's question", b.resyncs)
					if step != "reaper.resynchronise" {
						b.Ref.Resynchronise(deadline)
					}
					b.settle()
				}
				testkit.Await(t, "the last fault", faults.Done())
				b.Ref.Resynchronise(deadline)
				require.LessOrEqual(t, b.settle(), deadline)
				b.source.Advance(time.Second + interval)
				testkit.Await(t, "the purge", b.purges)
				b.purged(kv.NoDeadline)
				b.settle()
				b.Hint() // is heard by the new incarnation too
				b.settle()
				b.source.Advance(interval)
				testkit.Await(t, "the purge after a hint", b.purges)
				require.Empty(t, b.resyncs, "it asks once for each restart")
			})
		}
	}
}

// TestFailureBeforeConnect: the first thing that a reaper is told is what was
// stored before. If it fails at that, no writer is there yet that it could ask.
func TestFailureBeforeConnect(t *testing.T) {
	faults := testkit.NewFaults()
	faults.Plan("reaper.resynchronise", 1)
	b := newBench(t, faults.Hook)
	b.Ref.Resynchronise(b.in(time.Second))
	testkit.Await(t, "the fault", faults.Done())
	b.settle()
	b.Ref.Connect(b.purger)
	testkit.Await(t, "the question for what was missed", b.resyncs)
}

func TestStoppedFromOutside(t *testing.T) {
	b := start(t, nil)
	b.wrote(b.in(time.Second))
	b.settle()
	require.NoError(t, b.system.Root.StopFuture(b.to.PID).Wait())
	_, armed := b.source.Next()
	require.False(t, armed)
	testkit.Within(t, "messages to a stopped reaper", func() {
		b.wrote(b.in(time.Second))
		b.Hint()
		b.Hint()
		b.Ref.Resynchronise(0)
		b.Ref.Stop()
	})
	require.Empty(t, b.purges)
}
