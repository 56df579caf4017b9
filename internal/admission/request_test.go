package admission_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"testing"

	"forge.lthn.ai/core/go-store/internal/admission"
	"forge.lthn.ai/core/go-store/internal/testkit"
	"forge.lthn.ai/core/go-store/kv"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestRequestAnswer(t *testing.T) {
	g := admission.NewGate(1, make(chan struct{}))
	r := admit(t, g)
	cause := errors.New("disk full")
	r.Resolve(kv.Outcome{Removed: 1}, nil)
	r.Resolve(kv.Outcome{Removed: 7}, cause) // the last one counts
	outcome, received := r.Release()
	require.True(t, received)
	require.Equal(t, int64(7), outcome.Removed)
	require.Equal(t, 1, g.InFlight(), "the slot is the caller's until it has received the answer")
	got, err := r.Wait(t.Context())
	require.Equal(t, cause, err)
	require.Equal(t, int64(7), got.Removed)
	require.Zero(t, g.InFlight())
}

func TestRequestAnswerBeatsContext(t *testing.T) {
	// The answer is there and the context has ended: whichever Wait looks at
	// first, a caller that was answered is told the answer or that it is
	// unknown, and the slot comes back once.
	for range 200 {
		g := admission.NewGate(1, make(chan struct{}))
		r := admit(t, g)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, received := r.Release()
		require.True(t, received)
		_, err := r.Wait(ctx)
		require.NoError(t, err, "Release said that the caller received it")
		require.Zero(t, g.InFlight())
	}
}

func TestAbandonedRequestKeepsItsSlotUntilAnswered(t *testing.T) {
	g := admission.NewGate(1, make(chan struct{}))
	r := admit(t, g)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := r.Wait(ctx)
	require.ErrorIs(t, err, kv.UnknownOutcomeError)
	require.ErrorIs(t, err, context.Canceled)
	require.Equal(t, 1, g.InFlight(), "it was not answered yet")
	require.Equal(t, "k", r.Mutation.Key, "the answerer still needs the mutation")

	events := []kv.Event{{Key: "k"}}
	r.Resolve(kv.Outcome{Events: events}, nil)
	outcome, received := r.Release()
	require.False(t, received)
	require.Equal(t, events, outcome.Events, "the answerer gets what no caller receives")
	require.Zero(t, g.InFlight())
	testkit.Within(t, "Close", g.Close)
}

func TestCloseWaitsForAbandonedRequests(t *testing.T) {
	g := admission.NewGate(2, make(chan struct{}))
	r := admit(t, g)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := r.Wait(ctx)
	require.ErrorIs(t, err, kv.UnknownOutcomeError)
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		g.Close()
	}()
	testkit.Until(t, "the gate's closing", g.Closed)
	select {
	case <-closed:
		t.Fatal("Close returned before the abandoned request was answered")
	default:
	}
	r.Release()
	testkit.Await(t, "Close", closed)
}

// TestPoolNeverMixesAnswers has callers leave at every moment there is, so that
// requests are recycled while answers to others are on their way.
func TestPoolNeverMixesAnswers(t *testing.T) {
	const callers, rounds = 16, 400
	g := admission.NewGate(8, make(chan struct{}))
	mailbox := make(chan *admission.Request, 8)
	var answering sync.WaitGroup
	for range 2 {
		answering.Go(func() {
			for r := range mailbox {
				r.Resolve(kv.Outcome{Removed: int64(r.Mutation.Limit)}, nil)
				r.Release()
			}
		})
	}
	testkit.Within(t, "the callers", func() {
		var calling sync.WaitGroup
		for caller := range callers {
			calling.Go(func() {
				random := rand.New(rand.NewPCG(1, uint64(caller)))
				for round := range rounds {
					token := caller*rounds + round + 1
					ctx, cancel := context.WithCancel(context.Background())
					r, err := g.Admit(ctx, kv.Mutation{Limit: token})
					if !assert.NoError(t, err) {
						cancel()
						return
					}
					leaves := random.IntN(2) == 0
					if leaves && random.IntN(2) == 0 {
						cancel()
					}
					mailbox <- r
					if leaves {
						cancel()
					}
					outcome, err := r.Wait(ctx)
					if err == nil {
						assert.Equal(t, int64(token), outcome.Removed, "a caller got another's answer")
					} else {
						assert.ErrorIs(t, err, kv.UnknownOutcomeError)
						assert.True(t, leaves)
					}
					cancel()
				}
			})
		}
		calling.Wait()
	})
	close(mailbox)
	answering.Wait()
	require.Zero(t, g.InFlight())
}
