package storage

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"

	"forge.lthn.ai/core/go-store/internal/failpoint"
	"forge.lthn.ai/core/go-store/kv"

	"zombiezen.com/go/sqlite"
)

// maxHeld is how many loops over scans take the connection of their place along. One
// more begins anew on a connection that is lent, so that places keep theirs.
const maxHeld = 8

// pool shares a fixed number of places among point reads and first chunks of
// scans. Nobody runs a caller's code while having one, so waiting for one ends. A
// scan that goes on takes its connection along (hold) and leaves its place to
// another; a snapshot has a connection of its own from the start.
type pool struct {
	open      func() (*reader, error) // for all reads
	openSmall func() (*reader, error) // the same, with few pages, for one of many
	openKeys  func() (*reader, error) // for looking keys up
	sequence  *sequence
	views     *views // nil: SQLite reads everything
	closed    <-chan struct{}
	places    *places
	gate      gate
	turns     chan struct{}  // held while a long scan computes
	running   chan struct{}  // held while a held connection is used
	fleeting  atomic.Int32   // more than zero: nobody keeps a transaction
	cleared   func()         // nobody holds the WAL any more that the gate waits for; nil: nobody asks
	steps     failpoint.Hook // of connections: tests alone set it
	none      chan struct{}  // closed when the pool is shut and has no connection

	mu struct {
		sync.Mutex
		idle        []*reader
		lent        int            // to holds, and to those that are about to have one
		waiting     []chan *reader // for one of them to come back; each holds one
		vain        bool           // the last who waited did so in vain, and none has come back since
		held        map[*hold]struct{}
		connections int // that there are, or are being opened or closed
		shut        bool
		failures    error // of connections that were closed since
	}
}

func newPool(n, turns int, s *sequence, closed <-chan struct{}) *pool {
	p := &pool{
		sequence: s, closed: closed, none: make(chan struct{}),
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
		if one.keys, err = p.connect(p.openKeys); err != nil {
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
		p.disconnect(r)
	}
	return !r.broken
}

// keep turns a place's second connection into one of the caller's own. It is
// refused when many are held, and while the WAL is at its bound. The caller still has
// to give the place.
func (p *pool) keep(one *place) (*hold, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.mu.shut || len(p.mu.held) >= maxHeld || p.gate.isShut() {
		return nil, false
	}
	h := p.register(held{reader: one.now})
	p.mu.lent++
	one.now = nil
	return h, true
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
	if err := p.gate.pass(ctx, p.closed); err != nil {
		return err
	}
	leave, err := p.turn(ctx)
	if err != nil {
		return err
	}
	defer leave()
	return p.lone(ctx, f, (*hold).use)
}

// beside is aside for what waits for no other reader.
func (p *pool) beside(ctx context.Context, f func(*reader) error) error {
	return p.lone(ctx, f, (*hold).useNow)
}

func (p *pool) lone(ctx context.Context, f func(*reader) error, use func(*hold, func(*reader) error) error) error {
	if err := p.check(ctx); err != nil {
		return err
	}
	r, err := p.borrowNow()
	if err != nil {
		return p.explain(err)
	}
	h, err := p.own(r)
	if err != nil {
		return err
	}
	defer h.release(kv.SnapshotClosedError)
	return use(h, func(r *reader) (err error) {
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

// check says whether work may begin or go on.
func (p *pool) check(ctx context.Context) error {
	select {
	case <-p.closed:
		return kv.ClosedError
	default:
		return ContextError(ctx)
	}
}

// explain names the reason of an interrupt: the store is being closed, or the
// statement has no end.
func (p *pool) explain(err error) error {
	if !isInterrupt(err) {
		return err
	}
	select {
	case <-p.closed:
		return kv.ClosedError
	default:
		return withoutEnd("the file", err)
	}
}

// isInterrupt: while a statement with a table of a pragma's is prepared SQLite gives an
// interrupt no code of its own.
func isInterrupt(err error) bool {
	switch code(err) {
	case sqlite.ResultInterrupt:
		return true
	case sqlite.ResultError:
		return strings.HasSuffix(err.Error(), ": interrupted")
	default:
		return false
	}
}

// ContextError is what a call answers whose context has ended, if it has.
func ContextError(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("gave up: %w", err)
	}
	return nil
}
