package api_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"runtime"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"forge.lthn.ai/core/go-store/api"
	"forge.lthn.ai/core/go-store/internal/testkit"
)

// subscriber runs a loop over a feed that hands each event over when the test
// asks for it, and stands still until then.
type subscriber struct {
	t      *testing.T
	events chan api.Event
	ended  chan struct{}
	err    error // once it has ended
}

type subscribing interface {
	Subscribe(ctx context.Context, options api.SubscribeOptions) iter.Seq2[api.Event, error]
}

// subscribe subscribes until the test ends.
func subscribe(t *testing.T, store subscribing, options api.SubscribeOptions) *subscriber {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	s := &subscriber{t: t, events: make(chan api.Event), ended: make(chan struct{})}
	feed := store.Subscribe(ctx, options)
	go func() {
		defer close(s.ended)
		for event, err := range feed {
			if err != nil {
				s.err = err
				continue // were there another, it would stand in its place
			}
			select {
			case s.events <- event:
			case <-ctx.Done():
			}
		}
	}()
	t.Cleanup(func() {
		cancel()
		testkit.Await(t, "the subscription's end", s.ended)
	})
	return s
}

// next is the next event.
func (s *subscriber) next() (event api.Event) {
	s.t.Helper()
	testkit.Within(s.t, "the next event", func() {
		select {
		case event = <-s.events:
		case <-s.ended:
			s.t.Errorf("the subscription has ended: %v", s.err)
		}
	})
	return event
}

// nexts is so many events, without their times.
func (s *subscriber) nexts(n int) (all []change) {
	s.t.Helper()
	for range n {
		all = append(all, changeOf(s.next()))
	}
	return all
}

// end is how it ended, without another event.
func (s *subscriber) end() error {
	s.t.Helper()
	testkit.Await(s.t, "the end", s.ended)
	return s.err
}

// quiet checks that nothing has come: what is written now is the next.
func (s *subscriber) quiet(store *api.Store, group string) {
	s.t.Helper()
	require.NoError(s.t, store.Set(group, "quiet", ""))
	require.Equal(s.t, change{api.EventSet, group, "quiet", ""}, changeOf(s.next()))
}

// fillOneByOne writes n keys of group g, each with a revision of its own.
func fillOneByOne(t *testing.T, store *api.Store, n int) {
	t.Helper()
	for i := range n {
		require.NoError(t, store.Set("g", strconv.Itoa(i), "v"))
	}
}

func TestSubscribe_FromARevision(t *testing.T) {
	forEachStore(t, func(t *testing.T, open func(...api.Option) *api.Store) {
		store := open()
		fillOneByOne(t, store, 5)
		current, err := store.Revision()
		require.NoError(t, err)
		feeds := map[uint64]*subscriber{}
		for from := range current + 2 {
			feeds[from] = subscribe(t, store, api.SubscribeOptions{From: from})
		}
		require.NoError(t, store.Set("g", "next", "v"))
		for from, feed := range feeds {
			if from == 0 { // from now
				from = current + 1
			}
			for revision := from; revision <= current+1; revision++ {
				require.Equal(t, revision, feed.next().Revision, "from %d", from)
			}
		}
		for _, from := range []uint64{current + 3, 1 << 63, ^uint64(0)} {
			var future *api.FutureRevisionError
			err = subscribe(t, store, api.SubscribeOptions{From: from}).end()
			require.ErrorAs(t, err, &future)
			require.Equal(t, api.FutureRevisionError{Requested: from, Current: current + 1}, *future)
			require.EqualError(t, err, fmt.Sprintf("store.Subscribe: revision %d lies in the future, the current one is %d: "+
				"is this the store that the revision came from? begin from the current state", from, current+1))
		}
	})
}

func TestSubscribe_CompactedRevisions(t *testing.T) {
	forEachStore(t, func(t *testing.T, open func(...api.Option) *api.Store) {
		store := open(api.WithHistory(api.Retention{Revisions: 10}), api.WithDurability(api.DurabilityBuffered), api.WithOverlay(0)) // which would keep what the table lacks
		slow := subscribe(t, store, api.SubscribeOptions{From: 1, Buffer: 1})
		skipping := subscribe(t, store, api.SubscribeOptions{From: 1, Buffer: 1, Slow: api.SlowSkip})
		require.NoError(t, store.Set("g", "k", "0"))
		require.EqualValues(t, 1, slow.next().Revision)
		require.EqualValues(t, 1, skipping.next().Revision)
		for i := range 99 {
			require.NoError(t, store.Set("g", "k", strconv.Itoa(i)))
		}
		var compacted *api.CompactedError
		require.ErrorAs(t, subscribe(t, store, api.SubscribeOptions{From: 1}).end(), &compacted)
		require.EqualValues(t, 1, compacted.Requested)
		oldest := compacted.Oldest
		require.True(t, oldest > 80 && oldest <= 91, "%d", oldest)
		require.Equal(t, oldest, subscribe(t, store, api.SubscribeOptions{From: oldest}).next().Revision)
		require.ErrorAs(t, subscribe(t, store, api.SubscribeOptions{From: oldest - 1}).end(), &compacted)
		require.Equal(t, api.CompactedError{Requested: oldest - 1, Oldest: oldest}, *compacted)

		gap := subscribe(t, store, api.SubscribeOptions{From: 5, Slow: api.SlowSkip}).next()
		require.Equal(t, api.EventGap, gap.Type)
		require.Equal(t, api.Gap{From: 5, To: oldest - 1}, *gap.Gap)

		// A subscriber that was there before and is too slow is told what it has missed.
		last := max(slow.drain(), 1)
		require.ErrorAs(t, slow.end(), &compacted)
		require.Equal(t, last+1, compacted.Requested)
		require.LessOrEqual(t, compacted.Oldest, oldest, "it may have looked before the last of the trims")
		require.Greater(t, compacted.Oldest, last+1)
		gaps := 0
		for revision := uint64(2); revision <= 100; revision++ {
			event := skipping.next()
			if event.Type == api.EventGap { // more than one, if it looked in between
				require.Equal(t, revision, event.Gap.From)
				require.GreaterOrEqual(t, event.Gap.To, revision)
				gaps, revision = gaps+1, event.Gap.To
				continue
			}
			require.Equal(t, revision, event.Revision)
		}
		require.Positive(t, gaps)
	})
}

// drain takes what there is until the end, and returns the last revision.
func (s *subscriber) drain() (last uint64) {
	s.t.Helper()
	testkit.Within(s.t, "the end", func() {
		for {
			select {
			case event := <-s.events:
				last = event.Revision
			case <-s.ended:
				return
			}
		}
	})
	return last
}

// A file that another program filled has no log: it begins with the first write.
func TestSubscribe_MigratedStore(t *testing.T) {
	path := newPath(t)
	execute(t, path, `CREATE TABLE kv (grp TEXT NOT NULL, key TEXT NOT NULL, value TEXT NOT NULL, PRIMARY KEY (grp, key))`,
		`INSERT INTO kv VALUES ('config', 'theme', 'dark')`)
	store := openStore(t, path)
	base, err := store.Revision()
	require.NoError(t, err)
	state := subscribe(t, store, api.SubscribeOptions{State: true})
	row, synced := state.next(), state.next()
	require.Equal(t, change{api.EventSet, "config", "theme", "dark"}, changeOf(row))
	require.EqualValues(t, 1, row.Revision)
	require.Equal(t, api.EventSynced, synced.Type)
	require.Equal(t, base, synced.Revision)
	require.NoError(t, store.Set("config", "theme", "light"))
	require.Equal(t, base+1, state.next().Revision)
	require.Equal(t, base+1, subscribe(t, store, api.SubscribeOptions{From: base + 1}).next().Revision)
}

func TestSubscribe_ConflictingOptions(t *testing.T) {
	store := openStore(t, ":memory:")
	for name, options := range map[string]api.SubscribeOptions{
		"State and From":    {State: true, From: 1},
		"negative Buffer":   {Buffer: -1},
		"huge Buffer":       {Buffer: 1<<30 + 1},
		"unknown policy":    {Slow: 7},
		"negative policy":   {Slow: -1},
		"negative Progress": {Progress: -time.Second},
	} {
		for _, target := range []subscribing{store, newScope(t, store, "n")} {
			require.ErrorIs(t, subscribe(t, target, options).end(), api.InvalidOptionError, name)
		}
	}
}

func TestSubscribe_SlowCatchUpLosesNothing(t *testing.T) {
	forEachStore(t, func(t *testing.T, open func(...api.Option) *api.Store) {
		store := open(api.WithDurability(api.DurabilityBuffered))
		s := joined(t, store, api.SubscribeOptions{Buffer: 1})
		for i := range 1000 {
			require.NoError(t, store.Set("g", strconv.Itoa(i), "v"))
		}
		for i := 0; i < 1000; {
			if event := s.next(); event.Type != api.EventProgress {
				require.Equal(t, strconv.Itoa(i), event.Key)
				i++
			}
		}
	})
}

// The subscriber stands at one event while more come than fit: one stays in
// memory, and everything after it is missed, to the revision.
func TestSubscribe_SlowSkipIsExactAboutItsGap(t *testing.T) {
	forEachStore(t, func(t *testing.T, open func(...api.Option) *api.Store) {
		store := open()
		s := joined(t, store, api.SubscribeOptions{Slow: api.SlowSkip, Buffer: 1})
		for i := range 10 {
			require.NoError(t, store.Set("g", strconv.Itoa(i), "v"))
			require.NoError(t, store.Set("noise", strconv.Itoa(i), "v"))
		}
		current, err := store.Revision()
		require.NoError(t, err)
		var seen []api.Event
		for event := s.next(); ; event = s.next() {
			if event.Type == api.EventGap {
				last := seen[len(seen)-1]
				require.Equal(t, api.Gap{From: last.Revision + 2, To: current}, *event.Gap, "not the noise before it")
				require.Equal(t, current, event.Revision)
				break
			}
			require.Equal(t, strconv.Itoa(len(seen)), event.Key)
			seen = append(seen, event)
		}
		require.Less(t, len(seen), 4)
		s.quiet(store, "g")
	})
}

// joined is a subscriber of group g whose events come by memory.
func joined(t *testing.T, store *api.Store, options api.SubscribeOptions) *subscriber {
	t.Helper()
	options.Filters = []api.Filter{{Group: api.Exactly("g")}}
	options.Progress = 10 * time.Millisecond
	s := subscribe(t, store, options)
	require.NoError(t, store.Set("joined", "k", "v"))
	for s.next().Type != api.EventProgress { // no mark comes while it reads the log
	}
	return s
}

func TestSubscribe_SlowEndEnds(t *testing.T) {
	forEachStore(t, func(t *testing.T, open func(...api.Option) *api.Store) {
		store := open()
		s := joined(t, store, api.SubscribeOptions{Slow: api.SlowEnd, Buffer: 1})
		before, err := store.Revision()
		require.NoError(t, err)
		for i := range 10 {
			require.NoError(t, store.Set("g", strconv.Itoa(i), "v"))
		}
		last := s.drain()
		require.ErrorIs(t, s.end(), api.SlowConsumerError)
		require.EqualError(t, s.end(), "store.Subscribe: the subscriber is too slow")
		require.Less(t, last-before, uint64(4))
		again := subscribe(t, store, api.SubscribeOptions{From: last + 1, Slow: api.SlowEnd})
		require.Equal(t, last+1, again.next().Revision, "and may resume where it ended")
	})
}

// A commit that is larger than the buffer does not make a subscriber slow.
func TestSubscribe_LargeCommits(t *testing.T) {
	store := openStore(t, ":memory:")
	for _, policy := range []api.SlowPolicy{api.SlowSkip, api.SlowEnd} {
		s := joined(t, store, api.SubscribeOptions{Slow: policy, Buffer: 2})
		for range 5 {
			batch := new(api.Batch)
			for i := range 20 {
				batch.Set("g", strconv.Itoa(i), "v")
			}
			revision, err := store.Batch(batch)
			require.NoError(t, err)
			for i := 0; i < 20; {
				if event := s.next(); event.Type != api.EventProgress {
					require.Equal(t, strconv.Itoa(i), event.Key)
					require.Equal(t, revision, event.Revision)
					i++
				}
			}
		}
	}
}

// replica is what a subscriber makes of the state and the changes.
type replica map[[2]string]api.Event

func (r replica) apply(e api.Event) {
	switch e.Type {
	case api.EventSet:
		r[[2]string{e.Group, e.Key}] = e
	case api.EventDelete, api.EventExpire:
		delete(r, [2]string{e.Group, e.Key})
	case api.EventDeleteGroup:
		maps.DeleteFunc(r, func(name [2]string, _ api.Event) bool { return name[0] == e.Group })
	}
}

// untimed is the replica without what the state does not tell.
func (r replica) untimed() replica {
	bare := replica{}
	for name, event := range r {
		event.Timestamp = time.Time{}
		bare[name] = event
	}
	return bare
}

// State and changes together are the store, at every mark, while others write.
func TestSubscribe_StateThenChanges(t *testing.T) {
	forEachStore(t, func(t *testing.T, open func(...api.Option) *api.Store) {
		store := open(api.WithDurability(api.DurabilityBuffered))
		write := func(id, rounds int) error {
			for i := range rounds {
				group, key := fmt.Sprint("g", i%3), fmt.Sprint(id, i%7)
				if err := store.Set(group, key, fmt.Sprint(i)); err != nil {
					return err
				}
				if i%5 == 0 {
					if err := store.Delete(group, key); err != nil {
						return err
					}
				}
				if i%3 == 0 {
					if err := store.Set("noise", key, "v"); err != nil {
						return err
					}
				}
				if i%31 == 30 {
					if err := store.DeleteGroup(group); err != nil {
						return err
					}
				}
				batch := new(api.Batch).SetWithTTL("g0", key, "a", time.Hour).Set("g1", key, "b").Increment("n", "n", 1)
				if _, err := store.Batch(batch); err != nil {
					return err
				}
			}
			return nil
		}
		require.NoError(t, write(9, 100))
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		writing, joined := make(chan error, 1), make(chan struct{})
		var done atomic.Uint64 // the last revision, once all is written
		go func() {
			err := together(4, func(i int) error { return write(i, 100) })
			select { // a subscriber that has the state has changes yet to come
			case <-joined:
			case <-ctx.Done():
			}
			err = errors.Join(err, write(5, 1))
			last, failed := store.Revision()
			done.Store(last)
			// What comes after it, a mark at least, ends the loop below.
			writing <- errors.Join(err, failed, store.Set("other", "k", "v"))
		}()
		options := api.SubscribeOptions{State: true, Buffer: 3, Progress: time.Millisecond,
			Filters: []api.Filter{{Group: api.Prefix("g")}, {Group: api.Exactly("n"), Key: api.Prefix("n")}}}
		marks, synced := map[uint64]replica{}, 0
		copied := replica{}
		testkit.Within(t, "the subscriber", func() {
			for event, err := range store.Subscribe(ctx, options) {
				if !assert.NoError(t, err) {
					return
				}
				switch event.Type {
				case api.EventSynced:
					if synced++; synced == 1 {
						close(joined)
					}
					fallthrough
				case api.EventProgress:
					marks[event.Revision] = maps.Clone(copied)
				default:
					assert.Equal(t, synced == 0, event.Timestamp.IsZero(), "%v", event)
					copied.apply(event)
				}
				if last := done.Load(); last > 0 && event.Revision > last {
					return
				}
			}
		})
		require.NoError(t, testkit.Await(t, "the writers", writing))
		require.Equal(t, 1, synced)
		require.Greater(t, len(marks), 1)
		original := replica{}
		options.State, options.From = false, 1
		for event, err := range store.Subscribe(ctx, options) {
			require.NoError(t, err)
			for at, marked := range marks {
				if event.Revision > at {
					require.Equal(t, original.untimed(), marked.untimed(), "at revision %d", at)
					delete(marks, at)
				}
			}
			original.apply(event)
			if event.Revision > done.Load() {
				break
			}
		}
		all, err := store.GetAll("g0")
		require.NoError(t, err)
		for name, event := range copied {
			entry, err := store.Entry(name[0], name[1])
			require.NoError(t, err)
			require.Equal(t, api.Entry{Value: event.Value, Revision: event.Revision, ExpiresAt: event.ExpiresAt}, entry)
			delete(all, name[1])
		}
		require.Empty(t, all)
	})
}

func TestSubscribe_StateOfAFilter(t *testing.T) {
	forEachStore(t, func(t *testing.T, open func(...api.Option) *api.Store) {
		clock := testkit.NewClock()
		store := open(api.WithClock(clock), api.WithPurgeInterval(time.Hour))
		for _, group := range []string{"a", "ab", "b", "a\xff", ""} {
			require.NoError(t, store.Set(group, "k", group))
			require.NoError(t, store.Set(group, "l", group))
		}
		require.NoError(t, store.SetWithTTL("ab", "dead", "v", time.Second))
		clock.Advance(time.Second)
		require.NoError(t, store.SetWithTTL("ab", "mortal", "v", time.Second))
		for _, test := range []struct {
			filters []api.Filter
			want    []string
		}{
			{nil, []string{"/k", "/l", "a/k", "a/l", "ab/k", "ab/l", "ab/mortal", "a\xff/k", "a\xff/l", "b/k", "b/l"}},
			{[]api.Filter{{Group: api.Exactly("ab")}}, []string{"ab/k", "ab/l", "ab/mortal"}},
			{[]api.Filter{{Group: api.Prefix("ab"), Key: api.Prefix("m")}}, []string{"ab/mortal"}},
			{[]api.Filter{{Key: api.Exactly("k")}}, []string{"/k", "a/k", "ab/k", "a\xff/k", "b/k"}},
			{[]api.Filter{{Group: api.Prefix("a"), Key: api.Exactly("k")}, {Group: api.Prefix("ab")}, {Group: api.Exactly("")}, {Group: api.Exactly("")}},
				[]string{"/k", "/l", "a/k", "ab/k", "ab/l", "ab/mortal", "a\xff/k"}},
			{[]api.Filter{{Group: api.Prefix("\xff")}}, nil},
		} {
			s := subscribe(t, store, api.SubscribeOptions{State: true, Filters: test.filters})
			for _, want := range test.want {
				event := s.next()
				require.Equal(t, want, event.Group+"/"+event.Key)
				require.Equal(t, api.EventSet, event.Type)
				entry, err := store.Entry(event.Group, event.Key)
				require.NoError(t, err)
				require.Equal(t, entry, api.Entry{Value: event.Value, Revision: event.Revision, ExpiresAt: event.ExpiresAt})
			}
			require.Equal(t, api.EventSynced, s.next().Type)
		}
	})
}

// What came by memory and what is read from the log can't be told apart.
func TestSubscribe_LiveAndLoggedEventsAreEqual(t *testing.T) {
	forEachStore(t, func(t *testing.T, open func(...api.Option) *api.Store) {
		clock := testkit.NewClock()
		store := open(api.WithClock(clock), api.WithPurgeInterval(time.Hour))
		watcher := store.Watch("*", "*")
		live := subscribe(t, store, api.SubscribeOptions{Buffer: 100})
		require.NoError(t, store.Set("g", "first", "v"))
		events := []api.Event{live.next()} // it has read the log, or is about to
		require.NoError(t, store.SetWithTTL("g", "k\x00\xff", "v\xfe", 1500*time.Microsecond))
		clock.Advance(time.Second)
		require.NoError(t, store.Set("g", "k\x00\xff", "v"))
		_, err := store.Batch(new(api.Batch).Set("g", "", "").Delete("g", "").SetWithTTL("h", "k", "v", time.Hour).DeletePrefix(""))
		require.NoError(t, err)
		for len(events) < 9 {
			events = append(events, live.next())
		}
		logged := subscribe(t, store, api.SubscribeOptions{From: 1})
		for _, event := range events {
			require.Equal(t, event, logged.next())
			require.Equal(t, event, next(t, watcher))
		}
		require.Equal(t, api.EventExpire, events[2].Type)
		require.Equal(t, events[1].ExpiresAt, events[1].Timestamp.Add(time.Millisecond).Truncate(time.Millisecond))
	})
}

func TestSubscribe_Scoped(t *testing.T) {
	forEachStore(t, func(t *testing.T, open func(...api.Option) *api.Store) {
		store := open()
		scope := newScope(t, store, "a")
		require.NoError(t, scope.Set("before", "k", "v"))
		all := subscribe(t, scope, api.SubscribeOptions{From: 1})
		state := subscribe(t, scope, api.SubscribeOptions{State: true})
		set := func(group, key, value string) change { return change{api.EventSet, group, key, value} }
		require.Equal(t, []change{set("a:before", "k", "v"), {Type: api.EventSynced}}, state.nexts(2))
		one := subscribe(t, scope, api.SubscribeOptions{Filters: []api.Filter{{Group: api.Exactly("g"), Key: api.Exactly("k")}, {Group: api.Prefix("h")}}})
		for _, group := range []string{"g", "a", "a:", "b:g", "a;", "aa:g", "A:g"} {
			require.NoError(t, store.Set(group, "k", "v"))
		}
		require.NoError(t, scope.Set("g", "k", "1"))
		require.NoError(t, scope.Set("g", "l", "2"))
		require.NoError(t, scope.Set("hh", "l", "3"))
		require.NoError(t, scope.DeletePrefix(""))
		gone := func(group string) change { return change{Type: api.EventDeleteGroup, Group: group} }
		require.Equal(t, []change{set("a:before", "k", "v"), set("a:", "k", "v"), set("a:g", "k", "1"), set("a:g", "l", "2"), set("a:hh", "l", "3"),
			gone("a:"), gone("a:before"), gone("a:g"), gone("a:hh")}, all.nexts(9))
		require.Equal(t, []change{set("a:", "k", "v"), set("a:g", "k", "1")}, state.nexts(2))
		require.Equal(t, []change{set("a:g", "k", "1"), set("a:hh", "l", "3"), gone("a:g"), gone("a:hh")}, one.nexts(4))
	})
}

// A subscription may be made from anywhere that user code runs.
func TestSubscribe_FromWithin(t *testing.T) {
	forEachStore(t, func(t *testing.T, open func(...api.Option) *api.Store) {
		store := open()
		fillOneByOne(t, store, 3)
		first := func() (event api.Event) {
			for event, err := range store.Subscribe(context.Background(), api.SubscribeOptions{From: 1}) {
				assert.NoError(t, err)
				return event
			}
			return event
		}
		testkit.Within(t, "subscriptions within loops and callbacks", func() {
			unregister := store.OnChange(func(api.Event) { assert.EqualValues(t, 1, first().Revision) })
			assert.NoError(t, store.Set("g", "k", "v"))
			unregister()
			for range store.All("g") {
				assert.EqualValues(t, 1, first().Revision)
			}
			n := 0
			for event := range store.Subscribe(context.Background(), api.SubscribeOptions{From: 2}) {
				assert.EqualValues(t, 1, first().Revision)
				assert.NoError(t, store.Set("g", "nested", "v"))
				if n++; n == 20 {
					assert.EqualValues(t, 21, event.Revision)
					break
				}
			}
		})
	})
}

// Loops end with one error, or without one if they are left; the next begins
// where the first did.
func TestSubscribe_Ends(t *testing.T) {
	forEachStore(t, func(t *testing.T, open func(...api.Option) *api.Store) {
		store := open()
		fillOneByOne(t, store, 3)
		ended, cancel := context.WithCancel(context.Background())
		feed := store.Subscribe(ended, api.SubscribeOptions{From: 1})
		for range 2 {
			n := 0
			for _, err := range feed {
				require.NoError(t, err)
				if n++; n == 2 {
					break
				}
			}
			require.Equal(t, 2, n)
		}
		cancel()
		for _, err := range feed {
			require.ErrorIs(t, err, context.Canceled)
		}
		waiting := subscribe(t, store, api.SubscribeOptions{})
		slow := subscribe(t, store, api.SubscribeOptions{From: 1})
		require.NoError(t, store.Close())
		slow.drain()
		for _, s := range []*subscriber{waiting, slow, subscribe(t, store, api.SubscribeOptions{}), subscribe(t, store, api.SubscribeOptions{State: true}),
			subscribe(t, store, api.SubscribeOptions{From: 1 << 50})} {
			require.ErrorIs(t, s.end(), api.ClosedError)
			require.EqualError(t, s.end(), "store.Subscribe: store is closed")
		}
	})
}

// Even a loop whose body panics, or ends its goroutine, leaves nothing behind:
// goleak and the next subscriber would notice.
func TestSubscribe_LoopsThatFail(t *testing.T) {
	store := openStore(t, ":memory:")
	fillOneByOne(t, store, 3)
	require.PanicsWithValue(t, "in the body", func() {
		for range store.Subscribe(context.Background(), api.SubscribeOptions{From: 1}) {
			panic("in the body")
		}
	})
	require.PanicsWithValue(t, "in the body of a state", func() {
		for range store.Subscribe(context.Background(), api.SubscribeOptions{State: true}) {
			panic("in the body of a state")
		}
	})
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range store.Subscribe(context.Background(), api.SubscribeOptions{From: 1}) {
			runtime.Goexit()
		}
	}()
	testkit.Await(t, "the goroutine", done)
	subscribe(t, store, api.SubscribeOptions{}).quiet(store, "g")
}

// A read-only store follows the owner of the file, over the owner's end and into
// the next one's time.
func TestSubscribe_ReadOnly(t *testing.T) {
	path := newPath(t)
	owner := openStore(t, path, api.WithHistory(api.Retention{Revisions: 20}), api.WithDurability(api.DurabilityBuffered))
	require.NoError(t, owner.Set("g", "k", "1"))
	reader := openStore(t, path, api.WithReadOnly())
	now := subscribe(t, reader, api.SubscribeOptions{})
	all := subscribe(t, reader, api.SubscribeOptions{From: 1})
	state := subscribe(t, newScope(t, reader, "n"), api.SubscribeOptions{State: true, Progress: time.Millisecond})
	require.Equal(t, api.EventSynced, state.next().Type)
	require.Equal(t, "1", all.next().Value)
	require.NoError(t, owner.Set("g", "k", "2"))
	require.Equal(t, "2", now.next().Value)
	mark := state.next()
	require.Equal(t, api.EventProgress, mark.Type)
	require.EqualValues(t, 2, mark.Revision)
	require.NoError(t, owner.Close())
	owner = openStore(t, path, api.WithHistory(api.Retention{Revisions: 20}), api.WithDurability(api.DurabilityBuffered))
	require.NoError(t, owner.Set("n:g", "k", "3"))
	for state.next().Type == api.EventProgress {
	}
	require.Equal(t, "3", now.next().Value)

	var future *api.FutureRevisionError
	require.ErrorAs(t, subscribe(t, reader, api.SubscribeOptions{From: 5}).end(), &future)
	require.Equal(t, api.FutureRevisionError{Requested: 5, Current: 3}, *future)
	for i := range 100 { // all stands at its second event
		require.NoError(t, owner.Set("g", "k", strconv.Itoa(i)))
	}
	require.NoError(t, owner.Fold(t.Context())) // the log keeps what the table lacks
	require.NoError(t, owner.Set("g", "k", "last"))
	var compacted *api.CompactedError
	last := all.drain()
	require.ErrorAs(t, all.end(), &compacted)
	require.Equal(t, last+1, compacted.Requested)
	waiting := subscribe(t, reader, api.SubscribeOptions{})
	require.NoError(t, reader.Close())
	require.ErrorIs(t, waiting.end(), api.ClosedError)
}
