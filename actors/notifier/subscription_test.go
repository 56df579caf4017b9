package notifier

import (
	"slices"
	"strings"
	"testing"

	"forge.lthn.ai/core/go-store/internal/admission"
	"forge.lthn.ai/core/go-store/kv"

	"github.com/stretchr/testify/require"
)

// at is an event of a revision.
func at(revision uint64, key string) kv.Event {
	return kv.Event{Type: kv.EventSet, Group: "g", Key: key, Revision: revision}
}

// joined is a subscriber of everything, or of some filters, that has read the log.
func (b *bench) joined(t *testing.T, limit int, filters ...kv.Filter) *Subscription {
	t.Helper()
	if len(filters) == 0 {
		filters = []kv.Filter{{}}
	}
	s := b.Subscribe(filters, limit)
	require.NotZero(t, s.Behind(), "everything is to be read yet")
	require.True(t, s.CaughtUp(s.Behind()))
	return s
}

// settle waits until the notifier has handled what it was sent.
func (b *bench) settle() { b.Unsubscribe(b.Subscribe([]kv.Filter{{Group: kv.Exactly("nobody's")}}, 1)) }

// taken is what is in the channel, chunk by chunk.
func taken(s *Subscription) (chunks [][]kv.Event) {
	for {
		select {
		case chunk := <-s.Chunks:
			s.Took(chunk)
			chunks = append(chunks, chunk)
		default:
			return chunks
		}
	}
}

func TestChunksUntilTheBufferIsFull(t *testing.T) {
	b := start(t, 1, nil)
	s := b.joined(t, 3)
	b.deliver(t, at(1, "a"), at(1, "b"))
	b.deliver(t, at(2, "a"))
	require.Zero(t, s.Behind())
	require.False(t, s.Overrun())
	b.deliver(t, at(3, "a"))
	b.deliver(t, at(4, "a"))
	behind := s.Behind()
	require.NotZero(t, behind)
	require.EqualValues(t, 2, s.Sent())
	require.True(t, s.Overrun())
	require.False(t, s.Overrun(), "it is told once")
	require.Equal(t, [][]kv.Event{{at(1, "a"), at(1, "b")}, {at(2, "a")}}, taken(s))
	b.deliver(t, at(5, "a"))
	require.Empty(t, taken(s), "nothing comes by chunks until it has caught up")
	require.False(t, s.CaughtUp(behind), "more went past")
	require.False(t, s.Overrun(), "but not because it was slow once more")
	require.EqualValues(t, 2, s.Sent())
	require.True(t, s.CaughtUp(s.Behind()))
	b.deliver(t, at(6, "a"))
	require.Equal(t, [][]kv.Event{{at(6, "a")}}, taken(s))
}

// A commit that is larger than the buffer overruns no subscriber that waits for it.
func TestALargeCommitFindsAnEmptyBuffer(t *testing.T) {
	b := start(t, 1, nil)
	s := b.joined(t, 1)
	for revision := uint64(1); revision < 10; revision++ {
		b.deliver(t, at(revision, "a"), at(revision, "b"), at(revision, "c"))
		require.Zero(t, s.Behind())
		require.Len(t, taken(s), 1)
	}
}

// A mark comes behind the events before it, takes none of their places, and is
// no reason to call a subscriber slow.
func TestAMarkTakesNoPlace(t *testing.T) {
	b := start(t, 1, nil)
	s := b.joined(t, 1)
	mark := func(revision uint64) kv.Event { return kv.Event{Type: kv.EventProgress, Revision: revision} }
	b.deliver(t, at(1, "a"))
	b.Mark(s, mark(1))
	b.Mark(s, mark(1))
	b.settle()
	require.Zero(t, s.Behind())
	require.False(t, s.Overrun())
	require.Equal(t, [][]kv.Event{{at(1, "a")}, {mark(1)}}, taken(s))
	b.Mark(s, mark(1))
	b.settle()
	b.deliver(t, at(2, "a"), at(2, "b")) // too large, but nothing waits but the mark
	require.Zero(t, s.Behind())
	require.Equal(t, [][]kv.Event{{mark(1)}, {at(2, "a"), at(2, "b")}}, taken(s))
	b.Mark(s, mark(2))
	b.settle()
	require.Equal(t, [][]kv.Event{{mark(2)}}, taken(s), "and further ones follow")
	b.deliver(t, at(3, "a"))
	b.deliver(t, at(4, "a"))
	require.NotZero(t, s.Behind())
	b.Mark(s, mark(4))
	b.settle()
	require.Equal(t, [][]kv.Event{{at(3, "a")}}, taken(s), "a subscriber that is behind gets no progress mark")
}

func TestEachEventOnceHoweverManyFiltersFit(t *testing.T) {
	b := start(t, 1, nil)
	s := b.joined(t, 8, kv.Filter{Group: kv.Exactly("g")}, kv.Filter{Key: kv.Prefix("a")}, kv.Filter{Group: kv.Prefix("g"), Key: kv.Exactly("ab")},
		kv.Filter{Group: kv.Exactly("g")})
	gone := kv.Event{Type: kv.EventDeleteGroup, Group: "g", Revision: 2}
	b.deliver(t, at(1, "ab"), at(1, "b"), gone)
	require.Equal(t, [][]kv.Event{{at(1, "ab"), at(1, "b"), gone}}, taken(s))
	b.Unsubscribe(s)
	require.False(t, b.Listening())
	require.True(t, b.subscribed.deletions.empty())
}

// Only what was not sent has to be read: what came before is not, however long
// ago it was, since it may not be in the log any more.
func TestHowFarChunksWent(t *testing.T) {
	b := start(t, 1, nil)
	quiet := b.joined(t, 1, kv.Filter{Key: kv.Exactly("quiet")})
	loud := b.joined(t, 100)
	for revision := uint64(1); revision <= 50; revision++ {
		b.deliver(t, at(revision, "k"))
	}
	b.Resynchronise(50)
	b.settle()
	for _, s := range []*Subscription{quiet, loud} {
		require.NotZero(t, s.Behind())
		require.False(t, s.Overrun())
		require.EqualValues(t, 50, s.Sent())
		require.True(t, s.CaughtUp(s.Behind()))
	}
	b.deliverAs(t, admission.Delivery{Lost: true, Events: []kv.Event{at(60, "k"), at(61, "quiet")}})
	require.NotZero(t, quiet.Behind())
	require.EqualValues(t, 59, quiet.Sent())
	b.Resynchronise(59)
	b.settle()
	require.EqualValues(t, 59, quiet.Sent())
}

// What may wait for a subscriber is its limit, however many commits it came
// in and whatever it weighs: what is not kept in memory waits in the log.
func TestWhatMayWaitIsCountedInEvents(t *testing.T) {
	const limit = 10_000
	for name, value := range map[string]string{"many commits": "", "much": strings.Repeat("v", 1<<10)} {
		t.Run(name, func(t *testing.T) {
			b := start(t, 1, nil)
			s := b.joined(t, limit)
			event := func(revision uint64) kv.Event {
				e := at(revision, "k")
				e.Value = value
				return e
			}
			for revision := uint64(1); revision <= limit; revision++ {
				b.deliver(t, event(revision))
			}
			require.NotZero(t, s.Behind(), "not all of it is kept in memory")
			require.False(t, s.Overrun(), "as much as may wait is waiting")
			waiting := taken(s)
			read := limit - len(waiting)
			require.Positive(t, read)
			s.Read(read) // in the log
			for revision := uint64(limit + 1); revision <= 2*limit; revision++ {
				b.deliver(t, event(revision))
			}
			require.False(t, s.Overrun(), "what was read waits no more")
			b.deliver(t, event(2*limit+1))
			require.True(t, s.Overrun())
			require.True(t, s.CaughtUp(s.Behind()))
			b.deliver(t, event(2*limit+2))
			require.Zero(t, s.Behind())
			require.False(t, s.Overrun())
		})
	}
}

// A large commit is kept in memory for no subscriber: it is in the log. None is slow
// because of it.
func TestALargeCommitIsReadInTheLog(t *testing.T) {
	for name, large := range map[string][]kv.Event{
		"one value":   {{Type: kv.EventSet, Group: "g", Key: "k", Value: strings.Repeat("v", maxQueued), Revision: 1}},
		"many events": slices.Repeat([]kv.Event{at(1, "k")}, maxQueued/100),
	} {
		t.Run(name, func(t *testing.T) {
			b := start(t, 1, nil)
			all, some := b.joined(t, 4), b.joined(t, 4, kv.Filter{Key: kv.Exactly("k")})
			b.deliver(t, large...)
			for _, s := range []*Subscription{all, some} {
				require.NotZero(t, s.Behind())
				require.Empty(t, taken(s))
				require.False(t, s.Overrun())
			}
			b.deliver(t, at(2, "k"))
			require.False(t, some.Overrun(), "the small ones after it may wait")
			for revision := uint64(3); revision <= 6; revision++ {
				b.deliver(t, at(revision, "k"))
			}
			require.True(t, some.Overrun(), "but no more than its limit")
		})
	}
}
