package notifier

import (
	"fmt"
	"testing"

	"forge.lthn.ai/core/go-store/internal/actorsystem"
	"forge.lthn.ai/core/go-store/internal/admission"
	"forge.lthn.ai/core/go-store/internal/testkit"
	"forge.lthn.ai/core/go-store/kv"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/require"
)

// TestPanicsLoseNoAnswerAndNoEvent: each step fails three times in a row. Every
// caller gets its answer, every watcher the event or the news that it missed
// one, and afterwards all is as before.
func TestPanicsLoseNoAnswerAndNoEvent(t *testing.T) {
	steps := testkit.Steps(t, "actors/notifier")
	require.ElementsMatch(t, steps, []string{
		"notifier.watch", "notifier.unwatch", "notifier.deliver", "notifier.delivered", "notifier.stop",
		"notifier.subscribe", "notifier.unsubscribe", "notifier.mark", "notifier.resynchronise"})
	for _, step := range steps {
		for _, times := range []int{1, 3} {
			t.Run(fmt.Sprintf("%s/%d", step, times), func(t *testing.T) {
				faults := testkit.NewFaults()
				b := start(t, 100, faults.Hook)
				before := b.Watch(WatchFilter("", "g", "*"))
				faults.Plan(step, times)
				const rounds = 10
				chunks := 0
				for i := range rounds {
					s := b.Subscribe([]kv.Filter{WatchFilter("", "g", "k")}, 4)
					require.True(t, s.CaughtUp(s.Behind()), "no caller writes yet")
					w := b.Watch(WatchFilter("", "*", "k"))
					b.deliver(t, set("g", "k", fmt.Sprint(i)), set("g", "l", fmt.Sprint(i)))
					require.Equal(t, 1, len(received(w))+int(w.Dropped()), "round %d", i)
					b.Mark(s, kv.Event{Type: kv.EventProgress})
					b.Resynchronise(0)
					b.Unsubscribe(s)
					require.NotZero(t, s.Behind())
					select {
					case chunk := <-s.Chunks:
						require.Equal(t, []kv.Event{set("g", "k", fmt.Sprint(i))}, chunk)
						chunks++
					default: // a restart had come before
					}
					b.Unwatch(w)
					_, open := <-w.Events
					require.False(t, open)
				}
				require.GreaterOrEqual(t, chunks, rounds-2*times)
				events := received(before)
				require.Equal(t, 2*rounds, len(events)+int(before.Dropped()))
				if step != "notifier.deliver" {
					require.Len(t, events, 2*rounds)
				}
				b.deliver(t, set("g", "k", "last"))
				require.Equal(t, []kv.Event{set("g", "k", "last")}, received(before), "watchers outlive the failure")
				b.stop(t)
				_, open := <-before.Events
				require.False(t, open)
				_, panics := faults.Hits(step)
				require.Equal(t, min(times, map[bool]int{true: 1, false: times}[step == "notifier.stop"]), panics)
			})
		}
	}
}

func TestWatchingActorsOutliveAFailure(t *testing.T) {
	faults := testkit.NewFaults()
	b := start(t, 1, faults.Hook)
	l := listener{make(chan kv.Event, 10)}
	pid, err := actorsystem.Spawn(b.system, "listener-", func() actor.Actor { return l })
	require.NoError(t, err)
	b.WatchActor(WatchFilter("", "g", "*"), pid)
	faults.Plan("notifier.delivered", 1)
	b.deliver(t, set("g", "k", "1"))
	b.deliver(t, set("g", "k", "2"))
	require.Equal(t, "1", testkit.Await(t, "the actor", l.seen).Value)
	require.Equal(t, "2", testkit.Await(t, "the actor", l.seen).Value)
	require.NoError(t, b.system.Root.PoisonFuture(pid).Wait())
	testkit.Until(t, "the forgetting of the actor", func() bool { return !b.Listening() })
}

// TestStoppedFromOutside: any code that shares the system may stop the notifier. What
// it holds is answered, what it never sees its callers learn from done.
func TestStoppedFromOutside(t *testing.T) {
	pause := testkit.NewPause("notifier.delivered")
	b := start(t, 4, pause.Hook)
	w := b.Watch(WatchFilter("", "g", "*"))
	gate := admission.NewGate(2, b.dead)
	var requests []*admission.Request
	for range 2 {
		r, err := gate.Admit(t.Context(), kv.Mutation{})
		require.NoError(t, err)
		requests = append(requests, r)
		b.Deliver(admission.Delivery{Events: []kv.Event{set("g", "k", "v")}, Requests: []*admission.Request{r}})
	}
	testkit.Await(t, "the first delivery", pause.Reached)
	b.system.Root.Stop(b.to.PID) // ahead of the second delivery
	close(pause.Resume)
	testkit.Within(t, "the callers", func() {
		if _, err := requests[0].Wait(t.Context()); err != nil {
			t.Errorf("the delivery in hand: %v", err)
		}
		if _, err := requests[1].Wait(t.Context()); err == nil {
			t.Error("the delivery that was not handled was answered")
		}
	})
	require.Len(t, received(w), 1)
	testkit.Within(t, "Close of the gate", gate.Close)
}

// TestStoppedWhileFailing: a stop that is queued when a step fails overtakes
// the restart.
func TestStoppedWhileFailing(t *testing.T) {
	var b *bench
	armed := make(chan struct{}, 1)
	b = start(t, 4, func(step string) {
		if step != "notifier.deliver" {
			return
		}
		select {
		case <-armed:
			b.system.Root.Stop(b.to.PID)
			panic(testkit.Injected{Step: step})
		default:
		}
	})
	w := b.Watch(WatchFilter("", "g", "*"))
	armed <- struct{}{}
	b.deliver(t, set("g", "k", "v"))
	testkit.Within(t, "the notifier's end", b.Wait)
	for range w.Events { // ends: it is closed
	}
}
