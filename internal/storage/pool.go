package storage

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"forge.lthn.ai/core/go-store/kv"

	"zombiezen.com/go/sqlite"
)

const (
	// maxHeld bounds the connections that loops over scans keep across their
	// bodies. One more is read whole into memory before its loop starts:
	// waiting could be for ever, as the loops around it may be the caller's own.
	maxHeld = 8
	// maxIdle is how many connections that scans and snapshots gave back are
	// kept open. (SQLite keeps the descriptor of a closed one until no lock is
	// on the file, which is never, but it hands it to the next that opens.)
	maxIdle = 16
	// spareWait is how long a snapshot waits, once that many connections are in
	// use, for one of them to come back: most do within microseconds, and to
	// open another takes about as long as this.
	spareWait = 10 * time.Millisecond
)

// maxLent is how many connections there may be for snapshots at all: each takes
// some 400 kB and two descriptors. Only tests change it.
var maxLent = 512

// pool shares a fixed number of places among point reads and first chunks of
// scans. Nobody runs a caller's code while having one, so waiting for one ends. A
// scan that goes on takes its connection along (hold) and leaves its place to
// another; a snapshot has a connection of its own from the start.
type pool struct {
	open     func() (*reader, error) // for all reads
	openKeys func() (*reader, error) // for looking keys up
	sequence *sequence
	closed   <-chan struct{}
	places   *places
	turns    chan struct{} // held while a long scan computes
	running  chan struct{} // held while a held connection is used
	fleeting atomic.Int32  // more than zero: nobody keeps a transaction

	mu struct {
		sync.Mutex
		idle    []*reader
		lent    int            // to holds, and to those that are about to have one
		waiting []chan *reader // for one of them to come back; each holds one
		held    map[*hold]struct{}
		shut    bool
	}
}

// hold is a connection that belongs to one scan or snapshot. Close takes it
// when nobody is using it, so use happens under the lock.
type hold struct {
	pool  *pool
	since time.Time
	mu    struct {
		sync.Mutex
		reader *reader // nil once Close has taken it, or it was given back
		reason error   // why it is nil
	}
}

func newPool(n, turns int, open, openKeys func() (*reader, error), s *sequence, closed <-chan struct{}) *pool {
	p := &pool{
		open: open, openKeys: openKeys, sequence: s, closed: closed,
		places: newPlaces(n),
		turns:  make(chan struct{}, turns),
		// SQLite has locks that all connections share: of its memory, and of a
		// file's shared memory. Goroutines that meet at them put each other to
		// sleep, so no more are let in than can run.
		running: make(chan struct{}, turns+1),
	}
	p.mu.held = make(map[*hold]struct{})
	return p
}

// take waits for a place. Whoever gets one must give it back.
func (p *pool) take(ctx context.Context) (*place, error) {
	if err := p.check(ctx); err != nil {
		return nil, err
	}
	if one := p.places.wait(p.closed, ctx.Done()); one != nil {
		return one, nil
	}
	return nil, p.check(ctx)
}

// give returns a place, with its connections' transactions if those may be kept.
func (p *pool) give(one *place) {
	if r := one.keys; r != nil && !p.usable(r, r.keepable()) {
		one.keys = nil
	}
	if r := one.now; r != nil && !p.usable(r, r.keepable()) {
		one.now = nil
	}
	p.places.put(one)
}

// forKey is the connection of a place that shows what a key is now.
func (p *pool) forKey(one *place, group, key string) (r *reader, err error) {
	if p.sequence.keys == nil {
		return p.forNow(one) // nothing is kept where nobody says what changes
	}
	if one.keys == nil {
		if one.keys, err = p.openKeys(); err != nil {
			return p.forNow(one) // which may be open
		}
	}
	for _, r := range [...]*reader{one.keys, one.now} {
		if r != nil && r.keepable() && r.sequence.unchanged(r.began, group, key) {
			return r, nil
		}
	}
	if one.keys.keepable() {
		if r, err = p.forNow(one); err == nil {
			return r, nil
		}
	}
	return p.begun(one.keys) // a transaction less is kept, and nothing is wrong
}

// forNow is the connection of a place that shows what is committed now.
func (p *pool) forNow(one *place) (r *reader, err error) {
	if one.now == nil {
		if one.now, err = p.spare(); err != nil {
			return nil, p.explain(err)
		}
	}
	return p.begun(one.now)
}

// begun has a connection begin anew if it must.
func (p *pool) begun(r *reader) (*reader, error) {
	if err := r.refresh(); err != nil {
		r.finish()
		return nil, p.explain(err)
	}
	return r, nil
}

// usable ends the connection's transaction unless it is to be kept, and the
// connection if it is good for nothing more.
func (p *pool) usable(r *reader, keep bool) bool {
	if !keep || p.fleeting.Load() > 0 {
		r.finish()
	}
	if r.broken {
		r.conn.Close()
	}
	return !r.broken
}

// spare is an idle connection, or a new one.
func (p *pool) spare() (*reader, error) {
	p.mu.Lock()
	r := p.popIdle()
	p.mu.Unlock()
	if r != nil {
		return r, nil
	}
	return p.open()
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
	if r = p.popIdle(); r == nil && p.mu.lent >= maxIdle {
		back := make(chan *reader, 1)
		p.mu.waiting = append(p.mu.waiting, back)
		p.mu.Unlock()
		if r, err = p.await(ctx, back); r != nil || err != nil {
			return r, err // what comes back stays lent
		}
		p.mu.Lock()
	}
	if r == nil && p.mu.lent >= maxLent {
		p.mu.Unlock()
		return nil, fmt.Errorf("%d snapshots, transactions and loops over scans are open: close some: %w",
			maxLent, kv.TooManySnapshotsError)
	}
	p.mu.lent++
	p.mu.Unlock()
	if r == nil {
		if r, err = p.open(); err != nil {
			p.repay(nil)
		}
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
	switch {
	case r != nil && len(p.mu.waiting) > 0 && !p.mu.shut:
		p.mu.waiting[0] <- r
		p.mu.waiting = slices.Delete(p.mu.waiting, 0, 1)
		p.mu.Unlock()
		return
	case r != nil && len(p.mu.idle) < maxIdle && !p.mu.shut:
		p.mu.idle = append(p.mu.idle, r)
		r = nil
	}
	p.mu.lent--
	p.mu.Unlock()
	if r != nil {
		r.conn.Close()
	}
}

// keep turns a place's second connection into one of the caller's own. It is
// refused when too many are held. The caller still has to give the place.
func (p *pool) keep(one *place) (*hold, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.mu.shut || len(p.mu.held) >= maxHeld {
		return nil, false
	}
	h := p.register(one.now)
	p.mu.lent++
	one.now = nil
	return h, true
}

// own makes a hold of what was borrowed. It is refused once the pool is shut.
func (p *pool) own(r *reader) (*hold, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.mu.shut {
		return nil, false
	}
	return p.register(r), true
}

// register lets Close find a hold's connection. Called under the lock.
func (p *pool) register(r *reader) *hold {
	h := &hold{pool: p, since: time.Now()}
	h.mu.reader = r
	p.mu.held[h] = struct{}{}
	return h
}

// with calls f with a connection that sees what is committed now, and gives it
// back however f ends.
func (p *pool) with(ctx context.Context, f func(*reader) error) error {
	one, err := p.take(ctx)
	if err != nil {
		return err
	}
	defer p.give(one)
	r, err := p.forNow(one)
	if err != nil {
		return err
	}
	if err = f(r); err != nil {
		r.finish()
	}
	return p.explain(err)
}

// aside calls f with a connection that has no place, for reads that take long:
// point reads don't wait for them, and fewer run than there are processors.
func (p *pool) aside(ctx context.Context, f func(*reader) error) error {
	leave, err := p.turn(ctx)
	if err != nil {
		return err
	}
	defer leave()
	r, err := p.borrow(ctx)
	if err != nil {
		return p.explain(err)
	}
	h, owned := p.own(r)
	if !owned {
		p.repay(r) // which closes it
		return kv.ClosedError
	}
	defer h.release(kv.SnapshotClosedError)
	return h.use(func(r *reader) (err error) {
		if err = r.refresh(); err == nil {
			err = f(r)
		}
		if err != nil {
			r.finish()
		}
		return err
	})
}

// turn waits until one of those that compute for long may begin.
func (p *pool) turn(ctx context.Context) (leave func(), err error) {
	if err := p.check(ctx); err != nil {
		return nil, err
	}
	select {
	case p.turns <- struct{}{}:
		return func() { <-p.turns }, nil
	case <-p.closed:
		return nil, kv.ClosedError
	case <-ctx.Done():
		return nil, ContextError(ctx)
	}
}

// use calls f with the connection, unless Close has taken it.
func (h *hold) use(f func(*reader) error) error {
	h.pool.running <- struct{}{}
	defer func() { <-h.pool.running }()
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.mu.reader == nil {
		return h.mu.reason
	}
	return h.pool.explain(f(h.mu.reader))
}

// release gives the connection back; later uses fail with the reason. It may be
// called again, and the first reason stands.
func (h *hold) release(reason error) {
	h.mu.Lock()
	r := h.take(reason)
	h.mu.Unlock()
	h.forget(r)
}

// take leaves the reason in the connection's place. Called under the lock.
func (h *hold) take(reason error) (r *reader) {
	if r = h.mu.reader; r != nil {
		h.mu.reader, h.mu.reason = nil, reason
	}
	return r
}

// forget gives back what take has taken, if anything.
func (h *hold) forget(r *reader) {
	if r == nil {
		return
	}
	p := h.pool
	p.mu.Lock()
	delete(p.mu.held, h)
	p.mu.Unlock()
	p.repay(r)
}

// unpinned calls f while no transaction is kept from one read to the next: what
// is open ends with the read that is at work, or the scan or snapshot. That is
// what lets a checkpoint empty the WAL.
func (p *pool) unpinned(f func()) {
	p.fleeting.Add(1) // before the others end: what is used from here on ends by itself
	defer p.fleeting.Add(-1)
	for range p.places.size() {
		if one := p.places.try(); one != nil {
			p.give(one)
		}
	}
	p.mu.Lock()
	for _, r := range p.mu.idle {
		r.finish()
	}
	p.mu.Unlock()
	f()
}

// expire ends scans and snapshots that are older than the limit and at rest:
// somebody has forgotten them, or takes too long.
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
		if h.mu.TryLock() { // one that is at work has its turn next time
			r := h.take(kv.SnapshotExpiredError)
			h.mu.Unlock()
			h.forget(r)
			ended++
		}
	}
	return ended
}

// close takes all connections, wherever they are, and closes them. closed is
// closed by then, which interrupts the statements that run.
func (p *pool) close() (err error) {
	readers := make([]*reader, 0, 2*p.places.size()+maxIdle)
	for range p.places.size() {
		one := p.places.wait(nil, nil)
		readers = append(readers, one.keys, one.now)
	}
	p.mu.Lock()
	p.mu.shut = true
	readers = append(readers, p.mu.idle...)
	held := p.mu.held
	p.mu.idle, p.mu.held = nil, make(map[*hold]struct{})
	p.mu.Unlock()
	for h := range held {
		h.mu.Lock()
		readers = append(readers, h.take(kv.ClosedError))
		h.mu.Unlock()
	}
	for _, r := range readers {
		if r != nil {
			err = errors.Join(err, r.conn.Close())
		}
	}
	return err
}

// check says whether work may begin or go on.
func (p *pool) check(ctx context.Context) error {
	select {
	case <-p.closed:
		return kv.ClosedError
	default:
		return ContextError(ctx)
	}
}

// explain names the reason of an interrupt: there is only one.
func (p *pool) explain(err error) error {
	if err != nil && code(err) == sqlite.ResultInterrupt {
		return kv.ClosedError
	}
	return err
}

// ContextError is what a call answers whose context has ended, if it has.
func ContextError(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("gave up: %w", err)
	}
	return nil
}
