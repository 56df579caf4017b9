package engine

import (
	"sync"
	"sync/atomic"

	"forge.lthn.ai/core/go-store/kv"
)

// pollers are the subscribers of a read-only store. There is no notifier that could tell
// of them: each reads the log by itself, and notes how far it has come.
type pollers struct {
	mu struct {
		sync.Mutex
		open map[*poller]struct{}
	}
}

type poller struct {
	filters []kv.Filter
	read    atomic.Uint64 // the revision up to which its loop has taken everything
}

func (p *pollers) add(filters []kv.Filter, position uint64) *poller {
	added := &poller{filters: filters}
	added.read.Store(position)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.mu.open == nil {
		p.mu.open = make(map[*poller]struct{})
	}
	p.mu.open[added] = struct{}{}
	return added
}

func (p *pollers) remove(gone *poller) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.mu.open, gone)
}

// listeners are at most limit of them, beside a log that ends with the revision last.
func (p *pollers) listeners(last uint64, limit int) (all []kv.Listener, more bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for open := range p.mu.open {
		if len(all) == limit {
			return all, true
		}
		waiting := open.waiting(last)
		all = append(all, kv.Listener{Kind: kv.ListenerSubscriber, Filters: open.filters, Waiting: waiting, Behind: waiting > 0})
	}
	return all, false
}

func (p *pollers) figures(last uint64) (m kv.ListenerMetrics) {
	all, _ := p.listeners(last, -1)
	m.Open = len(all)
	for _, l := range all {
		m.Waiting += l.Waiting
		m.Most = max(m.Most, l.Waiting)
		if l.Behind {
			m.Behind++
		}
	}
	return m
}

// waiting is how many revisions are in the log behind what was taken.
func (p *poller) waiting(last uint64) int {
	read := p.read.Load()
	return int(max(last, read) - read)
}
