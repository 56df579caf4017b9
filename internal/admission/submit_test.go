package admission_test

import (
	"errors"
	"sync"
	"testing"
	"time"

	"forge.lthn.ai/core/go-store/internal/admission"
	"forge.lthn.ai/core/go-store/internal/testkit"
	"forge.lthn.ai/core/go-store/kv"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// told is a caller that is answered without waiting.
type told struct {
	gate     *admission.Gate
	inFlight int // when the answer came
	outcome  kv.Outcome
	err      error
	times    int
}

func (a *told) Answered(outcome kv.Outcome, err error) {
	a.inFlight, a.outcome, a.err = a.gate.InFlight(), outcome, err
	a.times++
}

func (*told) Lane() uint64 { return 7 }

func TestTryAdmit(t *testing.T) {
	g := admission.NewGate(1, make(chan struct{}))
	to := &told{gate: g}
	r, err := g.TryAdmit(kv.Mutation{Key: "k"}, to)
	require.NoError(t, err)
	_, err = g.TryAdmit(kv.Mutation{}, to)
	require.ErrorIs(t, err, kv.BusyError)
	cause := errors.New("disk full")
	r.Resolve(kv.Outcome{Removed: 7}, cause)
	outcome, received := r.Release()
	require.False(t, received, "callbacks are for another goroutine to run")
	require.EqualValues(t, 7, outcome.Removed)
	require.Equal(t, &told{gate: g, outcome: kv.Outcome{Removed: 7}, err: cause, times: 1}, to, "the slot is free by then")
	r.Recycle()
	finish(t, admit(t, g)) // a caller that waits may have the same one
	testkit.Within(t, "Close", g.Close)
	_, err = g.TryAdmit(kv.Mutation{}, to)
	require.ErrorIs(t, err, kv.ClosedError)
	require.Equal(t, 1, to.times)
}

// Either the answer counts or the abandonment, and the slot comes back once.
func TestAbandon(t *testing.T) {
	for range 500 {
		dead := make(chan struct{})
		g := admission.NewGate(2, dead)
		to := &told{gate: g}
		r, err := g.TryAdmit(kv.Mutation{}, to)
		require.NoError(t, err)
		var both sync.WaitGroup
		abandoned := false
		both.Go(func() { r.Release() })
		both.Go(func() { abandoned = r.Abandon() })
		both.Wait()
		require.Equal(t, abandoned, to.times == 0)
		require.Zero(t, g.InFlight())
		close(dead)
		_, err = g.TryAdmit(kv.Mutation{}, to)
		require.ErrorIs(t, err, kv.ClosedError)
	}
}

// Callers that wait and callers that can't share the slots, and none has another's answer.
func TestTryAdmitBesideAdmit(t *testing.T) {
	const limit, callers, rounds = 4, 8, 300
	g := admission.NewGate(limit, make(chan struct{}))
	mailbox := make(chan *admission.Request, limit)
	var answering sync.WaitGroup
	answering.Go(func() {
		for r := range mailbox {
			r.Resolve(kv.Outcome{Removed: int64(r.Mutation.Limit)}, nil)
			r.Release()
		}
	})
	testkit.Within(t, "the callers", func() {
		var calling sync.WaitGroup
		for caller := range callers {
			calling.Go(func() {
				for round := range rounds {
					token := caller*rounds + round
					if caller%2 == 0 {
						r, err := g.Admit(t.Context(), kv.Mutation{Limit: token})
						if assert.NoError(t, err) {
							mailbox <- r
							outcome, err := r.Wait(t.Context())
							assert.NoError(t, err)
							assert.EqualValues(t, token, outcome.Removed)
						}
						continue
					}
					answer := make(answers, 1)
					r, err := g.TryAdmit(kv.Mutation{Limit: token}, answer)
					if err != nil {
						assert.ErrorIs(t, err, kv.BusyError)
						continue
					}
					mailbox <- r
					assert.EqualValues(t, token, (<-answer).Removed)
					r.Recycle()
				}
			})
		}
		calling.Wait()
	})
	close(mailbox)
	answering.Wait()
	require.Zero(t, g.InFlight())
}

type answers chan kv.Outcome

func (a answers) Answered(outcome kv.Outcome, _ error) { a <- outcome }

func (answers) Lane() uint64 { return 0 }

// RetryAfter follows what commits take, within its bounds.
func TestPace(t *testing.T) {
	g := admission.NewGate(1, make(chan struct{}))
	require.Equal(t, time.Millisecond, g.RetryAfter(), "nothing is known")
	g.Committing()
	g.Committed() // Measure was not called
	require.Equal(t, time.Millisecond, g.RetryAfter())
	g.Measure()
	g.Committed() // which began before
	require.Equal(t, time.Millisecond, g.RetryAfter())
	for range 3 {
		g.Committing()
		time.Sleep(20 * time.Millisecond) // what is measured
		require.GreaterOrEqual(t, g.RetryAfter(), 20*time.Millisecond, "the commit under way takes so long")
		g.Committed()
	}
	require.GreaterOrEqual(t, g.RetryAfter(), 20*time.Millisecond)
	slow := g.RetryAfter()
	for range 100 {
		g.Committing()
		g.Committed()
	}
	require.Less(t, g.RetryAfter(), slow)
	require.GreaterOrEqual(t, g.RetryAfter(), 100*time.Microsecond)
}
