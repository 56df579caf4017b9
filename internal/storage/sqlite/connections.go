package sqlite

import (
	"errors"

	"forge.lthn.ai/core/go-store/kv"
)

// The pool counts its connections, each from before it is opened until after it is
// closed, wherever it is meanwhile: in use, idle, lent, or on its way from one to
// another. Closing a store takes a WAL away only if the writer is alone with
// it, so Close waits until the count is zero, and none begins to be opened
// once it waits. To look where connections are and close those would not do: one
// that is being opened is nowhere yet.

// connect opens a connection, unless the pool is shut.
func (p *pool) connect() (r *reader, err error) {
	p.mu.Lock()
	if p.mu.shut {
		p.mu.Unlock()
		return nil, kv.ClosedError
	}
	p.mu.connections++
	p.mu.Unlock()
	defer func() {
		if r == nil {
			p.gone(nil)
		}
	}()
	p.steps.Hit("pool.open")
	r, err = p.open()
	p.steps.Hit("pool.opened")
	return r, err
}

// disconnect closes a connection. The caller has it alone, and no other finds it.
func (p *pool) disconnect(r *reader) {
	p.steps.Hit("pool.close")
	r.letGo()
	p.gone(r.conn.Close())
}

// gone counts one that is closed, or never came to be.
func (p *pool) gone(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mu.connections--
	if p.mu.shut {
		p.mu.failures = errors.Join(p.mu.failures, err)
		p.announce()
	}
}

// announce tells close that nothing is left. Called under the lock.
func (p *pool) announce() {
	if p.mu.connections == 0 {
		close(p.none)
	}
}

// close closes all connections, wherever they are. closed is closed by then,
// which interrupts the statements that run, and the waits.
func (p *pool) close() error {
	p.mu.Lock()
	p.mu.shut = true
	readers, held := p.mu.idle, p.mu.held
	p.mu.idle, p.mu.held = nil, make(map[*hold]struct{})
	p.mu.connections++ // this one: it is not over before all others were asked
	p.mu.Unlock()
	for h := range held {
		h.mu.Lock() // once its statement has ended
		had := h.take(kv.ClosedError)
		h.mu.Unlock()
		if had.reader != nil {
			readers = append(readers, had.reader)
		} else if !had.nothing() {
			had.pin.release()
		}
	}
	for _, r := range readers {
		p.disconnect(r)
	}
	failed := p.views.close()
	p.gone(failed)
	p.steps.Hit("pool.closing")
	<-p.none
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.mu.failures
}
