package writer

import (
	"context"
	"sync/atomic"

	"forge.lthn.ai/core/go-store/internal/admission"
)

// alone tells whether somebody is the only one who writes. He runs the writer in his own
// goroutine then: there is nobody to wait for, and to hand a request to another goroutine
// and to be woken up by it costs more than a commit in memory takes. It is one message,
// with his own request, and one commit; what others have brought meanwhile is for the
// writer's goroutine. As soon as there are others he does not: their requests
// would find a writer that has begun already, with a batch of one.
//
// Who runs the writer can't leave it. So a caller whose context can end never does.
type alone struct {
	commits atomic.Int32 // of one request each, one after another
}

// enoughAlone is how many commits of one request show that nobody else writes.
const enoughAlone = 64

// may reports whether a caller who has been admitted runs the writer.
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

// not says that there are others.
func (a *alone) not() {
	if a.commits.Load() != 0 {
		a.commits.Store(0)
	}
}
