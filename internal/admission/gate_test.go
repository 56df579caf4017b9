package admission_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"forge.lthn.ai/core/go-store/internal/admission"
	"forge.lthn.ai/core/go-store/internal/testkit"
	"forge.lthn.ai/core/go-store/kv"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestMain(m *testing.M) { testkit.Main(m) }

func admit(t *testing.T, g *admission.Gate) *admission.Request {
	t.Helper()
	r, err := g.Admit(t.Context(), kv.Mutation{Key: "k"})
	require.NoError(t, err)
	return r
}

// finish answers a request and receives the answer, as writer and caller do.
func finish(t *testing.T, r *admission.Request) {
	t.Helper()
	_, received := r.Release()
	require.True(t, received)
	_, err := r.Wait(t.Context())
	require.NoError(t, err)
}

func TestGateAdmitsUpToItsLimit(t *testing.T) {
	g := admission.NewGate(3, make(chan struct{}))
	requests := []*admission.Request{admit(t, g), admit(t, g), admit(t, g)}
	require.Equal(t, 3, g.InFlight())

	fourth := make(chan *admission.Request, 1)
	go func() {
		r, err := g.Admit(context.Background(), kv.Mutation{})
		assert.NoError(t, err)
		fourth <- r
	}()
	select {
	case <-fourth:
		t.Fatal("one more than the limit was admitted")
	default:
	}
	finish(t, requests[0])
	r := testkit.Await(t, "the fourth request", fourth)
	require.Equal(t, 3, g.InFlight())
	for _, r := range []*admission.Request{r, requests[1], requests[2]} {
		finish(t, r)
	}
	require.Zero(t, g.InFlight())
}

func TestGateCancelledBeforeAdmission(t *testing.T) {
	g := admission.NewGate(1, make(chan struct{}))
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := g.Admit(ended, kv.Mutation{})
	require.ErrorIs(t, err, context.Canceled, "an ended context is refused though a slot is free")
	require.NotErrorIs(t, err, kv.UnknownOutcomeError)
	require.Zero(t, g.InFlight())

	held := admit(t, g)
	waiting, cancel := context.WithCancel(t.Context())
	refused := make(chan error, 1)
	go func() {
		_, err := g.Admit(waiting, kv.Mutation{})
		refused <- err
	}()
	cancel()
	require.ErrorIs(t, testkit.Await(t, "the waiting caller", refused), context.Canceled)
	require.Equal(t, 1, g.InFlight(), "a caller that gave up waiting holds no slot")
	finish(t, held)
}

func TestGateCloseWaitsForAnswers(t *testing.T) {
	g := admission.NewGate(4, make(chan struct{}))
	first, second := admit(t, g), admit(t, g)
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		g.Close()
	}()
	testkit.Until(t, "the gate's closing", g.Closed)
	_, err := g.Admit(t.Context(), kv.Mutation{})
	require.ErrorIs(t, err, kv.ClosedError)
	finish(t, first)
	select {
	case <-closed:
		t.Fatal("Close returned while a request was unanswered")
	default:
	}
	finish(t, second)
	testkit.Await(t, "Close", closed)
	testkit.Within(t, "a second Close", g.Close)
	_, err = g.Admit(t.Context(), kv.Mutation{})
	require.ErrorIs(t, err, kv.ClosedError)
}

func TestGateCloseRefusesWaitingCallers(t *testing.T) {
	g := admission.NewGate(1, make(chan struct{}))
	held := admit(t, g)
	const callers = 16
	refused := make(chan error, callers)
	for range callers {
		go func() {
			_, err := g.Admit(context.Background(), kv.Mutation{})
			refused <- err
		}()
	}
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		g.Close()
	}()
	for range callers {
		require.ErrorIs(t, testkit.Await(t, "a waiting caller", refused), kv.ClosedError)
	}
	finish(t, held)
	testkit.Await(t, "Close", closed)
}

func TestGateDead(t *testing.T) {
	dead := make(chan struct{})
	g := admission.NewGate(1, dead)
	unanswered := admit(t, g)
	waiting := make(chan error, 1)
	go func() {
		_, err := g.Admit(context.Background(), kv.Mutation{})
		waiting <- err
	}()
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		g.Close()
	}()
	close(dead)
	require.ErrorIs(t, testkit.Await(t, "the waiting caller", waiting), kv.ClosedError)
	testkit.Await(t, "Close of a gate without an actor", closed)
	_, err := unanswered.Wait(t.Context())
	require.ErrorIs(t, err, kv.UnknownOutcomeError)
	require.ErrorIs(t, err, kv.ClosedError)
	require.True(t, g.Closed())
	_, err = g.Admit(t.Context(), kv.Mutation{})
	require.ErrorIs(t, err, kv.ClosedError)
}

func TestGateNeverExceedsItsLimit(t *testing.T) {
	const limit, callers, rounds = 5, 32, 200
	g := admission.NewGate(limit, make(chan struct{}))
	mailbox := make(chan *admission.Request, limit)
	var inFlight, most atomic.Int64
	var answering sync.WaitGroup
	for range 3 { // more than one, so that answers overtake each other
		answering.Go(func() {
			for r := range mailbox {
				r.Resolve(kv.Outcome{Removed: int64(r.Mutation.Limit)}, nil)
				inFlight.Add(-1)
				r.Release()
			}
		})
	}
	testkit.Within(t, "the callers", func() {
		var calling sync.WaitGroup
		for caller := range callers {
			calling.Go(func() {
				for round := range rounds {
					token := caller*rounds + round
					r, err := g.Admit(context.Background(), kv.Mutation{Limit: token})
					if !assert.NoError(t, err) {
						return
					}
					now := inFlight.Add(1)
					for before := most.Load(); now > before && !most.CompareAndSwap(before, now); before = most.Load() {
					}
					select {
					case mailbox <- r: // never full: it has a place for each slot
					default:
						t.Error("more requests than slots")
					}
					outcome, err := r.Wait(context.Background())
					assert.NoError(t, err)
					assert.Equal(t, int64(token), outcome.Removed, "a caller got another's answer")
				}
			})
		}
		calling.Wait()
	})
	close(mailbox)
	answering.Wait()
	require.LessOrEqual(t, most.Load(), int64(limit))
	require.Zero(t, g.InFlight())
	testkit.Within(t, "Close", g.Close)
}

// Close costs what is in flight, not what might be.
func TestGateClosesAtOnceWhateverItsLimit(t *testing.T) {
	const limit = 1_000_000_000
	g := admission.NewGate(limit, make(chan struct{}))
	held := admit(t, g)
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		g.Close()
	}()
	testkit.Until(t, "the gate's closing", g.Closed)
	require.Equal(t, 1, g.InFlight(), "Close holds no slots of its own")
	finish(t, held)
	select {
	case <-closed:
	case <-time.After(time.Second): // a loop over the slots takes a minute
		t.Fatal("Close of an empty gate takes a second")
	}
	require.Zero(t, g.InFlight())
}
