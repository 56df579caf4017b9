package engine

import (
	"context"
	"errors"
	"sync"
	"testing"

	"forge.lthn.ai/core/go-store/internal/commitlog"
	"forge.lthn.ai/core/go-store/internal/testkit"
	"forge.lthn.ai/core/go-store/kv"

	"github.com/stretchr/testify/require"
)

// follower is a subscriber that keeps everything that it is told.
type follower struct {
	options kv.SubscribeOptions
	cancel  context.CancelFunc
	done    chan struct{}

	mu struct {
		sync.Mutex
		events   []kv.Event // without progress and markers
		progress []uint64   // revisions that everything is told of
		others   []kv.Event // markers and gaps
		err      error
	}
}

// follow subscribes until the test ends, the store closes, or stop.
func follow(t *testing.T, e *Engine, options kv.SubscribeOptions) *follower {
	ctx, cancel := context.WithCancel(context.Background())
	f := &follower{options: options, cancel: cancel, done: make(chan struct{})}
	feed := e.Subscribe(ctx, context.Background(), options)
	go func() {
		defer close(f.done)
		for event, err := range feed {
			f.note(event, err)
		}
	}()
	t.Cleanup(func() { f.stop(t) })
	return f
}

func (f *follower) note(event kv.Event, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case err != nil:
		f.mu.err = err
	case event.Type == kv.EventProgress:
		f.mu.progress = append(f.mu.progress, event.Revision)
	case event.Type > kv.EventExpire:
		f.mu.others = append(f.mu.others, event)
	default:
		f.mu.events = append(f.mu.events, event)
		if n := len(f.mu.progress); n > 0 && event.Revision <= f.mu.progress[n-1] {
			f.mu.err = errors.New("an event comes after the progress that includes it")
		}
	}
}

// stop ends the subscription and returns how it ended.
func (f *follower) stop(t *testing.T) error {
	t.Helper()
	f.cancel()
	testkit.Await(t, "the subscription's end", f.done)
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.mu.err
}

// seen are the events so far.
func (f *follower) seen() []kv.Event {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.mu.events
}

// reaches waits until the subscriber knows everything up to a revision, by
// events or by progress.
func (f *follower) reaches(t *testing.T, revision uint64) {
	t.Helper()
	testkit.Until(t, "the subscriber", func() bool {
		f.mu.Lock()
		defer f.mu.Unlock()
		n, m := len(f.mu.events), len(f.mu.progress)
		return n > 0 && f.mu.events[n-1].Revision >= revision || m > 0 && f.mu.progress[m-1] >= revision ||
			f.mu.err != nil
	})
}

// verifyFeeds compares what subscribers were told with the log: the same
// events, each once, in order, those of a request together.
func verifyFeeds(t *testing.T, e *Engine, feeds []*follower) {
	t.Helper()
	current, err := e.Revision(context.Background())
	require.NoError(t, err)
	logged := readLog(t, e)
	for i, f := range feeds {
		var want []kv.Event
		for _, event := range logged {
			if event.Revision <= current && matches(f.options.Filters, event) {
				want = append(want, event)
			}
		}
		if f.options.Progress > 0 {
			f.reaches(t, current)
		}
		// By number: the last revision may have several events, and some of them come later.
		testkit.Until(t, "the subscriber to have all", func() bool { return len(f.seen()) >= len(want) || f.failed() != nil })
		require.NoError(t, f.failed(), "subscriber %d", i)
		seen := f.seen() // expiry goes on meanwhile
		require.Equal(t, want, seen[:len(want)], "subscriber %d", i)
	}
}

// failed is how the subscription has ended, if it has.
func (f *follower) failed() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.mu.err
}

func matches(filters []kv.Filter, event kv.Event) bool {
	for _, filter := range filters {
		if filter.Matches(&event) {
			return true
		}
	}
	return len(filters) == 0
}

// readLog is all events in the log, checked to be dense.
func readLog(t *testing.T, e *Engine) (events []kv.Event) {
	t.Helper()
	var last uint64
	for {
		rows, err := e.reads.Log(context.Background(), last+1, 1<<20)
		require.NoError(t, err)
		if len(rows) == 0 {
			return events
		}
		for _, row := range rows {
			require.Equal(t, last+1, row.First)
			before := len(events)
			events, err = commitlog.Decode(events, row)
			require.NoError(t, err)
			for _, event := range events[before:] {
				require.True(t, event.Revision == last || event.Revision == last+1, "dense")
				last = event.Revision
			}
			require.Equal(t, row.Last, last)
		}
	}
}
