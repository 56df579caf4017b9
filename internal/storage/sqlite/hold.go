package sqlite

import (
	"context"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"forge.lthn.ai/core/go-store/internal/storage/moment"
	"forge.lthn.ai/core/go-store/kv"
)

// hold is a connection, or a view, that belongs to one scan or snapshot. Close takes it
// when no goroutine is using it, so use happens under the lock.
type hold struct {
	pool    *pool
	since   time.Time
	overdue atomic.Bool // its user is to end it then
	mu      struct {
		sync.Mutex
		held         // nothing once Close has taken it, or it was given back
		reason error // why it is nothing
	}
}

// held is what a hold has: one of the two.
type held struct {
	reader *reader
	pin    pin
}

func (h held) nothing() bool { return h.reader == nil && h.pin.view == nil }

// own makes a hold of what was borrowed, unless the pool is shut.
func (p *pool) own(r *reader) (*hold, error) {
	p.mu.Lock()
	if p.mu.shut {
		p.mu.Unlock()
		p.repay(r) // which closes it
		return nil, kv.ClosedError
	}
	defer p.mu.Unlock()
	return p.register(held{reader: r}), nil
}

// holdView makes a hold of a pin. If it can't it releases it.
func (p *pool) holdView(pin pin) (*hold, error) { return p.holdFor(pin, maxLent) }

// holdNow makes a hold of what is committed now, for a caller that is not to be refused. errUnread
// says that SQLite is to be asked.
func (p *pool) holdNow() (_ *hold, err error) {
	defer moment.OnFault(debug.SetPanicOnFault(true), &err)
	pin, ok := p.views.look()
	if !ok {
		return nil, errUnread
	}
	return p.holdFor(pin, maxNow)
}

// holdFor is holdView while there are fewer than so many.
func (p *pool) holdFor(pin pin, most int) (*hold, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	var err error
	switch {
	case p.mu.shut:
		err = kv.ClosedError
	case len(p.mu.held) >= most: // each has a chunk in memory
		err = tooMany()
	default:
		return p.register(held{pin: pin}), nil
	}
	pin.release()
	return nil, err
}

// holdAnother is a connection for a scan or snapshot. While the WAL is at its bound
// it waits.
func (p *pool) holdAnother(ctx context.Context) (*hold, error) {
	if err := p.check(ctx); err != nil {
		return nil, err
	}
	if err := p.gate.pass(ctx, p.closed); err != nil {
		return nil, err
	}
	r, err := p.borrow()
	if err != nil {
		return nil, p.explain(err)
	}
	return p.own(r)
}

// register lets Close find what a hold has. Called under the lock.
func (p *pool) register(has held) *hold {
	h := &hold{pool: p, since: time.Now()}
	h.mu.held = has
	p.mu.held[h] = struct{}{}
	return h
}

// use calls f with the connection, unless it was taken. Of those that use one no more
// are at work at a time than can run.
func (h *hold) use(f func(*reader) error) error {
	h.pool.running <- struct{}{}
	defer func() { <-h.pool.running }()
	return h.useNow(f)
}

// useNow is use for the store itself, which waits for no caller.
func (h *hold) useNow(f func(*reader) error) error {
	err := h.locked(f)
	if h.overdue.Load() { // looked at after the lock was given back: see expire
		h.release(kv.SnapshotExpiredError)
	}
	return err
}

// look calls f with the view, unless it was taken. Several may look at a time; one that
// is at it goes on when what is held is released. Its error is errUnread, or f's own.
func (h *hold) look(f func(*view) error) error {
	err := func() (err error) {
		p, err := h.another()
		if err != nil {
			return err
		}
		defer h.pool.views.leave(p)
		defer moment.OnFault(debug.SetPanicOnFault(true), &err)
		return left(f(p.view))
	}()
	if h.overdue.Load() { // as in useNow
		h.release(kv.SnapshotExpiredError)
	}
	return err
}

// another is a pin beside the hold's own.
func (h *hold) another() (pin, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.mu.nothing() {
		return pin{}, h.mu.reason
	}
	return h.mu.pin.view.pinned(), nil
}

func (h *hold) locked(f func(*reader) error) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.mu.nothing() {
		return h.mu.reason
	}
	h.mu.reader.effort.begin() // a snapshot may be read any number of times
	return h.pool.explain(f(h.mu.reader))
}

// release gives back what it has; later uses fail with the reason. It may be called
// again, and the first reason stands.
func (h *hold) release(reason error) {
	h.mu.Lock()
	had := h.take(reason)
	h.mu.Unlock()
	h.forget(had)
}

// take leaves the reason in the place of what is held. Called under the lock.
func (h *hold) take(reason error) (had held) {
	if had = h.mu.held; !had.nothing() {
		h.mu.held, h.mu.reason = held{}, reason
	}
	return had
}

// forget gives back what take has taken, if anything.
func (h *hold) forget(had held) {
	if had.nothing() {
		return
	}
	p := h.pool
	p.mu.Lock()
	delete(p.mu.held, h)
	last := len(p.mu.held) == 0
	p.mu.Unlock()
	if had.reader != nil {
		p.repay(had.reader)
	} else {
		had.pin.release()
	}
	if p.released != nil {
		p.released(last)
	}
}

// holding is how many scans and snapshots have a connection or a view.
func (p *pool) holding() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.mu.held)
}

// heldFor reports whether a scan or snapshot has had one for longer than that.
func (p *pool) heldFor(long time.Duration) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for h := range p.mu.held {
		if time.Since(h.since) > long {
			return true
		}
	}
	return false
}

// expire ends scans and snapshots that are older than the limit, one that is at work
// when it rests: they were forgotten, or take too long.
func (p *pool) expire(age time.Duration) (ended int) {
	var old []*hold
	p.mu.Lock()
	for h := range p.mu.held {
		if time.Since(h.since) > age {
			old = append(old, h)
		}
	}
	p.mu.Unlock()
	for _, h := range old {
		// First, so that a user at work sees it, which looks when the lock is free.
		h.overdue.Store(true)
		if h.mu.TryLock() {
			had := h.take(kv.SnapshotExpiredError)
			h.mu.Unlock()
			h.forget(had)
		}
	}
	return len(old)
}
