package sqlite

import (
	"fmt"

	"forge.lthn.ai/core/go-store/kv"
)

// maxIdle is how many connections are kept open at least, though no reader uses them. (SQLite
// keeps the descriptor of a closed one until no lock is on the file, which is never, but it
// hands it to the next that opens.)
const maxIdle = 16

// maxLent is how many connections there may be for snapshots, transactions and
// loops over scans: each takes up to a megabyte and two descriptors. It is also how many of
// them there may be in all for another view to be held: each has a chunk in memory, and
// keeps an anchor. Only tests change it.
var maxLent = 512

// spare is an idle connection, or a new one. Its user must have it rest.
func (p *pool) spare() (*reader, error) {
	p.mu.Lock()
	r := p.popIdle()
	p.mu.Unlock()
	if r != nil {
		return r, nil
	}
	return p.connect()
}

// popIdle is called under the lock.
func (p *pool) popIdle() (r *reader) {
	if n := len(p.mu.idle); n > 0 {
		r = p.mu.idle[n-1]
		p.mu.idle = p.mu.idle[:n-1]
	}
	return r
}

// rest ends what is open on a connection, and keeps it for the next that needs one.
func (p *pool) rest(r *reader) {
	r.finish()
	p.mu.Lock()
	keep := !r.broken && !p.mu.shut && len(p.mu.idle) < max(maxIdle, cap(p.reading))
	if keep {
		p.mu.idle = append(p.mu.idle, r)
	}
	p.mu.Unlock()
	if !keep {
		p.disconnect(r)
	}
}

// borrow is spare for a snapshot or a scan. The borrower must own or repay it.
func (p *pool) borrow() (*reader, error) {
	p.mu.Lock()
	if p.mu.lent >= maxLent {
		p.mu.Unlock()
		return nil, tooMany()
	}
	return p.lend()
}

func tooMany() error {
	return fmt.Errorf("%d snapshots, transactions and loops over scans are open: close some: %w", maxLent, kv.TooManySnapshotsError)
}

// borrowNow is borrow for readers of which there are few at a time: it does not refuse.
func (p *pool) borrowNow() (*reader, error) {
	p.mu.Lock()
	return p.lend()
}

// lend counts what is lent. It is called under the lock, which it gives back.
func (p *pool) lend() (*reader, error) {
	p.mu.lent++
	p.mu.Unlock()
	r, err := p.spare()
	if err != nil {
		p.repaid()
	}
	return r, err
}

// keep turns the connection of a read that is at work into one of the caller's own, with
// the transaction that is open on it. It is refused when too many are lent, and while the
// WAL is at its bound.
func (p *pool) keep(r *reader) (*hold, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.mu.shut || p.mu.lent >= maxLent || p.gate.isShut() {
		return nil, false
	}
	p.mu.lent++
	return p.register(held{reader: r}), true
}

// repay takes back what was lent.
func (p *pool) repay(r *reader) {
	p.rest(r)
	p.repaid()
}

func (p *pool) repaid() {
	p.mu.Lock()
	p.mu.lent--
	p.mu.Unlock()
}
