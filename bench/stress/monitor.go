package stress

import (
	"fmt"
	"os"
	"sync"
	"time"
)

// Limits are what a run may take at most, beyond what its process held before:
// the largest growth, not the largest size. Zero means the default.
type Limits struct {
	Heap        int64 `json:"heap_bytes"`     // default 64 MiB and 1 MiB for each caller, whose model is part of it
	Resident    int64 `json:"resident_bytes"` // default 512 MiB and 4 MiB for each caller
	Goroutines  int64 `json:"goroutines"`     // default 4 for each caller and 200
	Descriptors int64 `json:"descriptors"`    // default 256
	Log         int64 `json:"log_bytes"`      // of the write-ahead log's file; default 32 MiB
}

func (l Limits) orDefault(callers int) Limits {
	for _, each := range []struct {
		limit   *int64
		without int64
	}{
		{&l.Heap, int64(64+callers) << 20}, {&l.Resident, int64(512+4*callers) << 20}, {&l.Goroutines, int64(4*callers + 200)},
		{&l.Descriptors, 256}, {&l.Log, 32 << 20},
	} {
		if *each.limit == 0 {
			*each.limit = each.without
		}
	}
	return l
}

// monitor samples what the store takes, looks for calls that never return, and
// tells how far the run is.
type monitor struct {
	run     *run
	limits  Limits
	before  Footprint     // of the process, before the run
	stalled chan struct{} // closed when a call has taken longer than patience
	done    chan struct{} // closed to end it
	group   sync.WaitGroup
	mu      struct { // a run that has come to a standstill is reported without waiting
		sync.Mutex
		most    Footprint
		mostLog int64
		samples int
		over    map[string]bool // limits that were exceeded already
	}
}

func (r *run) monitor() *monitor {
	m := &monitor{run: r, limits: r.config.Limits.orDefault(r.config.Callers), stalled: make(chan struct{}),
		done: make(chan struct{})}
	m.mu.over = map[string]bool{}
	m.before, _ = r.target.Footprint() // of a store that is gone its callers will tell
	m.group.Go(m.watch)
	m.group.Go(m.measure)
	return m
}

// watch looks ten times a second whether the run goes on.
func (m *monitor) watch() {
	ticker := time.NewTicker(100 * time.Millisecond)
	defer ticker.Stop()
	for {
		select {
		case <-m.done:
			return
		case <-ticker.C:
		}
		for _, c := range m.run.callers {
			if since := c.since.Load(); since != 0 && time.Since(time.Unix(0, since)) > patience {
				m.run.findings.add(Stalled, "caller %d: a call has not returned for %v", c.number, patience)
				close(m.stalled)
				return
			}
		}
		m.sampleLog()
		if m.run.config.Progress != nil {
			m.run.config.Progress(time.Since(m.run.began))
		}
	}
}

// measure samples once a second, as a garbage collection goes with it, in short
// runs more often, and at the end.
func (m *monitor) measure() {
	ticker := time.NewTicker(min(max(m.run.config.Duration/10, 100*time.Millisecond), time.Second))
	defer ticker.Stop()
	for last := false; !last; m.sample() {
		select {
		case <-m.done:
			last = true
		case <-ticker.C:
		}
	}
}

func (m *monitor) sample() {
	takes, err := m.run.target.Footprint()
	if err != nil {
		return // the store is gone, which its callers will say
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.mu.samples++
	m.check("bytes of heap after a collection", &m.mu.most.Heap, takes.Heap, m.before.Heap+m.limits.Heap)
	m.check("bytes of resident memory", &m.mu.most.Resident, takes.Resident, m.before.Resident+m.limits.Resident)
	m.check("goroutines", &m.mu.most.Goroutines, takes.Goroutines, m.before.Goroutines+m.limits.Goroutines)
	m.check("descriptors", &m.mu.most.Descriptors, takes.Descriptors, m.before.Descriptors+m.limits.Descriptors)
}

func (m *monitor) sampleLog() {
	if m.run.config.Log == "" {
		return
	}
	// Stat opens nothing: opening and closing a live database's files would
	// drop the store's own locks on them.
	if info, err := os.Stat(m.run.config.Log); err == nil {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.check("bytes of write-ahead log", &m.mu.mostLog, info.Size(), m.limits.Log)
	}
}

// check is called with mu held.
func (m *monitor) check(what string, most *int64, now, limit int64) {
	*most = max(*most, now)
	if now > limit && !m.mu.over[what] {
		m.mu.over[what] = true
		m.run.findings.add(Overgrown, "%d %s, %d allowed", now, what, limit)
	}
}

// leave ends it.
func (m *monitor) leave() {
	close(m.done)
	m.group.Wait()
}

func mebibytes(n int64) string { return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20)) }
