package writer

import (
	"time"

	"forge.lthn.ai/core/go-store/internal/storage"
)

// A database may leave it to be done later, between two transactions, that what was
// committed comes to where it stays. Each batch is followed by a part of that, once its
// callers were answered; when nothing has been committed for a while, all of it is done, a
// part at a time, so that requests wait for one part at most.

// resting is the writer's memory of it.
type resting struct {
	asked   bool // a message is on its way, or a timer runs
	commits int  // when it was asked for
	stop    func() bool
}

// fold has a part done after a batch.
func (a *Actor) fold() {
	a.commits++
	if again := a.Database.Fold(false); again > 0 && !a.resting.asked {
		a.restIn(again)
	}
}

// atOnce is less than what a timer is worth.
const atOnce = time.Millisecond

func (a *Actor) restIn(wait time.Duration) {
	self := a.self
	a.resting.asked, a.resting.commits = true, a.commits
	if wait < atOnce {
		self(rest{})
		return
	}
	a.resting.stop = a.Clock.AfterFunc(wait, func() { self(rest{}) })
}

func (rest) handle(a *Actor) {
	a.resting.asked, a.resting.stop = false, nil
	if len(a.pending) > 0 || a.commits != a.resting.commits {
		a.restIn(storage.RestTime)
		return
	}
	if again := a.Database.Fold(true); again > 0 {
		a.restIn(again)
	}
}

func (a *Actor) stopResting() {
	if stop := a.resting.stop; stop != nil {
		stop()
	}
}
