package storetest

import (
	"slices"
	"strings"
	"sync"
	"sync/atomic"
)

// Points are the names of the steps inside a store at which something can be made to
// happen: the step that is named is about to be taken, but for those in the past tense.
// Their first word is the actor that takes them. They may change with the store's insides.
var pointNames = []string{
	"writer.start",     // the writer starts, or starts anew after a failure
	"writer.accept",    // a request has arrived
	"writer.begin",     // a batch is to be written: BEGIN
	"writer.apply",     // one request of it
	"writer.seal",      // its record is to be appended to the log
	"writer.commit",    // COMMIT
	"writer.committed", // COMMIT has returned, no caller was told
	"writer.publish",   // events are to be handed on, then callers are answered
	"writer.count",     // a namespace is to be counted for its quota
	"writer.counted",   // it was
	"writer.drain",     // the store closes
	"cache.commit",     // COMMIT, with the read cache told of it
	"cache.committed",  // it has returned, and the cache is up to date
	"notifier.watch", "notifier.unwatch", "notifier.subscribe", "notifier.unsubscribe", "notifier.mark",
	"notifier.deliver",   // events are to be sent to watchers
	"notifier.delivered", // they were, callers are not answered yet
	"notifier.resynchronise", "notifier.stop",
	"reaper.resynchronise", "reaper.committed", "reaper.hint",
	"reaper.wake", // keys have expired
	"quota.count", "quota.committed", "quota.resynchronise", "quota.usage",
	"gateway.start", "gateway.stop",
	"gateway.accept", // a message has arrived
	"gateway.answer", // its answer is to be sent
}

// Points are the names that At takes.
func Points() []string { return slices.Clone(pointNames) }

// Action is what is to happen at a point. It runs in the goroutine that has come there,
// an actor's of the store or that of a caller that runs the writer itself, which may be the
// test's own: while it runs that actor does nothing else, so it must not wait for a call of
// the store. Nor must it end the goroutine, as FailNow, require and runtime.Goexit do: the
// call never returns then, and is neither committed for sure nor rolled back for sure. Let
// it note what is wrong (t.Error, assert), or use Panic. Crash and Panic are two; any function will do.
type Action func(s *Store)

// Crash has the process die at the point: see Store.Crash.
func Crash(s *Store) { s.Crash() }

// Panic has the actor fail at the point. The store starts it anew and answers its callers:
// what was not committed with api.RolledBackError.
func Panic(*Store) { panic("storetest: as the test has asked for") }

// At has something happen when the store comes by a point for the n-th time from now on,
// once. The channel is closed when it has come there, before the action runs; a point that
// is not reached, or not so often, leaves it open. It fails the test if there is no such
// point, or n is less than 1. What is planned is forgotten when the store is opened again.
//
// So a test crashes between any two steps:
//
//	s.At("writer.commit", 3, storetest.Crash) // the third commit never happens
//	err := transfer(s.Store)                  // fails if it comes so far
//	s.Kill()
//	// check what is there
func (s *Store) At(point string, n int, do Action) (reached <-chan struct{}) {
	s.t.Helper()
	if !slices.Contains(pointNames, point) {
		s.t.Fatalf("storetest: At: there is no point %q; there are: %s", point, strings.Join(pointNames, ", "))
	}
	if n < 1 {
		s.t.Fatalf("storetest: At: the %d. time: the first is 1", n)
	}
	return s.points.plan(point, n, do)
}

// points is what is planned.
type points struct {
	store *Store
	any   atomic.Bool // something is planned or counted
	mu    struct {
		sync.Mutex
		plans    []*plan
		counting bool
		hits     map[string]int
	}
}

type plan struct {
	point   string
	left    int
	do      Action
	reached chan struct{}
}

func (p *points) plan(point string, n int, do Action) <-chan struct{} {
	planned := &plan{point, n, do, make(chan struct{})}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mu.plans = append(p.mu.plans, planned)
	p.any.Store(true)
	return planned.reached
}

// forget ends what was planned or counted: another life begins.
func (p *points) forget() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mu.plans, p.mu.counting = nil, false
	p.any.Store(false)
}

// count has hits be counted from now on.
func (p *points) count() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mu.counting, p.mu.hits = true, make(map[string]int)
	p.any.Store(true)
}

// counted is how often each point was reached until the end of that life.
func (p *points) counted() map[string]int {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mu.counting = false
	return p.mu.hits
}

// hit is the store's failpoint.
func (p *points) hit(point string) {
	if !p.any.Load() {
		return
	}
	for _, due := range p.due(point) {
		close(due.reached)
		due.do(p.store)
	}
}

func (p *points) due(point string) (due []*plan) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.mu.counting {
		p.mu.hits[point]++
	}
	p.mu.plans = slices.DeleteFunc(p.mu.plans, func(planned *plan) bool {
		if planned.point != point {
			return false
		}
		if planned.left--; planned.left == 0 {
			due = append(due, planned)
		}
		return planned.left == 0
	})
	return due
}
