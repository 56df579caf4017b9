package engine

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"forge.lthn.ai/core/go-store/internal/testkit"
	"forge.lthn.ai/core/go-store/kv"

	"github.com/stretchr/testify/require"
	lib "modernc.org/sqlite/lib"
)

// handOver is a subscriber that takes one event at a time, when the test asks.
type handOver struct {
	t      *testing.T
	cancel context.CancelFunc
	events chan kv.Event
	ended  chan error
}

func subscribe(t *testing.T, e *Engine, options kv.SubscribeOptions) *handOver {
	ctx, cancel := context.WithCancel(context.Background())
	h := &handOver{t: t, cancel: cancel, events: make(chan kv.Event), ended: make(chan error, 1)}
	feed := e.Subscribe(ctx, context.Background(), options)
	go func() {
		for event, err := range feed {
			if err != nil {
				h.ended <- err
				return
			}
			select {
			case h.events <- event:
			case <-ctx.Done():
			}
		}
	}()
	t.Cleanup(func() {
		h.cancel()
		select { // whatever it still has to say
		case <-h.ended:
		case <-h.events:
		}
	})
	return h
}

// next is the next event, if the subscription does not end before it.
func (h *handOver) next() kv.Event {
	h.t.Helper()
	type answer struct {
		event kv.Event
		err   error
	}
	answers := make(chan answer, 1)
	go func() {
		select {
		case event := <-h.events:
			answers <- answer{event: event}
		case err := <-h.ended:
			h.ended <- err
			answers <- answer{err: err}
		}
	}()
	got := testkit.Await(h.t, "an event", answers)
	require.NoError(h.t, got.err)
	return got.event
}

// end is how the subscription ended.
func (h *handOver) end() error {
	h.t.Helper()
	err := testkit.Await(h.t, "the end", h.ended)
	h.ended <- err
	return err
}

// TestSubscribersInTheMomentAfterCommit: a commit stands in the log and the
// writer has told no listener of it yet. A subscriber that reads the log sees it, resumes
// after it, and begins with a state that holds it.
func TestSubscribersInTheMomentAfterCommit(t *testing.T) {
	eachStorage(t, func(t *testing.T, path string) {
		pause := testkit.NewPause("writer.committed")
		e := open(t, Config{Path: path, Failpoint: pause.Hook})
		first := send(context.Background(), e, set("g", "k", "1"))
		testkit.Await(t, "the first commit", pause.Reached)
		pause.Resume <- struct{}{}
		require.NoError(t, testkit.Await(t, "the first write", first).err)
		pause.Again()
		write := send(context.Background(), e, set("g", "k", "2"))
		testkit.Await(t, "the commit", pause.Reached)

		early := subscribe(t, e, kv.SubscribeOptions{From: 1})
		require.EqualValues(t, 1, early.next().Revision)
		require.EqualValues(t, 2, early.next().Revision)
		resumed := subscribe(t, e, kv.SubscribeOptions{From: 3})
		now := subscribe(t, e, kv.SubscribeOptions{})
		state := subscribe(t, e, kv.SubscribeOptions{State: true})
		require.Equal(t, "2", state.next().Value)
		synced := state.next()
		require.Equal(t, kv.EventSynced, synced.Type)
		require.EqualValues(t, 2, synced.Revision)
		future := subscribe(t, e, kv.SubscribeOptions{From: 4})
		var wrong *kv.FutureRevisionError
		require.ErrorAs(t, future.end(), &wrong)
		require.Equal(t, kv.FutureRevisionError{Requested: 4, Current: 2}, *wrong)

		close(pause.Resume)
		require.NoError(t, testkit.Await(t, "the write", write).err)
		must(t, e, set("g", "k", "3"))
		for _, h := range []*handOver{early, resumed, now, state} {
			event := h.next()
			require.EqualValues(t, 3, event.Revision)
			require.Equal(t, "3", event.Value)
		}
	})
}

// TestSubscriberAfterAnUnknownOutcome: a commit stands in the log, but its
// writer does not know. Subscribers do, and can resume after it.
func TestSubscriberAfterAnUnknownOutcome(t *testing.T) {
	e := open(t, Config{Path: filepath.Join(t.TempDir(), "store.db")})
	must(t, e, set("g", "k", "1"))
	follower := subscribe(t, e, kv.SubscribeOptions{From: 1})
	require.EqualValues(t, 1, follower.next().Revision)
	failDisk(t, nil, times(1, lib.SQLITE_IOERR_FSYNC))
	_, err := apply(t, e, set("g", "k", "2"))
	require.ErrorIs(t, err, kv.UnknownOutcomeError)
	logged, err := e.Revision(context.Background())
	require.NoError(t, err)
	resumed := subscribe(t, e, kv.SubscribeOptions{From: logged + 1})
	must(t, e, set("g", "k", "3"))
	for revision := uint64(2); revision <= logged+1; revision++ {
		require.Equal(t, revision, follower.next().Revision)
	}
	require.Equal(t, logged+1, resumed.next().Revision)
}

// TestQuietSubscriberOfATrimmedLog: the log no longer holds the last event that
// concerned a subscriber, but whatever does since. It has missed nothing and is
// not told so, when the writer is started anew and when it falls behind.
func TestQuietSubscriberOfATrimmedLog(t *testing.T) {
	eachStorage(t, func(t *testing.T, path string) {
		faults := testkit.NewFaults()
		e := open(t, Config{Path: path, Failpoint: faults.Hook, Durability: kv.DurabilityBuffered, Retention: kv.Retention{Revisions: 20}})
		options := kv.SubscribeOptions{Filters: []kv.Filter{{Group: kv.Exactly("quiet")}}, Buffer: 1, Progress: time.Millisecond}
		skipping := options
		skipping.Slow = kv.SlowSkip
		patient, hasty := subscribe(t, e, options), subscribe(t, e, skipping)
		noise := func() {
			for range 100 {
				must(t, e, set("noise", "k", "v"))
			}
		}
		next := func(s *handOver) kv.Event {
			for {
				if event := s.next(); event.Type != kv.EventProgress {
					return event
				}
			}
		}
		// Progress comes only to subscribers that have read the log to its end.
		joined := func() {
			reached := must(t, e, set("noise", "k", "v")).Revision
			for _, s := range []*handOver{patient, hasty} {
				for event := s.next(); event.Revision < reached; event = s.next() {
					require.Equal(t, kv.EventProgress, event.Type)
				}
			}
		}
		joined()
		must(t, e, set("quiet", "k", "1"))
		require.Equal(t, "1", next(patient).Value)
		require.Equal(t, "1", next(hasty).Value)
		noise()
		faults.Plan("writer.apply", 1)
		_, err := apply(t, e, set("noise", "k", "v"))
		require.ErrorIs(t, err, kv.RolledBackError)
		must(t, e, set("quiet", "k", "2"))
		require.Equal(t, "2", next(patient).Value)
		require.Equal(t, "2", next(hasty).Value)
		joined()
		noise()
		// The loops hold the first of these in hand and the second in memory.
		values := []string{"3", "4", "5", "6"}
		revisions := make([]uint64, len(values))
		for i, value := range values {
			revisions[i] = must(t, e, set("quiet", "k", value)).Revision
		}
		for _, value := range values {
			require.Equal(t, value, next(patient).Value)
		}
		for event := next(hasty); ; event = next(hasty) {
			if event.Type == kv.EventSet {
				require.Equal(t, revisions[0], event.Revision)
				revisions = revisions[1:]
				continue
			}
			require.Equal(t, kv.Gap{From: revisions[0], To: revisions[len(revisions)-1]}, *event.Gap)
			break
		}
	})
}

// TestCancelledWhileEventsCome: the end of the context ends a loop that always
// finds another event waiting.
func TestCancelledWhileEventsCome(t *testing.T) {
	e := open(t, Config{})
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	feed := e.Subscribe(ctx, context.Background(), kv.SubscribeOptions{Filters: []kv.Filter{{Group: kv.Exactly("g")}}, Progress: time.Millisecond})
	must(t, e, set("other", "k", "v"))
	n, ended := 0, error(nil)
	testkit.Within(t, "the loop", func() {
		// The first is an EventProgress: events come by memory from now on.
		for _, err := range feed {
			if ended = err; err != nil || n > 200 {
				break
			}
			if n++; n == 100 {
				cancel()
			}
			if _, err := e.Apply(context.Background(), set("g", "k", "v")); err != nil {
				t.Error(err)
			}
		}
	})
	require.ErrorIs(t, ended, context.Canceled)
	require.Equal(t, 100, n)
}
