// Package admission bounds how many requests are in flight and carries each
// from its caller to its answer.
//
// A request keeps its slot until it is answered, also when its caller has
// stopped waiting: what bounds the callers bounds the mailboxes behind them.
// The package never looks at what a request asks for.
package admission

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"forge.lthn.ai/core/go-store/kv"
)

// Gate hands out a fixed number of slots.
type Gate struct {
	slots   chan struct{}   // holds one token for each request in flight
	closing chan struct{}   // closed by Close: no new requests
	dead    <-chan struct{} // closed when no actor is left to answer
	emptied chan struct{}   // wakes Close, which looks again; capacity 1
	once    sync.Once
	pace    Pace // of commits: each gives slots back
	waited  atomic.Uint64
	full    func()                    // not nil: called when a caller is about to wait
	told    func(*kv.Mutation, error) // not nil: what came of a mutation that no caller waits for
	paced   atomic.Bool

	// pool keeps requests that were answered and received; one whose caller
	// left never returns, since its answer may be on the way. It is the
	// gate's own: channels must not leave the testing/synctest bubble that a
	// store was opened in.
	pool sync.Pool
}

// NewGate admits at most limit requests at a time; limit is at least 1. The
// owner closes dead when no actor is left to answer.
func NewGate(limit int, dead <-chan struct{}) *Gate {
	return &Gate{slots: make(chan struct{}, limit), closing: make(chan struct{}), dead: dead,
		emptied: make(chan struct{}, 1)}
}

// Admit waits for a slot; the caller that has waited longest gets the next. It fails with the context's error when ctx ends
// first and with kv.ClosedError once the gate is closing.
func (g *Gate) Admit(ctx context.Context, m kv.Mutation) (*Request, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	select {
	case g.slots <- struct{}{}:
	default:
		g.crowded()
		select {
		case g.slots <- struct{}{}:
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-g.closing:
			return nil, kv.ClosedError
		case <-g.dead:
			return nil, kv.ClosedError
		}
	}
	if g.Closed() { // select picks at random: a free slot must not outrun Close
		g.release()
		return nil, kv.ClosedError
	}
	return g.newRequest(m), nil
}

// Closed reports whether the gate admits no caller any more.
func (g *Gate) Closed() bool {
	select {
	case <-g.closing:
		return true
	case <-g.dead:
		return true
	default:
		return false
	}
}

// Close admits no caller any more and returns when every request that was
// admitted has been answered, or no actor is left to answer. A second call waits
// for the first.
func (g *Gate) Close() {
	g.once.Do(func() {
		close(g.closing)
		// A caller with a slot took it before, or gives it back at once: see Admit. To
		// take every slot there is would cost what might be in flight, not what is.
		for len(g.slots) > 0 {
			select {
			case <-g.emptied:
			case <-g.dead:
				return
			}
		}
	})
}

// crowded notes that a caller waits for a slot.
func (g *Gate) crowded() {
	g.waited.Add(1)
	if g.full != nil {
		g.full()
	}
}

// Observe has full called by each that is about to wait for a slot, in its goroutine, and told
// by the goroutine that answers what no caller waits for, which must not block. Either may be nil. It is
// called before the gate is used.
func (g *Gate) Observe(full func(), told func(*kv.Mutation, error)) { g.full, g.told = full, told }

// Waited is how many have found no slot, and waited for one.
func (g *Gate) Waited() uint64 { return g.waited.Load() }

// Limit is how many slots there are.
func (g *Gate) Limit() int { return cap(g.slots) }

// InFlight is the number of requests that hold a slot.
func (g *Gate) InFlight() int { return len(g.slots) }

// Measure has the time of commits measured from now on, for RetryAfter. A store of which
// no caller asks that pays nothing for it.
func (g *Gate) Measure() { g.paced.Store(true) }

// Committing and Committed are what the writer says before and after each commit,
// whatever came of it.
func (g *Gate) Committing() {
	if g.paced.Load() {
		g.pace.Begin()
	}
}

// Committed is called by the goroutine that has called Committing.
func (g *Gate) Committed() {
	if g.paced.Load() {
		g.pace.End()
	}
}

// RetryAfter is when a caller that found no slot is likely to find one: after one more
// commit.
func (g *Gate) RetryAfter() time.Duration { return g.pace.RetryAfter() }

func (g *Gate) release() {
	<-g.slots
	if len(g.slots) == 0 && g.Closed() {
		select {
		case g.emptied <- struct{}{}:
		default:
		}
	}
}
