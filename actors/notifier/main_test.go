package notifier

import (
	"log/slog"
	"testing"

	"forge.lthn.ai/core/go-store/internal/actorsystem"
	"forge.lthn.ai/core/go-store/internal/admission"
	"forge.lthn.ai/core/go-store/internal/failpoint"
	"forge.lthn.ai/core/go-store/internal/testkit"
	"forge.lthn.ai/core/go-store/kv"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/require"
)

func TestMain(m *testing.M) { testkit.Main(m) }

// bench is a notifier alone: no writer and no storage.
type bench struct {
	Ref
	system    *actor.ActorSystem
	callbacks *Callbacks
	dead      chan struct{}
}

// start runs a notifier until the test ends.
func start(t *testing.T, buffer int, hook failpoint.Hook) *bench {
	t.Helper()
	system, release := actorsystem.Acquire()
	logger := slog.New(slog.DiscardHandler)
	b := &bench{system: system, callbacks: NewCallbacks(logger), dead: make(chan struct{})}
	var err error
	b.Ref, err = Spawn(system, Config{Callbacks: b.callbacks, Buffer: buffer, Logger: logger, Failpoint: hook}, b.dead)
	require.NoError(t, err)
	t.Cleanup(func() {
		b.stop(t)
		b.callbacks.Stop()
		release()
	})
	return b
}

func (b *bench) stop(t *testing.T) {
	t.Helper()
	b.Poison()
	testkit.Within(t, "the notifier's end", b.Wait)
}

// deliver hands events over with a request, and waits for its answer: then the
// watchers have them.
func (b *bench) deliver(t *testing.T, events ...kv.Event) {
	t.Helper()
	b.deliverAs(t, admission.Delivery{Events: events})
}

func (b *bench) deliverAs(t *testing.T, d admission.Delivery) {
	t.Helper()
	gate := admission.NewGate(1, make(chan struct{}))
	r, err := gate.Admit(t.Context(), kv.Mutation{})
	require.NoError(t, err)
	r.Resolve(kv.Outcome{Events: d.Events}, nil)
	d.Requests = []*admission.Request{r}
	b.Deliver(d)
	testkit.Within(t, "the answer", func() {
		if outcome, err := r.Wait(t.Context()); err != nil || len(outcome.Events) != len(d.Events) {
			t.Errorf("the answer is %v, %v", outcome, err)
		}
	})
}

// received takes what is in the channel.
func received(w *Watcher) (events []kv.Event) {
	for {
		select {
		case event, open := <-w.Events:
			if !open {
				return events
			}
			events = append(events, event)
		default:
			return events
		}
	}
}

func set(group, key, value string) kv.Event {
	return kv.Event{Type: kv.EventSet, Group: group, Key: key, Value: value}
}
