package outbox

import (
	"time"
)

// remembered is how many addresses that pause are known without a place. Those beyond
// begin anew when they have their turn, and a round of turns takes a second at least.
const remembered = 1 << 16

// granularity is how close to each other pauses end: all that are kept are looked at.
const granularity = 10 * time.Millisecond

// rest is what is kept of an address that has given its place up.
type rest struct {
	until    time.Time
	attempts int      // of the first message, and at most of each up to last
	first    string   // ID
	last     string   // ID
	pauses   int      // in a row
	failures int      // in a row
	acks     []string // that came meanwhile
	refused  map[string]string
	unheard  int
	lost     *lost
}

// tried is how often a message up to last was, by the failures since an answer: the first one
// may have been passed over, which leaves it its attempts.
func (r *rest) tried(id string, failures int) int {
	if id == r.first {
		return r.attempts
	}
	return min(r.attempts, failures+1)
}

// acknowledged takes the ID of a message that was on its way when the place was given
// up, as far as that is known, and was not refused since. It ends the pause: there is a receiver.
func (r *rest) acknowledged(id string, window int) bool {
	if id == "" || id > r.last || len(r.acks) >= window {
		return false
	}
	if _, refused := r.refused[id]; refused {
		return false
	}
	r.acks, r.until = append(r.acks, id), time.Now()
	return true
}

// rejected is acknowledged for a message that its receiver refuses.
func (r *rest) rejected(id, reason string, window int) bool {
	if id == "" || id > r.last || len(r.refused) >= window {
		return false
	}
	if _, refused := r.refused[id]; refused {
		return false
	}
	if r.refused == nil {
		r.refused = make(map[string]string)
	}
	r.refused[id], r.until = reason, time.Now()
	return true
}

// wake has an address's lane look for messages from a key on. A lane that pauses without a
// place does so when the pause is over; one that finds none has its turn.
func (o *Outbox) wake(address, key string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if l := o.mu.lanes[address]; l != nil {
		l.woken(key)
		return
	}
	if o.pausing(address) || !o.crowded.Load() && o.place(address) {
		return
	}
	o.mu.missed++ // those that wait come first
	o.crowd()
	o.turn()
}

func (o *Outbox) pausing(address string) bool {
	r := o.mu.resting[address]
	return r != nil && time.Now().Before(r.until)
}

// place starts the lane of an address that has none, and reports whether there was a
// place; it is called with the lock held.
func (o *Outbox) place(address string) bool {
	if o.pausing(address) {
		return true // none is needed
	}
	rested := o.mu.resting[address]
	if len(o.mu.lanes) >= o.options.Addresses || o.ctx.Err() != nil {
		return false
	}
	delete(o.mu.resting, address)
	l := newLane(o, address)
	if rested != nil {
		l.resume(rested)
	}
	o.mu.lanes[address] = l
	l.woken("")
	o.running.Go(l.run)
	return true
}

// crowd has lanes that pause make room; it is called with the lock held.
func (o *Outbox) crowd() {
	if o.crowded.CompareAndSwap(false, true) {
		for _, l := range o.mu.lanes {
			l.poke()
		}
	}
}

// leave takes a lane away that has nothing left, unless it was woken meanwhile.
func (o *Outbox) leave(l *lane) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !l.idle() && o.ctx.Err() == nil {
		return false
	}
	o.vacate(l)
	return true
}

// yield takes a lane away that has messages left, and keeps what is to be kept of it: nil
// is nothing.
func (o *Outbox) yield(l *lane, rested *rest) {
	o.mu.Lock()
	defer o.mu.Unlock()
	switch {
	case rested == nil:
	case len(o.mu.resting) < remembered:
		// Acknowledgements find the lane or what is kept of it.
		l.mu.Lock()
		rested.acks, rested.refused = l.mu.acks, l.mu.refuse
		l.mu.Unlock()
		o.mu.resting[l.address] = rested
		if o.mu.next.IsZero() || rested.until.Before(o.mu.next) {
			o.mu.next = rested.until
		}
	default:
		o.mu.forgotten = true
	}
	o.vacate(l)
	o.crowd() // it waits too
	o.mu.missed++
}

func (o *Outbox) vacate(l *lane) {
	delete(o.mu.lanes, l.address)
	o.turn()
}

// turn looks for an address that waits for a place.
func (o *Outbox) turn() {
	select {
	case o.turns <- struct{}{}:
	default:
	}
}

// serve gives places to the addresses that wait for one, round robin.
func (o *Outbox) serve() {
	for o.ctx.Err() == nil {
		wait := time.Hour
		if next := o.rested(); !next.IsZero() {
			wait = time.Until(next)
		}
		timer := time.NewTimer(wait)
		select {
		case <-o.turns:
		case <-timer.C:
		case <-o.ctx.Done():
		}
		timer.Stop()
		o.round()
	}
}

// rested serves the addresses whose pause is over, and says when the next one's is. If
// others wait for a place, they have their turn as those do.
func (o *Outbox) rested() time.Time {
	now := time.Now()
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.mu.next.IsZero() || now.Before(o.mu.next) {
		return o.mu.next
	}
	var next time.Time
	for address, r := range o.mu.resting {
		switch {
		case now.Before(r.until):
			if next.IsZero() || r.until.Before(next) {
				next = r.until
			}
		case o.crowded.Load() || !o.place(address):
			o.mu.missed++
			o.crowd()
			o.turn()
		}
	}
	if soon := now.Add(granularity); !next.IsZero() && next.Before(soon) {
		next = soon
	}
	o.mu.next = next
	return next
}

// round goes on behind the last address that found a place, until one finds none or all
// have had their turn, if any waits. That is asked with the lock held: a goroutine that told of the
// turn may be about to say so.
func (o *Outbox) round() {
	o.mu.Lock()
	crowded, from, missed := o.crowded.Load(), o.mu.cursor, o.mu.missed
	o.mu.Unlock()
	if !crowded {
		return
	}
	if !o.places(from, "") || from != "" && !o.places("", from) {
		return
	}
	o.mu.Lock()
	forgotten := o.mu.forgotten
	o.mu.forgotten, o.mu.cursor = false, ""
	if missed == o.mu.missed {
		o.crowded.Store(false)
	} else {
		o.turn()
	}
	o.mu.Unlock()
	if forgotten {
		o.pause(time.Second)
	}
}

// places has addresses from one on, and before another, served that are not; an empty
// one is no end. It reports whether all have a place.
func (o *Outbox) places(from, to string) bool {
	for address, err := range o.store.OutboxAddresses(from) {
		if err != nil {
			o.ended(err)
			o.pause(o.options.FirstPause)
			o.turn()
			return false
		}
		if to != "" && address >= to {
			return true
		}
		o.mu.Lock()
		placed := o.mu.lanes[address] != nil || o.place(address)
		if !placed {
			o.mu.cursor = address
		}
		o.mu.Unlock()
		if !placed {
			return false
		}
	}
	return true
}

// scan wakes every address that has messages.
func (o *Outbox) scan() {
	for address, err := range o.store.OutboxAddresses("") {
		if err != nil {
			o.ended(err)
			return
		}
		o.wake(address, "")
		if o.crowded.Load() {
			break // the others have their turn
		}
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.crowded.Load() { // lanes are to look again, wherever they are
		for _, l := range o.mu.lanes {
			l.woken("")
		}
		o.mu.missed++
		o.turn()
	}
}
