package reaper

import (
	"sync"
	"testing"
	"time"

	"forge.lthn.ai/core/go-store/internal/testkit"
	"forge.lthn.ai/core/go-store/kv"

	"github.com/stretchr/testify/require"
)

func TestWakesTheIntervalAfterADeadline(t *testing.T) {
	b := start(t, nil)
	b.wrote(b.in(5 * time.Second))
	b.sleeps(5*time.Second + interval)
	b.asksAfter(5*time.Second + interval)
	b.sleeps(retry)
	b.purged(kv.NoDeadline)
	b.idle()
}

func TestEarlierDeadlineWakesEarlier(t *testing.T) {
	b := start(t, nil)
	late := b.in(30 * time.Second)
	b.wrote(late)
	b.wrote(b.in(40 * time.Second))
	b.sleeps(30*time.Second + interval)
	b.wrote(b.in(2 * time.Second))
	b.sleeps(2*time.Second + interval)
	b.asksAfter(2*time.Second + interval)
	b.purged(late)
	b.asksAfter(28 * time.Second) // of 30 s and the interval, 2 s and the interval have passed
}

func TestSleepsLongOnlyInSweeps(t *testing.T) {
	b := start(t, nil)
	b.wrote(b.in(3 * time.Hour))
	b.sleeps(sweep)
	b.asksAfter(3*time.Hour + interval)
}

func TestFarDeadlinesDoNotOverflow(t *testing.T) {
	for _, deadline := range []int64{kv.NoDeadline - 1, 1 << 62, 1 << 50} {
		b := start(t, nil)
		b.wrote(deadline)
		b.sleeps(sweep)
		b.pass(sweep)
		b.quiet()
	}
	// A foreign program may have written a deadline from before all time.
	for _, deadline := range []int64{-1 << 63, -1 << 62, -1, 0} {
		b := start(t, nil)
		b.Ref.Resynchronise(deadline)
		b.settle()
		testkit.Await(t, "the purge of what is long overdue", b.purges)
		b.purged(deadline)
		testkit.Await(t, "the next chunk", b.purges)
		b.purged(kv.NoDeadline)
		b.idle()
		b.Ref.Committed(&kv.Committed{At: b.clock.Now(), Deadline: kv.NoDeadline, Purged: true, Earliest: deadline})
		b.asksAfter(interval)
	}
}

func TestDeadlineThatHasPassedWaitsTheInterval(t *testing.T) {
	b := start(t, nil)
	b.wrote(b.in(-time.Hour)) // a time to live of zero or less
	b.asksAfter(interval)
}

func TestFullChunkIsFollowedAtOnce(t *testing.T) {
	b := start(t, nil)
	b.wrote(b.in(time.Second))
	b.asksAfter(time.Second + interval)
	for range 5 {
		b.purged(b.in(-time.Millisecond))
		b.asks()
	}
	b.purged(b.in(time.Minute / 2))
	b.asksAfter(time.Minute/2 + interval)
}

func TestPurgesOfOthersAreNews(t *testing.T) {
	b := start(t, nil)
	b.wrote(b.in(time.Second))
	later := b.in(10 * time.Second)
	// A caller's PurgeExpired of one namespace leaves others' rows behind: no
	// hurry, but they are the reaper's.
	b.Ref.Committed(&kv.Committed{At: b.clock.Now(), Deadline: kv.NoDeadline, Purged: true, Earliest: later})
	require.Equal(t, later, b.settle())
	b.asksAfter(10*time.Second + interval)
	b.Ref.Committed(&kv.Committed{At: b.clock.Now(), Deadline: kv.NoDeadline, Purged: true, Earliest: kv.NoDeadline})
	b.idle()
}

func TestWriteInTheSameCommitAsAPurge(t *testing.T) {
	b := start(t, nil)
	deadline := b.in(3 * time.Second)
	b.Ref.Committed(&kv.Committed{At: b.clock.Now(), Deadline: deadline, Purged: true, Reaped: true, Earliest: deadline})
	b.asksAfter(3*time.Second + interval)
}

func TestAsksAgainWhenNoFactComes(t *testing.T) {
	b := start(t, nil)
	b.wrote(b.in(time.Second))
	b.asksAfter(time.Second + interval)
	for range 3 { // a full disk, say
		b.asksAfter(retry)
	}
	b.purged(kv.NoDeadline)
	b.idle()
}

// TestFailingPurgeIsNotRepeatedWithoutRest: a commit that says "purged" and
// leaves expired rows behind, as when a damaged page can't be read. Asking
// again at once would never end.
func TestFailingPurgeIsNotRepeatedWithoutRest(t *testing.T) {
	b := start(t, nil)
	b.wrote(b.in(0))
	b.asksAfter(interval)
	for range 3 {
		b.Ref.Committed(&kv.Committed{At: b.clock.Now(), Deadline: kv.NoDeadline, Purged: true, Earliest: b.in(-time.Second)})
		b.pass(interval - time.Millisecond)
		b.quiet()
		b.pass(retry - interval + time.Millisecond)
		b.asks()
	}
}

func TestHint(t *testing.T) {
	b := start(t, nil)
	b.Hint()
	b.asksAfter(interval)
	b.purged(kv.NoDeadline)
	b.idle()
}

func TestHintsCoalesce(t *testing.T) {
	pause := testkit.NewPause("reaper.committed")
	hints := 0
	b := start(t, func(step string) {
		if step == "reaper.hint" {
			hints++ // in the reaper's goroutine; read when it has settled
		}
		pause.Hook(step)
	})
	b.wrote(b.in(time.Hour))
	testkit.Await(t, "the reaper", pause.Reached)
	testkit.Within(t, "a thousand hints", func() {
		var hinting sync.WaitGroup
		for range 10 {
			hinting.Go(func() {
				for range 100 {
					b.Hint()
				}
			})
		}
		hinting.Wait()
	})
	close(pause.Resume)
	b.settle()
	require.Equal(t, 1, hints)
	b.Hint()
	b.settle()
	require.Equal(t, 2, hints, "the next one is heard again")
}

// TestClockJumpsForward: deadlines are passed over while the timer, which lives
// by the monotonic clock, sleeps on. A sweep at the latest finds out.
func TestClockJumpsForward(t *testing.T) {
	b := start(t, nil)
	b.wrote(b.in(time.Hour))
	b.sleeps(sweep)
	b.source.Jump(2 * time.Hour)
	b.asksAfter(sweep)
	b.purged(kv.NoDeadline)
	b.idle()
}

// TestHintAfterAJump: a read that meets an expired row makes it soon.
func TestHintAfterAJump(t *testing.T) {
	b := start(t, nil)
	b.wrote(b.in(time.Hour))
	b.sleeps(sweep)
	b.source.Jump(2 * time.Hour)
	b.Hint()
	b.pass(interval)
	b.asks()
}

// TestWriteAfterAJump: the timer of before the jump is not to be waited for.
func TestWriteAfterAJump(t *testing.T) {
	b := start(t, nil)
	b.wrote(b.in(time.Hour))
	b.sleeps(sweep)
	b.source.Jump(2 * time.Hour)
	b.wrote(b.in(time.Second))
	b.pass(interval)
	b.asks()
}

func TestClockJumpsBack(t *testing.T) {
	b := start(t, nil)
	b.wrote(b.in(10 * time.Second))
	b.settle()
	b.source.Jump(-time.Hour) // without a monotonic reading the store's clock stands still
	b.pass(time.Hour)
	b.quiet()
	b.pass(10*time.Second + sweep)
	require.NotEmpty(t, b.purges)
}

func TestNothingHappensBeforeConnect(t *testing.T) {
	b := newBench(t, nil)
	deadline := b.in(time.Second)
	b.Ref.Resynchronise(deadline)
	b.Hint()
	b.settle()
	b.source.Advance(time.Hour)
	b.idle()
	b.Ref.Connect(b.purger)
	b.tell(deadline)
	b.pass(interval)
	require.NotEmpty(t, b.purges)
	b.purged(kv.NoDeadline)
	b.settle()
}

// TestOnePurgeAtATime: while one is on its way, writes with deadlines and reads
// of expired rows bring news, and no reason to ask again.
func TestOnePurgeAtATime(t *testing.T) {
	b := start(t, nil)
	b.wrote(b.in(time.Second))
	b.asksAfter(time.Second + interval)
	for range 10 {
		b.wrote(b.in(time.Second))
		b.Hint()
		b.quiet()
	}
	b.pass(interval)
	b.quiet()
	later := b.in(time.Second)
	b.purged(later)
	b.asksAfter(time.Second + interval)
}
