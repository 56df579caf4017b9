package admission

import "forge.lthn.ai/core/go-store/kv"

// Answerer is told what came of a request that no caller waits for.
type Answerer interface {
	// Answered brings the outcome. It is called by the goroutine that answers the request, in the
	// midst of its own work: it must neither block nor run any other code.
	Answered(kv.Outcome, error)
	// Lane is what the requests of one sender have in common: they are applied in the
	// order in which they were submitted, also where others go on. 0 is none. It is asked
	// for seldom, when one has to wait, and before the answer only.
	Lane() uint64
}

// TryAdmit is Admit for a caller that can't wait: without a free slot it fails with
// kv.BusyError at once. The answer goes to to, once, unless Abandon comes before it. The
// slot is free by then.
func (g *Gate) TryAdmit(m kv.Mutation, to Answerer) (*Request, error) {
	if g.Closed() {
		return nil, kv.ClosedError
	}
	select {
	case g.slots <- struct{}{}:
	default:
		return nil, kv.BusyError
	}
	if g.Closed() {
		g.release()
		return nil, kv.ClosedError
	}
	r := g.newRequest(m)
	r.to = to
	return r, nil
}

// Lane is the Answerer's; 0 for a caller, which waits for the answer anyway.
func (r *Request) Lane() uint64 {
	if r.to == nil {
		return 0
	}
	return r.to.Lane()
}

// Told reports whether the answer goes to an Answerer. The answering goroutine asks.
func (r *Request) Told() bool { return r.to != nil }

// Dead is closed when no actor is left to answer.
func (g *Gate) Dead() <-chan struct{} { return g.dead }

// Abandon has the answer go nowhere. It reports whether it did: if not, it has been
// given already. Its submitter calls it once no actor is left to answer:
// the outcome is unknown then.
func (r *Request) Abandon() bool { return r.state.CompareAndSwap(waiting, abandoned) }

// Recycle lets the request be used again. Its submitter calls it after it was
// answered, and forgets it.
func (r *Request) Recycle() {
	gate := r.gate
	r.clear()
	gate.pool.Put(r)
}

// tell gives the answer to the one that it is for. The slot is free before: the
// caller may want it for its next request at once.
func (r *Request) tell(outcome kv.Outcome) {
	if !r.state.CompareAndSwap(waiting, answered) {
		r.gate.release()
		return
	}
	to, err := r.to, r.err // the Answerer may recycle r
	if r.gate.told != nil {
		r.gate.told(&r.Mutation, err)
	}
	r.gate.release()
	to.Answered(outcome, err)
}

// clear forgets everything but the gate and the channel.
func (r *Request) clear() {
	r.Mutation, r.outcome, r.err, r.to = kv.Mutation{}, kv.Outcome{}, nil, nil
	r.state.Store(waiting)
}
