package quota

import (
	"fmt"
	"testing"

	"forge.lthn.ai/core/go-store/internal/testkit"
	"forge.lthn.ai/core/go-store/kv"

	"github.com/stretchr/testify/require"
)

// TestPanicAnswersEverybody: each step fails, once and three times in a row.
// Every caller that waits is answered, every snapshot closed, and the actor asks
// for what it has lost.
func TestPanicAnswersEverybody(t *testing.T) {
	steps := testkit.Steps(t, "actors/quota")
	require.ElementsMatch(t, steps, []string{"quota.count", "quota.committed", "quota.resynchronise", "quota.usage"})
	for _, step := range steps {
		for _, times := range []int{1, 3} {
			t.Run(fmt.Sprintf("%s/%d", step, times), func(t *testing.T) {
				faults := testkit.NewFaults()
				b := start(t, faults.Hook)
				b.Committed(booked("known", 1, 1, kv.QuotaConfig{}))
				b.settle()
				for range times {
					asked := b.ask(t.Context(), "ns")
					b.waitFor(1)
					faults.Plan(step, 1)
					switch step {
					case "quota.count":
						s := newSnapshot(kv.Usage{Keys: 1}, nil)
						answers := b.count("ns", s)
						require.Error(t, testkit.Await(t, "the count", answers).err)
						testkit.Await(t, "the snapshot's end", s.closed)
						b.settle()
						require.Empty(t, answers, "it was answered twice")
					case "quota.committed":
						b.Committed(booked("ns", 1, 1, kv.QuotaConfig{}))
					case "quota.resynchronise":
						b.Resynchronise(booked("ns", 1, 1, kv.QuotaConfig{}))
					case "quota.usage":
						require.Error(t, testkit.Await(t, "the caller", b.ask(t.Context(), "ns")).err)
					}
					require.Error(t, testkit.Await(t, "the caller that waited", asked).err)
					testkit.Await(t, "the question for what was lost", b.resyncs)
				}
				b.Resynchronise(booked("known", 2, 1, kv.QuotaConfig{}))
				require.Equal(t, kv.Usage{Keys: 2, Groups: 1}, testkit.Await(t, "the caller", b.ask(t.Context(), "known")).usage)
				require.Empty(t, b.resyncs, "it asks once for each restart")
			})
		}
	}
}

// TestPanicWhileCounting: the snapshot itself fails, as a damaged file's may.
func TestPanicWhileCounting(t *testing.T) {
	b := start(t, nil)
	asked := b.ask(t.Context(), "ns")
	b.waitFor(1)
	s := &failing{newSnapshot(kv.Usage{}, nil)}
	require.Error(t, testkit.Await(t, "the count", b.count("ns", s)).err)
	testkit.Await(t, "the snapshot's end", s.closed)
	require.Error(t, testkit.Await(t, "the caller that waited", asked).err)
	testkit.Await(t, "the question for what was lost", b.resyncs)
}

type failing struct{ *snapshot }

func (failing) Usage(kv.Range) (kv.Usage, error) { panic("damaged") }
