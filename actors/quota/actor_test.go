package quota

import (
	"context"
	"errors"
	"testing"

	"forge.lthn.ai/core/go-store/internal/testkit"
	"forge.lthn.ai/core/go-store/kv"

	"github.com/stretchr/testify/require"
)

func TestUsageIsCountedOnFirstNeed(t *testing.T) {
	b := start(t, nil)
	first, second := b.ask(t.Context(), "ns"), b.ask(t.Context(), "ns")
	b.waitFor(2)
	other := b.ask(t.Context(), "other")
	b.waitFor(3)
	require.Equal(t, "ns", testkit.Await(t, "the question to the accounts", b.counts))

	b.Committed(booked("ns", 5, 2, kv.QuotaConfig{}))
	want := answer{usage: kv.Usage{Keys: 5, Groups: 2}}
	require.Equal(t, want, testkit.Await(t, "the first caller", first))
	require.Equal(t, want, testkit.Await(t, "the second caller", second))
	require.Equal(t, 1, b.settle(), "the other namespace is not known yet")
	b.Committed(booked("other", 0, 0, kv.QuotaConfig{}))
	require.Equal(t, answer{}, testkit.Await(t, "the other caller", other))

	for len(b.counts) > 0 {
		<-b.counts
	}
	require.Equal(t, want, testkit.Await(t, "a later caller", b.ask(t.Context(), "ns")))
	require.Empty(t, b.counts, "what is known is not counted again")
	b.Committed(booked("ns", 6, 3, kv.QuotaConfig{}))
	require.Equal(t, kv.Usage{Keys: 6, Groups: 3}, testkit.Await(t, "a later caller", b.ask(t.Context(), "ns")).usage)
}

func TestUsageLeavesOutWhatHasExpired(t *testing.T) {
	b := start(t, nil)
	b.Committed(booked("ns", 5, 2, kv.QuotaConfig{}))
	b.expired.usage = kv.Usage{Keys: 2, Groups: 1}
	require.Equal(t, kv.Usage{Keys: 3, Groups: 1}, testkit.Await(t, "the caller", b.ask(t.Context(), "ns")).usage)
	require.Equal(t, []kv.Range{kv.NamespaceRange("ns")}, b.expired.asked)
	require.Equal(t, b.source.Now().UnixMilli(), b.expired.now)

	// The reads may be ahead of the facts.
	b.expired.usage = kv.Usage{Keys: 9, Groups: 9}
	require.Equal(t, answer{}, testkit.Await(t, "the caller", b.ask(t.Context(), "ns")))

	cause := errors.New("disk gone")
	b.expired.err = cause
	require.Equal(t, answer{err: cause}, testkit.Await(t, "the caller", b.ask(t.Context(), "ns")))
}

func TestUsageEndsWithItsContext(t *testing.T) {
	b := start(t, nil)
	ctx, cancel := context.WithCancel(t.Context())
	asked := b.ask(ctx, "ns")
	b.waitFor(1)
	cancel()
	require.ErrorIs(t, testkit.Await(t, "the caller", asked).err, context.Canceled)
	b.Committed(booked("ns", 1, 1, kv.QuotaConfig{})) // answers no caller, and blocks none
	require.Zero(t, b.settle())
}

func TestUsageEndsWithTheActor(t *testing.T) {
	b := start(t, nil)
	asked := b.ask(t.Context(), "ns")
	b.waitFor(1)
	testkit.Within(t, "Stop", b.Stop)
	require.ErrorIs(t, testkit.Await(t, "the caller", asked).err, kv.ClosedError)
	require.ErrorIs(t, testkit.Await(t, "a late caller", b.ask(t.Context(), "ns")).err, kv.ClosedError)
}

func TestCount(t *testing.T) {
	b := start(t, nil)
	s := newSnapshot(kv.Usage{Keys: 7, Groups: 3}, nil)
	answers := b.count("ns", s)
	require.Equal(t, answer{usage: kv.Usage{Keys: 7, Groups: 3}}, testkit.Await(t, "the count", answers))
	testkit.Await(t, "the snapshot's end", s.closed)
	b.settle()
	require.Empty(t, answers)
}

// TestCountThatFails: callers that wait for the count and callers that wait for the
// usage are told, and the next one has it counted again.
func TestCountThatFails(t *testing.T) {
	b := start(t, nil)
	asked := b.ask(t.Context(), "ns")
	b.waitFor(1)
	<-b.counts
	cause := errors.New("damaged page")
	s := newSnapshot(kv.Usage{Keys: 1}, cause)
	require.Equal(t, cause, testkit.Await(t, "the count", b.count("ns", s)).err)
	testkit.Await(t, "the snapshot's end", s.closed)
	require.Equal(t, answer{err: cause}, testkit.Await(t, "the caller", asked))
	again := b.ask(t.Context(), "ns")
	require.Equal(t, "ns", testkit.Await(t, "another question to the accounts", b.counts))
	b.Committed(booked("ns", 2, 1, kv.QuotaConfig{}))
	require.Equal(t, kv.Usage{Keys: 2, Groups: 1}, testkit.Await(t, "the caller", again).usage)
}

// A namespace that the writer has forgotten is asked for anew, and warned of anew.
func TestForgotten(t *testing.T) {
	b := start(t, nil)
	b.Committed(booked("n", 9, 1, kv.QuotaConfig{MaxKeys: 10}))
	b.settle()
	require.Equal(t, 1, b.log.warnings())
	b.Forget([]string{"n", "never heard of"})
	answers := b.ask(t.Context(), "n")
	require.Equal(t, "n", testkit.Await(t, "the question", b.counts))
	b.Committed(booked("n", 10, 1, kv.QuotaConfig{MaxKeys: 10}))
	require.Equal(t, kv.Usage{Keys: 10, Groups: 1}, testkit.Await(t, "the answer", answers).usage)
	require.Equal(t, 2, b.log.warnings())
}

func TestResynchronise(t *testing.T) {
	b := start(t, nil)
	b.Committed(booked("old", 5, 2, kv.QuotaConfig{}))
	unknown := b.ask(t.Context(), "unknown")
	b.waitFor(1)
	require.Equal(t, "unknown", <-b.counts)
	b.Resynchronise(booked("new", 1, 1, kv.QuotaConfig{}))
	require.Equal(t, "unknown", testkit.Await(t, "the question, once more", b.counts),
		"the writer that was asked may be gone")
	b.Committed(booked("unknown", 3, 1, kv.QuotaConfig{}))
	require.Equal(t, kv.Usage{Keys: 3, Groups: 1}, testkit.Await(t, "the caller", unknown).usage)
	require.Equal(t, kv.Usage{Keys: 1, Groups: 1}, testkit.Await(t, "the caller", b.ask(t.Context(), "new")).usage)
	old := b.ask(t.Context(), "old")
	require.Equal(t, "old", testkit.Await(t, "the question for what was forgotten", b.counts))
	b.Committed(booked("old", 4, 2, kv.QuotaConfig{}))
	require.Equal(t, kv.Usage{Keys: 4, Groups: 2}, testkit.Await(t, "the caller", old).usage)
}

func TestWarning(t *testing.T) {
	for name, limits := range map[string]struct {
		quota kv.QuotaConfig
		usage func(percent int64) (keys, groups int64)
	}{
		"keys":   {kv.QuotaConfig{MaxKeys: 1000}, func(p int64) (int64, int64) { return p * 10, 1 }},
		"groups": {kv.QuotaConfig{MaxGroups: 1000}, func(p int64) (int64, int64) { return 100_000, p * 10 }},
	} {
		t.Run(name, func(t *testing.T) {
			b := start(t, nil)
			tell := func(percent int64) int {
				keys, groups := limits.usage(percent)
				b.Committed(booked("ns", keys, groups, limits.quota))
				b.settle()
				return b.log.warnings()
			}
			require.Equal(t, 0, tell(0))
			require.Equal(t, 0, tell(79))
			require.Equal(t, 1, tell(80))
			require.Equal(t, 1, tell(81), "it warns once")
			require.Equal(t, 1, tell(100))
			require.Equal(t, 1, tell(79))
			require.Equal(t, 2, tell(95), "and again after it fell below")
			b.Resynchronise(nil)
			require.Equal(t, 2, tell(96), "a restart of the writer is no news")
			b.Committed(booked("free", 1<<40, 1<<40, kv.QuotaConfig{}))
			b.settle()
			require.Equal(t, 2, b.log.warnings(), "nothing is near a limit that is none")
		})
	}
}

// TestStoppedFromOutside: any code that shares the system may stop the actor. What it
// has in hand it answers; that no caller waits for what it never saw is for the
// engine to see to.
func TestStoppedFromOutside(t *testing.T) {
	b := start(t, nil)
	held := newSnapshot(kv.Usage{Keys: 1}, nil)
	held.entered, held.hold = make(chan struct{}), make(chan struct{})
	inHand := b.count("a", held)
	testkit.Await(t, "the count", held.entered)
	asked := b.ask(t.Context(), "ns")
	b.system.Root.Stop(b.to.PID) // overtakes what is in the mailbox
	close(held.hold)
	require.Equal(t, answer{usage: kv.Usage{Keys: 1}}, testkit.Await(t, "the count in hand", inHand))
	testkit.Await(t, "the snapshot's end", held.closed)
	require.ErrorIs(t, testkit.Await(t, "the caller", asked).err, kv.ClosedError)
}

// TestStoppedWhileFailing: a stop that is queued when a count fails overtakes
// the restart. The count is answered once.
func TestStoppedWhileFailing(t *testing.T) {
	var b *bench
	b = start(t, func(step string) {
		if step == "quota.count" {
			b.system.Root.Stop(b.to.PID)
			panic(testkit.Injected{Step: step})
		}
	})
	s := newSnapshot(kv.Usage{}, nil)
	answers := b.count("ns", s)
	require.Error(t, testkit.Await(t, "the count", answers).err)
	testkit.Await(t, "the snapshot's end", s.closed)
	testkit.Within(t, "Stop", b.Stop)
	require.Empty(t, answers, "it was answered twice")
}

func TestStopTwice(t *testing.T) {
	b := start(t, nil)
	testkit.Within(t, "Stop", b.Stop)
	testkit.Within(t, "a second Stop", b.Stop)
}
