package sqlite

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	"forge.lthn.ai/core/go-store/internal/failpoint"
	"forge.lthn.ai/core/go-store/internal/storage"
	"forge.lthn.ai/core/go-store/kv"

	"zombiezen.com/go/sqlite"
)

// pool has the connections that read through SQLite: what the pages of the file are not
// read for (see views), which is little. A read takes an idle connection, or opens one,
// begins a transaction, reads, ends it, and gives the connection back: at rest none holds
// anything.
//
// So many reads are at work at a time. No read runs a caller's code meanwhile, so waiting
// for one to end ends. A scan that goes on takes its connection along (hold), and lets
// another read begin; a snapshot has a connection of its own from the start.
type pool struct {
	open     func() (*reader, error)
	sound    func() error // whether the files are those that were opened
	views    *views       // nil: SQLite reads everything
	closed   <-chan struct{}
	reading  chan struct{} // held while a read is at work
	gate     gate
	turns    chan struct{}   // held while a long scan computes
	running  chan struct{}   // held while a held connection is used
	released func(last bool) // one of those that held the WAL has ended; nil: not called
	steps    failpoint.Hook  // of connections: tests alone set it
	none     chan struct{}   // closed when the pool is shut and has no connection

	mu struct {
		sync.Mutex
		idle        []*reader
		lent        int // to holds, and to those that are about to have one
		held        map[*hold]struct{}
		connections int // that there are, or are being opened or closed
		shut        bool
		failures    error // of connections that were closed since
	}
}

func newPool(n, turns int, closed <-chan struct{}) *pool {
	p := &pool{
		closed: closed, none: make(chan struct{}),
		reading: make(chan struct{}, n),
		turns:   make(chan struct{}, turns),
		// SQLite has locks that all connections share: of its memory, and of a
		// file's shared memory. Goroutines that meet at them put each other to
		// sleep, so no more are let in than can run.
		running: make(chan struct{}, turns+1),
	}
	p.mu.held = make(map[*hold]struct{})
	return p
}

// with calls f with a connection that shows what is committed now, at one moment, and
// takes it back however f ends.
func (p *pool) with(ctx context.Context, f func(*reader) error) error {
	return p.once(ctx, func(r *reader) (keep bool, err error) { return false, f(r) })
}

// once is with for what may keep the connection.
func (p *pool) once(ctx context.Context, f func(*reader) (keep bool, err error)) error {
	leave, err := p.admit(ctx, p.reading)
	if err != nil {
		return err
	}
	defer leave()
	r, err := p.spare()
	if err != nil {
		return p.explain(err)
	}
	kept, returned := false, false
	defer func() {
		if !returned { // it has panicked, and may be half-way through anything
			r.broken = true
		}
		if !kept {
			p.rest(r)
		}
	}()
	if err = r.start(); err == nil {
		kept, err = f(r)
	}
	returned = true
	return p.explain(err)
}

// aside is with for reads that take long: others don't wait for them, and fewer run than
// there are processors.
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
		if err = r.start(); err == nil {
			err = f(r)
		}
		return err
	})
}

// turn waits until one of those that compute for long may begin.
func (p *pool) turn(ctx context.Context) (leave func(), err error) { return p.admit(ctx, p.turns) }

// admit waits until there is room for one more. The caller must leave.
func (p *pool) admit(ctx context.Context, room chan struct{}) (leave func(), err error) {
	if err := p.check(ctx); err != nil {
		return nil, err
	}
	select {
	case room <- struct{}{}:
		return func() { <-room }, nil
	case <-p.closed:
		return nil, kv.ClosedError
	case <-ctx.Done():
		return nil, storage.ContextError(ctx)
	}
}

// check says whether work may begin or go on.
func (p *pool) check(ctx context.Context) error {
	select {
	case <-p.closed:
		return kv.ClosedError
	default:
		return storage.ContextError(ctx)
	}
}

// explain names the reason of an interrupt: the store is being closed, or the
// statement has no end; and that of damage, if it is that the file is not the one that was
// opened any more.
func (p *pool) explain(err error) error {
	if !isInterrupt(err) {
		if isStorageFault(err) && !errors.Is(err, kv.FileLostError) {
			if lost := p.sound(); lost != nil {
				return fmt.Errorf("%w (%w)", err, lost)
			}
		}
		return explainDamage(err)
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
