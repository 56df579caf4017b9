package writer

import (
	"context"
	"sync/atomic"

	"forge.lthn.ai/core/go-store/internal/admission"
)

// alone tells whether one goroutine makes all writes. It runs the writer itself then: there
// is no batch to gather, and to hand a request to another goroutine and be woken up by it
// costs more than a commit in memory takes. It is one message, with the caller's own
// request, and one commit; what was queued meanwhile is for the writer's goroutine. With
// several callers none does: their requests would find a writer that has begun already,
// with a batch of one.
//
// A goroutine that runs the writer can't leave it. So a caller whose context can end never
// does.
type alone struct {
	commits atomic.Int32 // of one request each, one after another
}

// enoughAlone is how many commits of one request each show that there is one caller.
const enoughAlone = 64

// may reports whether a caller that was admitted runs the writer.
func (a *alone) may(ctx context.Context, gate *admission.Gate) bool {
	return ctx.Done() == nil && a.commits.Load() >= enoughAlone && gate.InFlight() == 1
}

// note is told how many requests a commit has.
func (a *alone) note(requests int) {
	switch n := a.commits.Load(); {
	case requests != 1:
		a.not()
	case n < enoughAlone:
		a.commits.Store(n + 1)
	}
}

// not says that there are several callers.
func (a *alone) not() {
	if a.commits.Load() != 0 {
		a.commits.Store(0)
	}
}
