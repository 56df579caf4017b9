package storage

import "sync/atomic"

// A place is what a read takes while it is at work: two connections, each nil until
// it is needed. The first looks keys up, and its transaction is kept for as long as
// no checkpoint wants it to end, since with it goes the connection's page cache: a
// key that has changed since it began is looked up by the second one, which does
// all other reads too, and begins anew whenever something was committed.
type place struct{ keys, now *reader }

// places hands a fixed number of places out. It is no plain channel: once somebody
// waits at one, whatever comes back goes to the goroutine that has waited longest,
// and lies still until the scheduler runs it. He who gave it back soon waits too,
// and from then on every read waits for a goroutine to be woken. Here what comes
// back is free for whoever runs and asks. One of those who wait is woken, to ask
// again; one that has been too late too often is given the next.
type places struct {
	free     chan *place   // nobody waits at it
	given    chan *place   // to those who were too late too often
	again    chan struct{} // wakes one of those who wait
	waiting  atomic.Int32
	starving atomic.Int32 // of those who wait
	woken    atomic.Bool  // one is, and has not asked yet
}

// tooLate is how often one is woken in vain before it is given a connection. It
// is not a time: where there are more goroutines than processors, most of it
// passes before one runs at all.
const tooLate = 8

func newPlaces(n int) *places {
	p := &places{
		free:  make(chan *place, n),
		given: make(chan *place),
		again: make(chan struct{}, 1),
	}
	for range n {
		p.free <- new(place)
	}
	return p
}

// size is how many there are.
func (p *places) size() int { return cap(p.free) }

// try takes a place if one is free; otherwise it is nil.
func (p *places) try() *place {
	select {
	case one := <-p.free:
		return one
	default:
		return nil
	}
}

// wait takes a place. When one of the channels is closed it gives up: then it is
// nil.
func (p *places) wait(closed, done <-chan struct{}) *place {
	if one := p.try(); one != nil {
		return one
	}
	p.waiting.Add(1)
	defer p.waiting.Add(-1)
	var given chan *place
	for tries := 0; ; tries++ {
		// After waiting was raised: whoever gives one back from here on sees it.
		if one := p.try(); one != nil {
			if len(p.free) > 0 {
				p.wake() // while this one was woken nobody else was
			}
			return one
		}
		if tries == tooLate {
			p.starving.Add(1)
			defer p.starving.Add(-1)
			given = p.given
		}
		select {
		case <-p.again:
			p.woken.Store(false)
		case one := <-given:
			return one
		case <-closed:
			return nil
		case <-done:
			return nil
		}
	}
}

// put gives a place back.
func (p *places) put(one *place) {
	if p.starving.Load() > 0 {
		select {
		case p.given <- one:
			return
		default:
		}
	}
	p.free <- one
	if p.waiting.Load() > 0 {
		p.wake()
	}
}

// wake has one of those who wait ask again. If it has left meanwhile, the next
// that waits is woken at once.
func (p *places) wake() {
	if p.woken.CompareAndSwap(false, true) {
		p.again <- struct{}{}
	}
}
