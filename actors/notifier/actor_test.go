package notifier

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"forge.lthn.ai/core/go-store/internal/actorsystem"
	"forge.lthn.ai/core/go-store/internal/admission"
	"forge.lthn.ai/core/go-store/internal/testkit"
	"forge.lthn.ai/core/go-store/kv"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/require"
)

func TestEventsArriveBeforeTheAnswer(t *testing.T) {
	b := start(t, 16, nil)
	w := b.Watch(WatchFilter("", "g", "*"))
	other := b.Watch(WatchFilter("", "other", "*"))
	for i := range 100 {
		event := set("g", "k", fmt.Sprint(i))
		b.deliver(t, event)
		require.Equal(t, []kv.Event{event}, received(w), "the answer came before the event")
	}
	require.Empty(t, received(other))
	require.Zero(t, w.Dropped())
}

func TestSlowWatcherIsToldWhatItLost(t *testing.T) {
	b := start(t, 3, nil)
	slow, fast := b.Watch(WatchFilter("", "*", "*")), b.Watch(WatchFilter("", "*", "*"))
	for i := range 10 {
		b.deliver(t, set("g", "k", fmt.Sprint(i)))
		require.Len(t, received(fast), 1, "a slow watcher costs a fast one nothing")
	}
	require.Equal(t, uint64(7), slow.Dropped())
	require.Equal(t, []kv.Event{set("g", "k", "0"), set("g", "k", "1"), set("g", "k", "2")}, received(slow))
	require.Zero(t, fast.Dropped())
}

func TestLostEventsAreCountedNotSent(t *testing.T) {
	b := start(t, 16, nil)
	w, other := b.Watch(WatchFilter("", "g", "*")), b.Watch(WatchFilter("", "other", "*"))
	b.deliverAs(t, admission.Delivery{Events: []kv.Event{set("g", "a", ""), set("g", "b", "")}, Lost: true})
	require.Empty(t, received(w))
	require.Equal(t, uint64(2), w.Dropped())
	require.Zero(t, other.Dropped())
}

func TestUnwatchClosesOnce(t *testing.T) {
	b := start(t, 16, nil)
	w := b.Watch(WatchFilter("", "g", "k"))
	require.True(t, b.Listening())
	b.deliver(t, set("g", "k", "v"))
	b.Unwatch(w)
	require.False(t, b.Listening())
	require.Equal(t, "v", testkit.Await(t, "what was in the channel", w.Events).Value)
	_, open := <-w.Events
	require.False(t, open)
	b.Unwatch(w)
	b.Unwatch(NewClosedWatcher())
	b.deliver(t, set("g", "k", "w"))
}

// TestUnwatchOfAnothersWatcher: a watcher of one store that is given to
// another by mistake harms neither.
func TestUnwatchOfAnothersWatcher(t *testing.T) {
	a, b := start(t, 16, nil), start(t, 16, nil)
	ofA, ofB := a.Watch(WatchFilter("", "g", "k")), b.Watch(WatchFilter("", "g", "k"))
	b.Unwatch(ofA)
	a.deliver(t, set("g", "k", "v"))
	b.deliver(t, set("g", "k", "w"))
	require.Len(t, received(ofA), 1)
	require.Len(t, received(ofB), 1)
	require.True(t, a.Watched([]kv.Event{set("g", "k", "")}))
	require.True(t, b.Watched([]kv.Event{set("g", "k", "")}))
}

func TestStopClosesEveryWatcher(t *testing.T) {
	b := start(t, 4, nil)
	var watchers []*Watcher
	for i := range 1000 {
		p := WatchFilter("", fmt.Sprint(i%10), fmt.Sprint(i%7))
		if i%3 == 0 {
			p.Key = kv.Match{}
		}
		watchers = append(watchers, b.Watch(p))
	}
	b.stop(t)
	for _, w := range watchers {
		_, open := <-w.Events
		require.False(t, open)
	}
	require.False(t, b.Listening())
	late := b.Watch(WatchFilter("", "g", "k"))
	_, open := <-late.Events
	require.False(t, open, "a watcher on a stopped notifier is closed")
	b.Unwatch(late)
	b.Unwatch(watchers[0])
}

func TestWatchAndUnwatchFromEverywhere(t *testing.T) {
	b := start(t, 4, nil)
	testkit.Within(t, "watching and delivering at once", func() {
		var all sync.WaitGroup
		for i := range 16 {
			all.Go(func() {
				for j := range 50 {
					w := b.Watch(WatchFilter("", fmt.Sprint(i%4), "*"))
					b.Deliver(admission.Delivery{Events: []kv.Event{set(fmt.Sprint(j%4), "k", "v")}})
					b.Watched([]kv.Event{set(fmt.Sprint(i), "k", "v")})
					b.Unwatch(w)
					for range w.Events { // ends: it is closed
					}
				}
			})
		}
		all.Wait()
	})
	require.False(t, b.Listening())
}

// listener is an actor that watches.
type listener struct{ seen chan kv.Event }

func (l listener) Receive(ctx actor.Context) {
	if changed, ok := ctx.Message().(Changed); ok {
		changed.IgnoreDeadLetterLogging()
		l.seen <- changed.Event
	}
}

func TestWatchingActor(t *testing.T) {
	b := start(t, 1, nil)
	l := listener{make(chan kv.Event, 100)}
	pid, err := actorsystem.Spawn(b.system, "listener-", func() actor.Actor { return l })
	require.NoError(t, err)
	first := b.WatchActor(WatchFilter("", "g", "*"), pid)
	second := b.WatchActor(WatchFilter("", "g", "other"), pid)
	require.Nil(t, first.Events)
	for i := range 50 { // far more than a channel would hold
		b.deliver(t, set("g", "k", fmt.Sprint(i)))
	}
	for i := range 50 {
		require.Equal(t, fmt.Sprint(i), testkit.Await(t, "the actor", l.seen).Value)
	}
	b.Unwatch(first)
	b.Unwatch(first)
	b.deliver(t, set("g", "k", "unseen"), set("g", "other", "seen"))
	require.Equal(t, "seen", testkit.Await(t, "the other watcher", l.seen).Value)
	b.Unwatch(second)
	require.False(t, b.Listening())

	// The end of an actor ends what it watches, now or by then.
	third := b.WatchActor(WatchFilter("", "g", "*"), pid)
	fourth := b.WatchActor(WatchFilter("", "*", "*"), pid)
	require.NoError(t, b.system.Root.PoisonFuture(pid).Wait())
	testkit.Until(t, "the notifier's forgetting of the actor", func() bool { return !b.Listening() })
	b.Unwatch(third)
	late := b.WatchActor(WatchFilter("", "g", "*"), pid)
	testkit.Until(t, "the forgetting of an actor that is gone", func() bool { return !b.Listening() })
	b.Unwatch(late)
	b.Unwatch(fourth)
}

func TestAbandonedRequestsGoToTheBackground(t *testing.T) {
	b := start(t, 16, nil)
	seen := make(chan kv.Event, 1)
	unregister := b.callbacks.Register(func(event kv.Event) { seen <- event })
	defer unregister()
	gate := admission.NewGate(1, make(chan struct{}))
	r, err := gate.Admit(t.Context(), kv.Mutation{})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = r.Wait(ctx)
	require.ErrorIs(t, err, kv.UnknownOutcomeError)
	event := set("g", "k", "v")
	r.Resolve(kv.Outcome{Events: []kv.Event{event}}, nil)
	b.Deliver(admission.Delivery{Events: []kv.Event{event}, Requests: []*admission.Request{r}})
	require.Equal(t, event, testkit.Await(t, "the callback", seen))
	require.Zero(t, gate.InFlight())
}
