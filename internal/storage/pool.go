package storage

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"forge.lthn.ai/core/go-store/kv"

	"zombiezen.com/go/sqlite"
)

const (
	// maxHeld bounds the connections that scans keep across their loop's body.
	// One more scan is read whole into memory before its loop starts: waiting
	// could be for ever, as the loops around it may be the caller's own.
	maxHeld = 8
	// maxIdle is how many connections that scans gave back are kept open: all.
	// SQLite keeps the descriptor of a closed connection until no lock is on
	// the file, which under load is never, so closing one would free nothing.
	maxIdle = maxHeld
)

// reader is a connection that can't write, with its statements.
type reader struct {
	conn *sqlite.Conn

	get, isLive, count, page   *sqlite.Stmt
	scan, groups               *sqlite.Stmt
	usage, expired             *sqlite.Stmt
	revision, log, logTail     *sqlite.Stmt
	begin, pin, physical, done *sqlite.Stmt
}

func openReader(path string, settings []string, done <-chan struct{}) (*reader, error) {
	conn, err := openConnection(path, sqlite.OpenReadOnly, settings, done)
	if err != nil {
		return nil, err
	}
	r := &reader{conn: conn}
	err = prepareAll(conn, []statement{
		{&r.get, sqlGet},
		{&r.isLive, sqlGroupIsLive},
		{&r.count, sqlCount},
		{&r.page, sqlPage},
		{&r.scan, sqlScan},
		{&r.groups, sqlGroups},
		{&r.usage, sqlUsage},
		{&r.expired, sqlExpired},
		{&r.revision, sqlRevision},
		{&r.log, sqlReadLog},
		{&r.logTail, sqlLogTail},
		{&r.begin, "BEGIN"},
		{&r.pin, "SELECT 1 FROM entries LIMIT 1"},
		{&r.physical, sqlPhysicalUsage},
		{&r.done, "COMMIT"},
	})
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return r, nil
}

// pool shares a fixed number of connections among point reads and first chunks
// of scans. Nobody runs a caller's code while holding one, so waiting for one
// ends. A scan that goes on takes its connection along (hold) and leaves its
// place to another.
type pool struct {
	open   func() (*reader, error)
	closed <-chan struct{}
	places chan *reader  // nil: this place has no connection yet
	turns  chan struct{} // held while a long scan computes: see nextChunk

	mu struct {
		sync.Mutex
		idle []*reader
		held map[*hold]struct{}
		shut bool
	}
}

// hold is a connection that belongs to one scan or snapshot. Close takes it
// when nobody is using it, so use happens under the lock.
type hold struct {
	pool *pool
	mu   struct {
		sync.Mutex
		reader *reader // nil once Close has taken it, or it was given back
	}
}

func newPool(places, turns int, open func() (*reader, error), closed <-chan struct{}) *pool {
	p := &pool{
		open: open, closed: closed,
		places: make(chan *reader, places),
		turns:  make(chan struct{}, turns),
	}
	p.mu.held = make(map[*hold]struct{})
	for range places {
		p.places <- nil
	}
	return p
}

// take waits for a connection. Whoever gets one must give or keep it.
func (p *pool) take(ctx context.Context) (*reader, error) {
	if err := p.check(ctx); err != nil {
		return nil, err
	}
	var r *reader
	select {
	case r = <-p.places:
	default:
		select {
		case r = <-p.places:
		case <-p.closed:
			return nil, kv.ClosedError
		case <-ctx.Done():
			return nil, contextError(ctx)
		}
	}
	if r != nil {
		return r, nil
	}
	r, err := p.spare()
	if err != nil {
		p.places <- nil
		return nil, p.explain(err)
	}
	return r, nil
}

func (p *pool) give(r *reader) { p.places <- r }

// spare is an idle connection, or a new one.
func (p *pool) spare() (*reader, error) {
	p.mu.Lock()
	if n := len(p.mu.idle); n > 0 {
		r := p.mu.idle[n-1]
		p.mu.idle = p.mu.idle[:n-1]
		p.mu.Unlock()
		return r, nil
	}
	p.mu.Unlock()
	return p.open()
}

// keep turns a connection that was taken into one of the caller's own, and
// leaves its place to others. It is refused when too many are held; then the
// caller still has to give it.
func (p *pool) keep(r *reader) (*hold, bool) {
	h, ok := p.own(r, maxHeld)
	if ok {
		p.places <- nil
	}
	return h, ok
}

// own registers a connection that has no place, so that Close finds it. It is
// refused once the pool is shut, or when limit connections are held.
func (p *pool) own(r *reader, limit int) (*hold, bool) {
	h := &hold{pool: p}
	h.mu.reader = r
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.mu.shut || len(p.mu.held) >= limit {
		return nil, false
	}
	p.mu.held[h] = struct{}{}
	return h, true
}

// with calls f with a connection, which is given back however f ends.
func (p *pool) with(ctx context.Context, f func(*reader) error) error {
	r, err := p.take(ctx)
	if err != nil {
		return err
	}
	defer p.give(r)
	return p.explain(f(r))
}

// use calls f with the connection, unless Close has taken it.
func (h *hold) use(f func(*reader) error) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.mu.reader == nil {
		return kv.ClosedError
	}
	return h.pool.explain(f(h.mu.reader))
}

// release gives the connection back once reset has left nothing running on it.
// It may be called again.
func (h *hold) release(reset func(*reader) error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	r := h.mu.reader
	if r == nil {
		return
	}
	h.mu.reader = nil
	failed := reset(r) != nil
	p := h.pool
	p.mu.Lock()
	delete(p.mu.held, h)
	if !failed && !p.mu.shut && len(p.mu.idle) < maxIdle {
		p.mu.idle = append(p.mu.idle, r)
		r = nil
	}
	p.mu.Unlock()
	if r != nil {
		r.conn.Close()
	}
}

// close takes all connections, wherever they are, and closes them. closed is
// closed by then, which interrupts the statements that run.
func (p *pool) close() (err error) {
	for range cap(p.places) {
		if r := <-p.places; r != nil {
			err = errors.Join(err, r.conn.Close())
		}
	}
	p.mu.Lock()
	p.mu.shut = true
	idle, held := p.mu.idle, p.mu.held
	p.mu.idle, p.mu.held = nil, make(map[*hold]struct{})
	p.mu.Unlock()
	for _, r := range idle {
		err = errors.Join(err, r.conn.Close())
	}
	for h := range held {
		h.mu.Lock()
		if r := h.mu.reader; r != nil {
			h.mu.reader = nil
			err = errors.Join(err, r.conn.Close())
		}
		h.mu.Unlock()
	}
	return err
}

// check says whether work may begin or go on.
func (p *pool) check(ctx context.Context) error {
	select {
	case <-p.closed:
		return kv.ClosedError
	default:
		return contextError(ctx)
	}
}

// explain names the reason of an interrupt: there is only one.
func (p *pool) explain(err error) error {
	if err != nil && code(err) == sqlite.ResultInterrupt {
		return kv.ClosedError
	}
	return err
}

func contextError(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("gave up: %w", err)
	}
	return nil
}
