package outbox

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"forge.lthn.ai/core/go-store/api"

	"github.com/asynkron/protoactor-go/actor"
)

// removing is how many acknowledged messages one commit removes.
const removing = 1024

// lane delivers the messages of one address, on a goroutine of its own. Its window holds
// those that were read and not acknowledged, in their order. What fails is tried again
// from the oldest on (go-back-N): a receiver that was restarted, or replaced, gets what
// it has not acknowledged in order.
type lane struct {
	outbox  *Outbox
	address string
	signal  chan struct{} // capacity 1: look at mu

	mu struct {
		sync.Mutex
		flying map[string]struct{} // IDs that were sent and not acknowledged
		acks   []string            // that were, to be looked at
		refuse map[string]string   // those that the receiver has refused, with its reason
		cursor string              // what was read lies before it
		more   bool                // there may be messages behind it
		again  bool                // there may be messages before it
		lost   bool                // the receiver has ended
		idle   bool                // nothing is on its way

		finished bool // the removal under way
		failure  error
	}

	// Owned by run:
	window   []*flight
	bytes    int                 // of the window's payloads
	read     int                 // messages, since the cursor was at the beginning
	settled  map[string]struct{} // acknowledged, and not removed yet: acked and busy
	acked    []string            // to be removed
	busy     []string            // being removed
	retry    time.Time           // no removal before
	pauses   int                 // in a row
	failures int                 // since the receiver last answered, given up or not
	until    time.Time           // the lane pauses
	progress time.Time           // when something was acknowledged, or sent for the first time
	receiver *actor.PID          // that is watched
	rested   *rest               // not nil: what was kept when it gave its place up
	unheard  int                 // messages that were given up in a row, unacknowledged
	lost     *lost               // not nil: the address is given up
}

// lost is an address that is given up, until it has no messages or another receiver is
// there: they go to the dead letters page by page.
type lost struct {
	reason string
	deaf   *actor.PID // not nil: the receiver there takes nothing
}

// despair is how many messages in a row an actor leaves unacknowledged, each as often as
// it takes, before its address is given up: fewer may be the fault of the messages.
const despair = 16

// flight is one message on its way.
type flight struct {
	message api.OutboxMessage
	attempt int  // in a row: heard has it count anew
	sent    bool // in this round
	at      time.Time
	skipped bool // a later one was answered since
}

func newLane(o *Outbox, address string) *lane {
	l := &lane{outbox: o, address: address, signal: make(chan struct{}, 1), settled: make(map[string]struct{})}
	l.mu.flying = make(map[string]struct{})
	return l
}

func (l *lane) poke() {
	select {
	case l.signal <- struct{}{}:
	default:
	}
}

// woken says that there is a message of an ID, or any.
func (l *lane) woken(id string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if id >= l.mu.cursor {
		l.mu.more = true
	} else if _, flying := l.mu.flying[id]; !flying {
		l.mu.again = true
	}
	l.mu.idle = false
	l.poke()
}

func (l *lane) idle() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.mu.idle
}

// acknowledged takes an ID that is on its way.
func (l *lane) acknowledged(id string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, refused := l.mu.refuse[id] // and is on its way until it is moved
	if _, flying := l.mu.flying[id]; !flying || refused {
		return false
	}
	delete(l.mu.flying, id)
	l.mu.acks = append(l.mu.acks, id)
	l.poke()
	return true
}

// rejected takes an ID that is on its way, to be given up.
func (l *lane) rejected(id, reason string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, refused := l.mu.refuse[id]
	if _, flying := l.mu.flying[id]; !flying || refused {
		return false
	}
	if l.mu.refuse == nil {
		l.mu.refuse = make(map[string]string)
	}
	l.mu.refuse[id] = reason
	l.poke()
	return true
}

func (l *lane) terminated() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.mu.lost = true
	l.poke()
}

func (l *lane) run() {
	ended := false
	defer func() {
		if !ended && l.outbox.ctx.Err() == nil { // the goroutine was, by what is not ours
			l.outbox.running.Go(l.run)
		}
	}()
	l.progress = time.Now()
	l.serve()
	ended = true
}

// serve delivers until there is nothing left, or the place is another address's.
func (l *lane) serve() {
	for l.outbox.ctx.Err() == nil {
		l.collect()
		l.remove()
		l.lapse()
		l.fill()
		l.send()
		if l.finished() && l.outbox.leave(l) {
			l.forget()
			return
		}
		if l.yields() {
			return
		}
		l.wait()
	}
	l.end()
}

// resume goes on where the lane was that gave its place up.
func (l *lane) resume(r *rest) {
	l.rested, l.pauses, l.failures, l.unheard, l.lost = r, r.pauses, r.failures, r.unheard, r.lost
	l.mu.acks, l.mu.refuse = r.acks, r.refused
}

// drained reports whether others that wait for a place are to have their turn first.
func (l *lane) drained() bool {
	return l.outbox.crowded.Load() && (l.read >= l.outbox.options.Window || time.Now().Before(l.until))
}

// yields gives the lane's place up if others wait for one, and it pauses or has delivered
// a window. What is acknowledged is removed first.
func (l *lane) yields() bool {
	pausing := time.Now().Before(l.until)
	if !l.drained() || len(l.settled) > 0 || !pausing && len(l.window) > 0 {
		return false
	}
	var r *rest
	if pausing || l.unheard > 0 || l.lost != nil {
		r = &rest{until: l.until, pauses: l.pauses, failures: l.failures, unheard: l.unheard, lost: l.lost}
		if n := len(l.window); n > 0 {
			r.attempts, r.first, r.last = l.window[0].attempt, l.window[0].message.ID, l.window[n-1].message.ID
		}
	}
	l.forget()
	l.outbox.yield(l, r)
	return true
}

// end removes what was acknowledged, if that can be done at once.
func (l *lane) end() {
	for l.collect(); len(l.busy) > 0; l.collect() {
		<-l.signal
	}
	if len(l.acked) > 0 {
		if err := l.delete(l.outbox.store.WithContext(context.Background()), l.acked); err != nil {
			l.outbox.options.Logger.Warn("acknowledged messages are not removed: they come again", slog.Any("error", err))
		}
	}
	l.outbox.leave(l)
	l.forget()
}

// collect takes what others have left: acknowledgements, and what became of a removal.
func (l *lane) collect() {
	l.mu.Lock()
	acks, lost := l.mu.acks, l.mu.lost
	refused := l.mu.refuse
	l.mu.acks, l.mu.lost, l.mu.refuse = nil, false, nil
	finished, failure := l.mu.finished, l.mu.failure
	l.mu.finished, l.mu.failure = false, nil
	l.mu.Unlock()
	if finished {
		l.removed(failure)
	}
	if len(acks) > 0 {
		l.settle(acks)
	}
	if len(refused) > 0 {
		l.reject(refused)
	}
	if lost {
		l.receiver = nil
		l.pause() // and no failure of the address: there was a receiver
		// The one that it ends at is given up alone: those behind it were never taken.
		if len(l.window) > 0 && l.window[0].attempt >= l.outbox.options.Attempts && l.buryHead("its receiver has ended each time") {
			l.pauses = 0
		}
	}
}

// settle takes acknowledged messages out of the window.
func (l *lane) settle(acks []string) {
	for _, id := range acks {
		l.settled[id] = struct{}{}
	}
	l.acked = append(l.acked, acks...)
	settled := func(id string) bool { _, ok := l.settled[id]; return ok }
	l.heard(settled)
	kept := l.window[:0]
	for _, f := range l.window {
		if settled(f.message.ID) {
			l.bytes -= f.message.Size()
			continue
		}
		kept = append(kept, f)
	}
	clear(l.window[len(kept):])
	l.window = kept
}

// remove begins to remove acknowledged messages, if nothing is being removed.
func (l *lane) remove() {
	if len(l.busy) > 0 || len(l.acked) == 0 || time.Now().Before(l.retry) {
		return
	}
	n := min(len(l.acked), removing)
	l.busy, l.acked = l.acked[:n:n], l.acked[n:]
	busy := l.busy
	l.outbox.running.Go(func() {
		err := l.delete(l.outbox.store, busy)
		l.mu.Lock()
		defer l.mu.Unlock()
		l.mu.finished, l.mu.failure = true, err
		l.poke()
	})
}

func (l *lane) delete(store *api.Store, ids []string) error {
	batch := new(api.Batch)
	for _, id := range ids {
		batch.Delete(api.OutboxPrefix+l.address, id)
	}
	_, err := store.Batch(batch)
	return err
}

// removed notes the end of a removal. A removal that failed is tried again: a store that
// can't write now can later.
func (l *lane) removed(err error) {
	if err == nil {
		for _, id := range l.busy {
			delete(l.settled, id)
		}
		l.busy = nil
		return
	}
	l.acked = append(l.busy, l.acked...)
	l.busy, l.retry = nil, time.Now().Add(time.Second)
	l.outbox.ended(err)
}

// lapse notices that nothing is acknowledged any more, or that something was passed
// over: then everything that is on its way is sent again.
func (l *lane) lapse() {
	if len(l.window) == 0 || !l.window[0].sent || time.Now().Before(l.deadline()) {
		return
	}
	if l.window[0].skipped { // the receiver is there
		l.again()
		l.bury("it was not acknowledged, though later ones were")
		return
	}
	l.fail()
	const reason = "it was not acknowledged"
	if n := l.bury(reason); l.deaf() {
		if l.unheard += n; l.unheard >= despair {
			l.lost = &lost{reason, l.receiver}
		}
	}
}

// deadline is when the oldest message on its way is given up for this time.
func (l *lane) deadline() time.Time {
	head := l.window[0]
	from := head.at
	if !head.skipped && l.progress.After(from) {
		from = l.progress
	}
	return from.Add(l.outbox.options.Timeout)
}

// again has everything sent again.
func (l *lane) again() {
	for _, f := range l.window {
		f.sent, f.skipped = false, false
	}
}

// full reports whether nothing more is to be read now.
func (l *lane) full() bool {
	window := l.outbox.options.Window
	return len(l.window) >= window || len(l.window) > 0 && l.bytes >= api.OutboxPageBytes || len(l.settled) >= 4*window+removing || l.drained()
}

// fill reads messages into the window.
func (l *lane) fill() {
	for !l.full() && !time.Now().Before(l.until) {
		l.mu.Lock()
		if l.mu.again && (len(l.window) == 0 || l.read >= l.outbox.options.Window) {
			l.mu.again, l.mu.more, l.mu.cursor = false, true, ""
			l.read = 0
		}
		more, from := l.mu.more, l.mu.cursor
		l.mu.more = false
		l.mu.Unlock()
		if !more {
			return
		}
		page, err := l.outbox.store.OutboxPage(l.address, from, l.outbox.options.Window-len(l.window))
		if err != nil {
			l.outbox.ended(err)
			l.fail()
		}
		l.mu.Lock()
		l.mu.more = l.mu.more || err != nil || len(page) > 0
		if len(page) > 0 {
			l.mu.cursor = page[len(page)-1].ID + "\x00"
		}
		l.mu.Unlock()
		l.take(page)
	}
}

// take puts messages into the window, in their place: those read again may come before
// others that are there.
func (l *lane) take(page []api.OutboxMessage) {
	l.read += len(page)
	merged := make([]*flight, 0, len(l.window)+len(page))
	old := l.window
	for _, m := range page {
		for len(old) > 0 && old[0].message.ID < m.ID {
			merged, old = append(merged, old[0]), old[1:]
		}
		if _, settled := l.settled[m.ID]; settled || len(old) > 0 && old[0].message.ID == m.ID {
			continue
		}
		f := &flight{message: m}
		if l.rested != nil && m.ID <= l.rested.last {
			f.attempt = l.rested.tried(m.ID, l.failures)
		}
		merged = append(merged, f)
		l.bytes += m.Size()
	}
	l.window = append(merged, old...)
}

// finished reports whether the lane has nothing to do.
func (l *lane) finished() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.mu.idle = len(l.window) == 0 && len(l.settled) == 0 && !l.mu.more && !l.mu.again && len(l.mu.acks) == 0 && len(l.mu.refuse) == 0
	return l.mu.idle
}

// wait returns when there may be something to do.
func (l *lane) wait() {
	next, now := time.Duration(-1), time.Now()
	by := func(at time.Time) {
		if d := max(at.Sub(now), 0); next < 0 || d < next {
			next = d
		}
	}
	switch {
	case now.Before(l.until):
		by(l.until)
	case len(l.window) > 0 && l.window[0].sent:
		by(l.deadline())
	case len(l.window) > 0:
		by(now.Add(l.outbox.options.FirstPause)) // the store did not take a dead letter
	}
	if len(l.acked) > 0 && len(l.busy) == 0 {
		by(l.retry)
	}
	var due <-chan time.Time
	if next >= 0 {
		timer := time.NewTimer(next)
		defer timer.Stop()
		due = timer.C
	}
	select {
	case <-l.signal:
	case <-due:
	case <-l.outbox.ctx.Done():
	}
}
