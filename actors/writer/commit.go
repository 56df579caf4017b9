package writer

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"forge.lthn.ai/core/go-store/internal/admission"
	"forge.lthn.ai/core/go-store/internal/planted"
	"forge.lthn.ai/core/go-store/internal/storage"
	"forge.lthn.ai/core/go-store/kv"
)

func (flush) handle(a *Actor) {
	if a.letOthers() {
		a.self(flush{}) // behind what they have brought
		return
	}
	a.flushing = false
	a.flush()
}

// flush commits everything that is pending, in batches of BatchBytes. What was set
// aside meanwhile comes again, first of what is pending then.
func (a *Actor) flush() {
	for len(a.pending) > 0 && !a.pausing() {
		n, size := 0, 0
		for ; n < len(a.pending); n++ {
			size += a.pending[n].mutation.Size()
			if n > 0 && size > a.BatchBytes {
				break
			}
		}
		a.batch = append(a.batch, a.pending[:n]...)
		rest := copy(a.pending, a.pending[n:])
		clear(a.pending[rest:])
		a.pending = a.pending[:rest]
		a.alone.note(len(a.batch))
		a.company.last = len(a.batch)
		a.observe()
		a.Gate.Committing()
		a.commit()
		a.Gate.Committed()
		a.countWanted()
		a.fold()
	}
	if aside := a.aside; len(aside) > 0 {
		a.aside = nil
		a.resume("", aside)
	}
}

// commit makes one transaction of the batch and answers its requests.
func (a *Actor) commit() {
	a.phase = applying
	a.Failpoint.Hit("writer.begin")
	if !a.logKnown {
		if err := a.readLog(); err != nil {
			a.fail(a.degrade(err))
			return
		}
	}
	if err := a.Database.Begin(); err != nil {
		a.fail(a.degrade(fmt.Errorf("begin: %w", err)))
		return
	}
	defer a.Clock.Thaw()
	a.tx = a.newTransaction()
	if err := a.applyAll(); err != nil {
		a.rollback()
		if !a.again(err) {
			a.fail(a.degrade(err))
		}
		return
	}
	a.Failpoint.Hit("writer.commit")
	a.phase = committing
	if planted.ReplyBeforeCommit {
		a.answer()
	}
	began := time.Now()
	err := a.Database.Commit()
	a.committing = time.Since(began)
	a.observeCommit(began)
	if err != nil {
		a.commitFailed(err)
		return
	}
	a.Clock.Thaw() // before any caller or listener hears of it
	a.phase = committed
	a.events = a.tx.events
	a.Failpoint.Hit("writer.committed")
	if len(a.events) > 0 { // else nothing was written, which says nothing of the disk
		a.recovered()
	}
	a.settle()
	a.publish()
	a.Announced.Store(a.log.Last) // not if that fails: it is not known then how far it came
	a.finish()
}

// applyAll runs every job of the batch under its own savepoint. An error means
// that the whole transaction is lost.
func (a *Actor) applyAll() error {
	for i := range a.batch {
		if a.tx.weight > endBatch {
			a.postpone(i)
			break
		}
		j := &a.batch[i]
		if a.hold(j) || a.park(j) {
			continue
		}
		a.Failpoint.Hit("writer.apply")
		outcome, cleared, err := a.applyJob(j)
		if err != nil && !a.Database.InTransaction() {
			return err // a storage fault: SQLite has rolled everything back
		}
		switch {
		case errors.Is(err, errCrowded):
			a.setAside(j)
			continue
		case err == nil && !cleared:
			a.wait(j)
			continue
		}
		if j.request != nil {
			outcome.Batch = a.traced
			j.request.Resolve(outcome, a.explain(err))
		} else if err != nil {
			a.Logger.Error("expired keys can't be removed; it is tried again", slog.Any("error", err))
		}
	}
	a.Failpoint.Hit("writer.seal")
	var err error
	a.buffer, err = a.tx.seal(a.buffer)
	return err
}

// again has the batch applied once more if it failed for a damaged page of the log's
// oldest rows, which stay from then on: what no reader may read any more is no reason to
// refuse what is to be written. (Once SQLite has met damage in a transaction it writes
// nothing more in it.)
func (a *Actor) again(err error) bool {
	var trim *trimError
	if !errors.As(err, &trim) || !a.Database.IsDamage(err) {
		return false
	}
	a.log.kept = true
	a.Logger.Error("the oldest part of the log of changes is damaged and can't be removed: the file grows; "+
		"open the store once WithDiscardedLog", slog.Any("error", err))
	// What left the batch on the way has left an empty job.
	left := slices.DeleteFunc(slices.Clone(a.batch), func(j job) bool { return j.request == nil && j.mutation != &purge })
	a.pending = append(left, a.pending...)
	a.finish()
	return true
}

// postpone has the rest of the batch wait for the next commit.
func (a *Actor) postpone(from int) {
	a.pending = append(slices.Clone(a.batch[from:]), a.pending...)
	clear(a.batch[from:])
	a.batch = a.batch[:from]
}

// applyJob applies a job's mutation, once what stands in its way has been cleared.
func (a *Actor) applyJob(j *job) (outcome kv.Outcome, cleared bool, err error) {
	judged := j.request != nil
	if j.ahead != nil {
		if cleared, err = a.clearAhead(j); err != nil || !cleared {
			return outcome, cleared, err
		}
		judged = j.ahead.rounds < aheadRounds
	}
	if j.mutation == &purge {
		outcome, err = a.applyPurge(judged)
	} else {
		outcome, err = a.attempt(func() (kv.Outcome, error) { return a.tx.apply(j.mutation, judged) })
	}
	return outcome, true, err
}

// applyPurge removes chunks of expired rows. Where a commit takes long, on a slow disk,
// its callers wait little longer for some more of them: there are fewer commits
// to come.
func (a *Actor) applyPurge(judged bool) (outcome kv.Outcome, err error) {
	began := time.Now()
	for chunks := 1; ; chunks++ {
		if outcome, err = a.attempt(func() (kv.Outcome, error) { return a.tx.apply(&purge, judged) }); err != nil {
			return outcome, err
		}
		a.tx.fact.Reaped = true
		a.tx.background = append(a.tx.background, outcome.Events...)
		if !outcome.More || chunks == maxChunks || time.Since(began) > a.committing/2 || a.tx.weight > endBatch {
			return outcome, nil
		}
	}
}

// maxChunks is how many chunks of a purge one commit has at most.
const maxChunks = 16

// attempt does something under a savepoint, whole or not at all.
func (a *Actor) attempt(do func() (kv.Outcome, error)) (kv.Outcome, error) {
	if err := a.Database.Savepoint(); err != nil {
		return kv.Outcome{}, fmt.Errorf("savepoint: %w", err)
	}
	mark := a.tx.mark()
	outcome, err := do()
	if err == nil {
		err = a.Database.Release()
	}
	if err == nil {
		a.tx.keep(mark, &outcome)
		return outcome, nil
	}
	a.tx.undo(mark)
	if !a.Database.InTransaction() || planted.RollbackSkipped {
		return kv.Outcome{}, err
	}
	if undoing := a.Database.RollbackTo(); undoing != nil {
		// The transaction can't be trusted any more: give all of it up.
		a.rollback()
	}
	return kv.Outcome{}, err
}

func (a *Actor) rollback() {
	a.tx.undo(mark{})
	if err := a.Database.Rollback(); err != nil {
		a.Logger.Error("rollback failed", "error", err)
	}
}

// commitFailed answers a batch whose COMMIT returned an error.
func (a *Actor) commitFailed(err error) {
	events := a.tx.events
	a.rollback()
	err = a.degrade(fmt.Errorf("commit: %w", err))
	if !storage.IsIndeterminate(err) {
		a.fail(err)
		return
	}
	a.lost(events)
	a.earliest = min(a.earliest, a.tx.earliest)
	a.timers = a.timers || a.tx.timers
	a.logKnown = false // its last row may be there or not
	a.watched.lose()
	a.forgetUsage()
	a.fail(fmt.Errorf("%w: %w", kv.UnknownOutcomeError, err))
}

// forgetUsage has the namespaces counted anew, of which no actor has been told what the commit in
// hand has changed. It comes before that commit's callers are answered: what they ask next is to
// be right.
func (a *Actor) forgetUsage() {
	a.ledger.forget()
	a.publishState()
}

// lost tells watchers of events that may or may not have happened.
func (a *Actor) lost(events []kv.Event) {
	if len(events) > 0 && a.Audience.Watched(events) {
		a.Audience.Deliver(admission.Delivery{Events: slices.Clone(events), Lost: true})
	}
}

// fail answers every request of the batch that is still here with err.
func (a *Actor) fail(err error) {
	a.endTraced()
	for i := range a.batch {
		if j := &a.batch[i]; j.request != nil {
			j.request.Resolve(kv.Outcome{Batch: a.traced}, err)
		}
	}
	a.answer()
	a.finish()
}

// settle takes the committed transaction's state over.
func (a *Actor) settle() {
	a.watched.note(a.events)
	a.earliest = a.tx.earliest
	a.timers = a.tx.timers
	a.log = a.tx.log
	if a.traced != nil && len(a.events) > 0 {
		a.traced.Revision = a.log.Last
	}
	if a.tx.lost > 0 {
		a.LostTimers.Add(a.tx.lost)
	}
	a.tx.fact.Usage = a.ledger.settle()
}

// publish tells the projections, then the listeners and callers.
func (a *Actor) publish() {
	if a.tx.fact.Deadline != kv.NoDeadline || a.tx.fact.Purged || len(a.tx.fact.Usage) > 0 {
		fact := a.tx.fact // theirs to keep
		a.Projections.Committed(&fact)
	}
	a.Failpoint.Hit("writer.publish")
	a.announce()
}

// announce answers the batch, or has the notifier answer it once the watchers
// have its events. What is handed over leaves the writer first, so that no caller or watcher
// is told twice if this fails half-way.
func (a *Actor) announce() {
	events, background := a.events, a.tx.background
	a.events, a.tx.background = nil, nil
	if len(background) > 0 {
		a.Audience.CallInBackground(background)
	}
	if len(events) == 0 || !a.Audience.Watched(events) {
		if a.Audience.Answering() {
			a.queue()
		}
		a.answer()
		return
	}
	delivery := admission.Delivery{Events: slices.Clone(events), Requests: make([]*admission.Request, 0, len(a.batch))}
	for i := range a.batch {
		if r := a.batch[i].request; r != nil {
			delivery.Add(r)
		}
	}
	clear(a.batch)
	a.batch = a.batch[:0]
	a.Audience.Deliver(delivery)
}

// queue has the notifier answer those that are told, behind what it has to answer yet:
// a sender's answers come in the order of its writes.
func (a *Actor) queue() {
	var delivery admission.Delivery
	for i := range a.batch {
		if j := &a.batch[i]; j.request != nil && j.request.Told() {
			delivery.Add(j.request)
			j.request = nil
		}
	}
	if delivery.Told {
		a.Audience.Deliver(delivery)
	}
}

// answer releases the requests of the batch.
func (a *Actor) answer() {
	for i := range a.batch {
		a.release(&a.batch[i])
	}
}

// release answers one job, if it has not been.
func (a *Actor) release(j *job) {
	r := j.request
	if r == nil {
		return
	}
	j.request = nil
	if outcome, received := r.Release(); !received {
		a.Audience.CallInBackground(outcome.Events)
	}
}

// finish leaves nothing of the batch behind that would keep values alive.
func (a *Actor) finish() {
	clear(a.batch)
	a.batch, a.events, a.phase, a.traced = a.batch[:0], nil, idle, nil
	clear(a.tx.events[:max(len(a.tx.events), a.tx.undone)])
	if a.scratch = a.tx.events[:0]; cap(a.scratch) > keptEvents {
		a.scratch = nil
	}
	if cap(a.buffer) > keptBuffer {
		a.buffer = nil
	}
	a.tx = transaction{}
}
