package storage

import (
	"context"
	"fmt"
	"slices"
	"time"

	"forge.lthn.ai/core/go-store/kv"
)

const (
	// maxIdle is how many connections that scans and snapshots gave back are
	// kept open. (SQLite keeps the descriptor of a closed one until no lock is
	// on the file, which is never, but it hands it to the next that opens.)
	maxIdle = 16
	// spareWait is how long a snapshot waits, once that many connections are in
	// use, for one of them to come back: most do within microseconds, and to
	// open another takes some of them too. When one has waited in vain, those
	// after it don't, until one comes back.
	spareWait = 10 * time.Millisecond
)

// maxLent is how many connections there may be for snapshots, transactions and
// loops over scans: each takes some 400 kB and two descriptors. Only tests change it.
var maxLent = 512

// spare is an idle connection, or a new one.
func (p *pool) spare() (*reader, error) {
	p.mu.Lock()
	r := p.popIdle()
	p.mu.Unlock()
	if r != nil {
		return r, nil
	}
	return p.connect(p.open)
}

// popIdle is called under the lock.
func (p *pool) popIdle() (r *reader) {
	if n := len(p.mu.idle); n > 0 {
		r = p.mu.idle[n-1]
		p.mu.idle = p.mu.idle[:n-1]
	}
	return r
}

// borrow is spare for those that come by the dozen: once maxIdle are lent, one
// waits a moment for another to come back, rather than have one opened and
// closed for a single use. Whoever borrows must own or return it.
func (p *pool) borrow(ctx context.Context) (r *reader, err error) {
	p.mu.Lock()
	if r = p.popIdle(); r == nil && p.mu.lent >= maxIdle && !p.mu.vain {
		back := make(chan *reader, 1)
		p.mu.waiting = append(p.mu.waiting, back)
		p.mu.Unlock()
		if r, err = p.await(ctx, back); r != nil || err != nil {
			return r, err // what comes back stays lent
		}
		p.mu.Lock()
		p.mu.vain = true
		r = p.popIdle()
	}
	if r == nil && p.mu.lent >= maxLent {
		p.mu.Unlock()
		return nil, tooMany()
	}
	return p.lend(r)
}

func tooMany() error {
	return fmt.Errorf("%d snapshots, transactions and loops over scans are open: close some: %w", maxLent, kv.TooManySnapshotsError)
}

// borrowNow is borrow for those of whom there are few at a time: it neither waits
// nor refuses.
func (p *pool) borrowNow() (*reader, error) {
	p.mu.Lock()
	return p.lend(p.popIdle())
}

// lend counts what is lent, and opens it if there is none. It is called under the
// lock, which it gives back.
func (p *pool) lend(r *reader) (*reader, error) {
	p.mu.lent++
	open := p.open
	if p.mu.lent > maxIdle {
		open = p.openSmall
	}
	p.mu.Unlock()
	if r != nil {
		return r, nil
	}
	r, err := p.connect(open)
	if err != nil {
		p.repay(nil)
	}
	return r, err
}

// await waits for a connection to come back. None and no error: it took too
// long.
func (p *pool) await(ctx context.Context, back chan *reader) (r *reader, err error) {
	timer := time.NewTimer(spareWait)
	defer timer.Stop()
	select {
	case r := <-back:
		return r, nil
	case <-timer.C:
	case <-p.closed:
		err = kv.ClosedError
	case <-ctx.Done():
		err = ContextError(ctx)
	}
	p.mu.Lock()
	i := slices.Index(p.mu.waiting, back)
	if i >= 0 {
		p.mu.waiting = slices.Delete(p.mu.waiting, i, i+1)
	}
	p.mu.Unlock()
	if i < 0 {
		return <-back, nil // it came after all
	}
	return nil, err
}

// repay takes back what was lent: whoever waits for it has it next. nil stands
// for one that is no more.
func (p *pool) repay(r *reader) {
	if r != nil && !p.usable(r, p.sequence.settled(r.began)) {
		r = nil
	}
	p.mu.Lock()
	p.mu.vain = false
	switch {
	case r != nil && len(p.mu.waiting) > 0 && !p.mu.shut:
		p.mu.waiting[0] <- r
		p.mu.waiting = slices.Delete(p.mu.waiting, 0, 1)
		p.mu.Unlock()
		return
	case r != nil && len(p.mu.idle) < maxIdle && !p.mu.shut && !r.small:
		p.mu.idle = append(p.mu.idle, r)
		r = nil
	}
	p.mu.lent--
	p.mu.Unlock()
	if r != nil {
		p.disconnect(r)
	}
}
