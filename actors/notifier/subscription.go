package notifier

import (
	"sync/atomic"

	"forge.lthn.ai/core/go-store/kv"
)

// Subscription brings a subscriber the events that match its filters, as long as it
// keeps up, and says when they have to be read from the log: at first, when the buffer
// was full, when they are too much to be kept in memory, and when a fault left unknown
// what was committed. Nothing waits for a subscriber.
//
// The notifier sends and the subscriber receives; nothing is shared but two
// channels and the numbers below.
type Subscription struct {
	filters []kv.Filter
	limit   int64 // of events that wait, in chunks or in the log

	// Chunks holds events in commit order, whole requests at a time. A chunk that
	// was sent while the subscriber read the log may hold what it has read.
	Chunks <-chan []kv.Event
	// Wake has something in it after Behind has changed.
	Wake <-chan struct{}

	chunks  chan []kv.Event
	wake    chan struct{}
	queued  atomic.Int64  // events in chunks
	bytes   atomic.Int64  // of those
	behind  atomic.Uint64 // 0, or a number that is new each time events went past chunks
	read    atomic.Int64  // events of those in the log that were read since behind was 0
	past    atomic.Int64  // events that went past chunks since then; the notifier alone changes it
	overrun atomic.Bool   // more wait than may
	sent    atomic.Uint64 // when they first did, all that is wanted up to this revision was in chunks
	marked  atomic.Bool   // an EventProgress is in chunks

	// Owned by the notifier.
	open    bool
	number  uint64     // the last one that behind had
	allowed int64      // how many may wait now: a commit of more than limit may by itself
	matched []kv.Event // of the delivery in hand; nil once they are too many to be kept
	weight  int64      // of those, in bytes
	count   int64      // how many there are
	first   uint64     // the revision of the first one
	event   int        // the last one in it that was matched, from 1
}

// What is kept in memory for one subscriber. What does not fit is read in the log:
// a large commit, whose matches each idle subscriber would keep alive, and what is waiting
// beyond these.
const (
	maxQueued = 4 << 20 // bytes
	maxChunks = 4096    // commits
	eventSize = 144     // of a kv.Event without its strings, about
)

// newSubscription is one that begins behind: everything is to be read in the log yet.
func newSubscription(filters []kv.Filter, limit int) *Subscription {
	chunks, wake := make(chan []kv.Event, min(limit, maxChunks)+1), make(chan struct{}, 1) // one for an EventProgress
	s := &Subscription{filters: filters, limit: int64(limit), chunks: chunks, Chunks: chunks, wake: wake, Wake: wake, number: 1, allowed: int64(limit)}
	s.behind.Store(s.number)
	return s
}

// Behind is not 0 when there are events that don't come by Chunks: those in
// the log when the subscriber reads it to its end after this call. Then it calls
// CaughtUp with the number.
func (s *Subscription) Behind() uint64 { return s.behind.Load() }

// CaughtUp has events come by Chunks again, unless more have gone past since
// Behind returned the number.
func (s *Subscription) CaughtUp(number uint64) bool { return s.behind.CompareAndSwap(number, 0) }

// Overrun reports whether more events have been waiting than may, since the last
// call.
func (s *Subscription) Overrun() bool { return s.overrun.Swap(false) }

// Sent is how far Chunks went before Behind was not 0: they hold every match up to this
// revision. However long ago the last event was, the log need not be read before it.
func (s *Subscription) Sent() uint64 { return s.sent.Load() }

// Took notes that a chunk was received.
func (s *Subscription) Took(chunk []kv.Event) {
	if chunk[0].Type == kv.EventProgress {
		s.marked.Store(false)
		return
	}
	s.queued.Add(-int64(len(chunk)))
	s.bytes.Add(-weigh(chunk))
}

// Read notes that so many matches were read in the log.
func (s *Subscription) Read(events int) { s.read.Add(int64(events)) }

// Skipped notes that whatever is in the log is not to be read.
func (s *Subscription) Skipped() { s.read.Store(s.past.Load()) }

// weigh is what a chunk takes, in bytes.
func weigh(chunk []kv.Event) (bytes int64) {
	for i := range chunk {
		bytes += size(&chunk[i])
	}
	return bytes
}

func size(e *kv.Event) int64 { return eventSize + int64(len(e.Group)+len(e.Key)+len(e.Value)) }

// offer sends n events of one commit, or lets them go past, where chunk is nil in any
// case. The notifier calls it.
func (s *Subscription) offer(chunk []kv.Event, n, bytes int64, first uint64) {
	if s.behind.Load() == 0 {
		if chunk != nil && s.fits(n, bytes) {
			select {
			case s.chunks <- chunk:
				s.queued.Add(n)
				s.bytes.Add(bytes)
				return
			default:
			}
		}
		s.fallBehind(first - 1)
	}
	if n > s.limit {
		s.allowed += n // so that it makes no subscriber slow
	}
	if s.queued.Load()+s.past.Add(n)-s.read.Load() > s.allowed {
		s.overrun.Store(true)
	}
	s.wentPast()
}

// fits says whether there is room in chunks. An empty one takes a commit of more events
// than may wait.
func (s *Subscription) fits(n, bytes int64) bool {
	queued := s.queued.Load()
	return s.bytes.Load()+bytes <= maxQueued && (queued == 0 || queued+n <= s.limit)
}

// mark sends an EventProgress, unless one is on the way or events are
// elsewhere. It takes no event's place: no subscriber is slow because of it. The
// notifier calls it.
func (s *Subscription) mark(progress kv.Event) {
	if s.behind.Load() != 0 || s.marked.Load() {
		return
	}
	s.marked.Store(true)
	select {
	case s.chunks <- []kv.Event{progress}:
	default: // can't be: there is a place for it
		s.marked.Store(false)
	}
}

// pass says that there is something to read in the log, after the revision up
// to which everything was sent. The notifier calls it.
func (s *Subscription) pass(sent uint64) {
	if s.behind.Load() == 0 {
		s.fallBehind(sent)
	}
	s.wentPast()
}

// wentPast has a subscriber that reads the log do so again.
func (s *Subscription) wentPast() {
	s.number++
	s.behind.Store(s.number)
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// fallBehind has the counts of what waits in the log begin.
func (s *Subscription) fallBehind(sent uint64) {
	s.sent.Store(sent)
	s.allowed = s.limit
	s.past.Store(0)
	s.read.Store(0) // before behind is not 0: nothing is read yet
}

// match notes an event, the n-th of the delivery from 1, unless another filter
// has. What is too much to be kept is counted only.
func (s *Subscription) match(event *kv.Event, n int) (first bool) {
	if s.event == n {
		return false
	}
	if first = s.event == 0; first {
		s.first = event.Revision
	}
	s.event = n
	s.count++
	if s.weight += size(event); s.weight <= maxQueued {
		s.matched = append(s.matched, *event)
	} else {
		s.matched = nil
	}
	return first
}

// subscriptions are all of a store's, by what they want.
type subscriptions struct {
	everything atomic.Pointer[[]*Subscription] // immutable; replaced whole
	changes    *index[*Subscription]
	// The deletion of a group concerns every subscriber of one of its keys:
	// here their filters stand without the key.
	deletions *index[*Subscription]

	touched []*Subscription // by the delivery in hand; the notifier's own
}

func newSubscriptions() *subscriptions {
	s := &subscriptions{changes: newIndex[*Subscription](), deletions: newIndex[*Subscription]()}
	s.everything.Store(new([]*Subscription))
	return s
}

func (s *subscriptions) empty() bool {
	return len(*s.everything.Load()) == 0 && s.changes.empty()
}

// visit calls visit with every subscriber once, until it returns false. Any goroutine may call
// it; of subscribers that come or go meanwhile it may miss some.
func (s *subscriptions) visit(visit func(*Subscription) bool) {
	for _, subscription := range *s.everything.Load() {
		if !visit(subscription) {
			return
		}
	}
	several := make(map[*Subscription]struct{}) // those with more than one filter stand in the index as often
	s.changes.visit(func(subscription *Subscription) bool {
		if len(subscription.filters) > 1 {
			if _, seen := several[subscription]; seen {
				return true
			}
			several[subscription] = struct{}{}
		}
		return visit(subscription)
	})
}

// wanted reports whether any subscriber wants the event.
func (s *subscriptions) wanted(e *kv.Event) bool {
	if e.Type == kv.EventDeleteGroup {
		return s.deletions.has(e.Group, "")
	}
	return s.changes.has(e.Group, e.Key)
}

// wantsAll reports whether a filter is that of everything.
func (s *Subscription) wantsAll() bool {
	for _, f := range s.filters {
		if f == (kv.Filter{}) {
			return true
		}
	}
	return false
}

// add is for the notifier only.
func (s *subscriptions) add(subscription *Subscription) {
	if subscription.open {
		return
	}
	subscription.open = true
	if subscription.wantsAll() {
		next := append(append([]*Subscription(nil), *s.everything.Load()...), subscription)
		s.everything.Store(&next)
		return
	}
	for _, f := range subscription.filters {
		s.deletions.add(kv.Filter{Group: f.Group}, subscription)
		s.changes.add(f, subscription)
	}
}

// remove is for the notifier only.
func (s *subscriptions) remove(subscription *Subscription) {
	if !subscription.open {
		return
	}
	subscription.open = false
	if subscription.wantsAll() {
		var next []*Subscription
		for _, other := range *s.everything.Load() {
			if other != subscription {
				next = append(next, other)
			}
		}
		s.everything.Store(&next)
		return
	}
	for _, f := range subscription.filters {
		s.changes.remove(f, subscription)
		s.deletions.remove(kv.Filter{Group: f.Group}, subscription)
	}
}

// deliver offers the events of one commit to all subscriptions that want them. Those that want
// all share the slice. It is for the notifier only.
func (s *subscriptions) deliver(events []kv.Event, lost bool) {
	if all := *s.everything.Load(); len(all) > 0 {
		n, bytes, first, chunk := int64(len(events)), weigh(events), events[0].Revision, events
		if bytes > maxQueued {
			chunk = nil
		}
		for _, subscription := range all {
			if lost {
				subscription.pass(first - 1)
			} else {
				subscription.offer(chunk, n, bytes, first)
			}
		}
	}
	if s.changes.empty() {
		return
	}
	s.abandon()
	for i := range events {
		e := &events[i]
		match := func(some []*Subscription) bool {
			for _, subscription := range some {
				if subscription.match(e, i+1) {
					s.touched = append(s.touched, subscription)
				}
			}
			return true
		}
		if e.Type == kv.EventDeleteGroup {
			s.deletions.each(e.Group, "", match)
		} else {
			s.changes.each(e.Group, e.Key, match)
		}
	}
	for _, subscription := range s.touched {
		if lost {
			subscription.pass(events[0].Revision - 1)
		} else {
			subscription.offer(subscription.matched, subscription.count, subscription.weight, subscription.first)
		}
	}
	s.abandon()
}

// abandon forgets the delivery in hand.
func (s *subscriptions) abandon() {
	for _, subscription := range s.touched {
		subscription.matched, subscription.weight, subscription.count, subscription.event = nil, 0, 0, 0
	}
	clear(s.touched)
	s.touched = s.touched[:0]
}

// passAll has every subscriber read the log, after the revision up to which every
// event was delivered here. It is for the notifier only.
func (s *subscriptions) passAll(sent uint64) {
	for _, subscription := range *s.everything.Load() {
		subscription.pass(sent)
	}
	s.changes.all(func(subscription *Subscription) { subscription.pass(sent) })
}
