package admission

import (
	"context"
	"fmt"
	"sync/atomic"

	"forge.lthn.ai/core/go-store/kv"
)

// A request's answer is either received or, when the caller has gone, settled
// by the answering goroutine. The state decides which, exactly once.
const (
	waiting int32 = iota
	answered
	abandoned
)

// Request is one mutation on its way. The caller owns it until it is sent,
// then the answering goroutine, then the caller again.
type Request struct {
	Mutation kv.Mutation

	gate    *Gate
	state   atomic.Int32
	reply   chan struct{} // capacity 1: an answer never blocks
	to      Answerer      // not nil: no caller waits, and the answer goes there
	outcome kv.Outcome
	err     error
}

func (g *Gate) newRequest(m kv.Mutation) *Request {
	r, _ := g.pool.Get().(*Request)
	if r == nil {
		r = &Request{gate: g, reply: make(chan struct{}, 1)}
	}
	r.Mutation = m
	return r
}

// Resolve sets what Release will answer; the last call before it counts.
func (r *Request) Resolve(outcome kv.Outcome, err error) { r.outcome, r.err = outcome, err }

// Release answers the request with what Resolve set. It must be called exactly
// once, it never blocks, and the request belongs to the caller afterwards. It
// reports whether the caller was still waiting; if not, outcome is what no caller
// will receive.
func (r *Request) Release() (outcome kv.Outcome, received bool) {
	// Read before the state changes: a caller that receives may recycle r.
	outcome = r.outcome
	if r.to != nil {
		r.tell(outcome)
		return outcome, false
	}
	if r.state.CompareAndSwap(waiting, answered) {
		r.reply <- struct{}{}
		return outcome, true
	}
	r.gate.release()
	return outcome, false
}

// Wait blocks until the request is answered and gives its slot back. When ctx
// ends first, or no actor is left to answer, the outcome is unknown:
// the mutation may or may not be committed.
func (r *Request) Wait(ctx context.Context) (kv.Outcome, error) {
	select {
	case <-r.reply:
		return r.receive()
	case <-ctx.Done():
	case <-r.gate.dead:
	}
	if !r.state.CompareAndSwap(waiting, abandoned) {
		<-r.reply // the answer was given at this moment
		return r.receive()
	}
	if err := ctx.Err(); err != nil {
		return kv.Outcome{}, fmt.Errorf("%w: %w", kv.UnknownOutcomeError, err)
	}
	return kv.Outcome{}, fmt.Errorf("%w: %w", kv.UnknownOutcomeError, kv.ClosedError)
}

// Leave is Wait by a caller whose goroutine ends: it doesn't block, and no caller is told.
func (r *Request) Leave() {
	if !r.state.CompareAndSwap(waiting, abandoned) {
		<-r.reply
		_, _ = r.receive()
	}
}

func (r *Request) receive() (kv.Outcome, error) {
	outcome, err, gate := r.outcome, r.err, r.gate
	r.clear()
	gate.pool.Put(r)
	gate.release()
	return outcome, err
}
