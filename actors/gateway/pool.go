package gateway

import (
	"sync"
	"time"
)

// maxReads is how many reads of one gateway wait for a goroutine.
const maxReads = 1024

// pool reads what is not in memory, on a few goroutines, which end when there is nothing
// to be read.
type pool struct {
	workers int

	mu struct {
		sync.Mutex
		running int
		queue   []*request
		mean    time.Duration // that a read has taken lately
	}
}

// take has a request read, or says when there is likely to be room for it.
func (p *pool) take(r *request) (wait time.Duration, busy bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.mu.running < p.workers {
		p.mu.running++
		go p.work(r)
		return 0, false
	}
	if len(p.mu.queue) == maxReads {
		return min(max(p.mu.mean, minWait), maxWait), true
	}
	p.mu.queue = append(p.mu.queue, r)
	return 0, false
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
		if next = p.next(took); next != nil && !whole {
			go p.work(next)
		}
	}()
	r.read()
	whole = true
	return nil
}

// next is what is to be read by a goroutine that has read something; nil: it ends.
func (p *pool) next(took time.Duration) *request {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.mu.mean == 0 {
		p.mu.mean = took
	}
	p.mu.mean += (took - p.mu.mean) / 8
	if len(p.mu.queue) == 0 {
		p.mu.queue = nil
		p.mu.running--
		return nil
	}
	r := p.mu.queue[0]
	p.mu.queue[0] = nil
	p.mu.queue = p.mu.queue[1:]
	return r
}
