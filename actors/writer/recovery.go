package writer

import (
	"fmt"
	"log/slog"

	"forge.lthn.ai/core/go-store/kv"
)

// abandon ends an incarnation that failed: it rolls back what was open and
// answers every caller according to how far its request had come. The next
// incarnation starts with an empty ledger and tells the projections to
// resynchronise.
func (a *Actor) abandon() {
	a.stopTrying()
	a.stopResting()
	came, open := a.phase, a.Database.InTransaction()
	defer a.answerAll(kv.RolledBackError) // whatever fails below
	if err := a.Database.Resynchronise(); err != nil {
		a.Logger.Error("recovery of the connection failed", slog.Any("error", err))
	}
	switch {
	case came == committed:
		defer a.announce() // whatever fails before
		a.forgetUsage()
	case came == committing && !open:
		a.forgetUsage()
		a.lost(a.tx.events)
		a.fail(fmt.Errorf("%w: the writer failed during COMMIT", kv.UnknownOutcomeError))
	}
}

// answerAll answers every request that is still with the writer.
func (a *Actor) answerAll(err error) {
	a.fail(err)
	for _, account := range a.ledger.accounts {
		a.batch = append(a.batch, account.parked...)
		account.parked = nil
	}
	a.batch = append(append(a.batch, a.aside...), a.pending...)
	a.aside, a.pending, a.lanes = nil, nil, nil
	a.fail(err)
}

// drainAside is drain in a goroutine of its own, which may end (runtime.Goexit in what is
// the store's user's) without Stopping being a failure.
func (a *Actor) drainAside() {
	drained := make(chan struct{})
	go func() {
		defer close(drained)
		a.drain()
	}()
	<-drained
}

// drain commits what is pending and answers what can't be committed any more.
// It must not fail: a panic in Stopping would start the actor anew.
func (a *Actor) drain() {
	done := false
	defer func() {
		reason := recover()
		if !done {
			a.abandon()
		}
		a.answerAll(kv.ClosedError)
		a.stopTrying() // after the last flush, which may have failed
		a.stopResting()
		if !done {
			if reason == nil {
				reason = "the goroutine has ended"
			}
			a.Logger.Error("the writer failed while stopping", slog.Any("reason", reason))
		}
	}()
	if a.phase != idle { // this incarnation has failed, and the stop overtook its restart
		a.abandon()
	}
	a.Failpoint.Hit("writer.drain")
	for a.flush(); len(a.pending) > 0; {
		a.flush() // what was set aside
	}
	done = true
}
