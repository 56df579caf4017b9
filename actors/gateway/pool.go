package gateway

import (
	"sync"
	"time"
)

// maxReads is how many reads of one gateway wait for a goroutine: of single keys, and of others.
const maxReads = 1024

// pool reads what is not in memory, on a few goroutines, which end when there is nothing
// to be read. Those that take long (of many keys, or a scan) have half of them at most: a Get
// waits behind other Gets alone. Otherwise what has waited longest is next.
type pool struct {
	workers int // at least 2

	mu struct {
		sync.Mutex
		running     int
		long        int // of those, with a read that takes long
		turn        uint64
		short, wide queue
	}
}

// queue is reads that wait.
type queue struct {
	waiting []*request
	mean    time.Duration // that a read has taken lately
}

func newPool(workers int) *pool { return &pool{workers: max(workers, 2)} }

// take has a request read, or says when there is likely to be room for it.
func (p *pool) take(r *request) (wait time.Duration, busy bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	q := p.queueOf(r)
	if p.mu.running < p.workers && (!r.long || p.room()) {
		p.mu.running++
		p.count(r, 1)
		go p.work(r)
		return 0, false
	}
	if len(q.waiting) == maxReads {
		return min(max(q.mean, minWait), maxWait), true
	}
	p.mu.turn++
	r.turn = p.mu.turn
	q.waiting = append(q.waiting, r)
	return 0, false
}

// What follows is called with the lock held.

func (p *pool) queueOf(r *request) *queue {
	if r.long {
		return &p.mu.wide
	}
	return &p.mu.short
}

// room reports whether one more read that takes long may begin.
func (p *pool) room() bool { return p.mu.long < p.workers/2 }

func (p *pool) count(r *request, n int) {
	if r.long {
		p.mu.long += n
	}
}

// first is the queue from which the next read is to be taken; nil: from none.
func (p *pool) first() *queue {
	short, wide := &p.mu.short, &p.mu.wide
	switch {
	case len(wide.waiting) > 0 && p.room() &&
		(len(short.waiting) == 0 || wide.waiting[0].turn < short.waiting[0].turn):
		return wide
	case len(short.waiting) > 0:
		return short
	default:
		return nil
	}
}

func (q *queue) pop() *request {
	r := q.waiting[0]
	q.waiting[0] = nil
	if q.waiting = q.waiting[1:]; len(q.waiting) == 0 {
		q.waiting = nil
	}
	return r
}

// The bounds of what is said of the time until there is room for a read.
const (
	minWait = 100 * time.Microsecond
	maxWait = time.Second
)

func (p *pool) work(r *request) {
	for r != nil {
		r = p.answered(r)
	}
}

// answered reads, and is what is to be read next. If the goroutine ends while it reads
// another one goes on.
func (p *pool) answered(r *request) (next *request) {
	began, whole := time.Now(), false
	defer func() {
		took := time.Since(began)
		r.core.bring(r)
		if next = p.next(r, took); next != nil && !whole {
			go p.work(next)
		}
	}()
	r.read()
	whole = true
	return nil
}

// next is what is to be read by a goroutine that has read something; nil: it ends.
func (p *pool) next(done *request, took time.Duration) *request {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.count(done, -1)
	q := p.queueOf(done)
	if q.mean == 0 {
		q.mean = took
	}
	q.mean += (took - q.mean) / 8
	if q = p.first(); q == nil {
		p.mu.running--
		return nil
	}
	r := q.pop()
	p.count(r, 1)
	return r
}
