package notifier

import (
	"sync/atomic"

	"forge.lthn.ai/core/go-store/kv"
)

// Subscription brings a subscriber the events that he wants, as long as he
// keeps up, and tells him when he has to read the log for them: at first, when
// he did not keep up, and when a fault left unknown what was committed. It
// holds no more events than its limit, or those of one commit, and nobody waits
// for him.
//
// The notifier sends and the subscriber receives; nothing is shared but two
// channels and the numbers below.
type Subscription struct {
	filters []kv.Filter
	limit   int64 // of events in chunks

	// Chunks holds events in commit order, whole requests at a time. One that
	// was sent while the subscriber read the log may hold what he has read.
	Chunks <-chan []kv.Event
	// Wake has something in it after Behind has changed.
	Wake <-chan struct{}

	chunks  chan []kv.Event
	wake    chan struct{}
	queued  atomic.Int64  // events in chunks
	bytes   atomic.Int64  // of those
	behind  atomic.Uint64 // 0, or a number that is new each time events went past chunks
	overrun atomic.Bool   // they did since chunks was full
	sent    atomic.Uint64 // when they first did, all that is wanted up to this revision was in chunks
	marked  atomic.Bool   // an EventProgress is in chunks

	// Owned by the notifier.
	open    bool
	number  uint64     // the last one that behind had
	matched []kv.Event // of the delivery in hand
	event   int        // the last one in it that was matched, from 1
}

const (
	// maxQueued is how many bytes may wait for a subscriber, unless one commit
	// has more.
	maxQueued = 4 << 20
	// maxChunks is how many commits may.
	maxChunks = 4096
)

// newSubscription is one of somebody who has everything to read yet.
func newSubscription(filters []kv.Filter, limit int) *Subscription {
	chunks, wake := make(chan []kv.Event, min(limit, maxChunks)+1), make(chan struct{}, 1) // one for an EventProgress
	s := &Subscription{filters: filters, limit: int64(limit), chunks: chunks, Chunks: chunks, wake: wake, Wake: wake, number: 1}
	s.behind.Store(s.number)
	return s
}

// Behind is not 0 when there are events that don't come by Chunks: those in
// the log when the subscriber reads it to its end after this call. Having done
// so he tells CaughtUp the number.
func (s *Subscription) Behind() uint64 { return s.behind.Load() }

// CaughtUp has events come by Chunks again, unless more have gone past since
// Behind returned the number.
func (s *Subscription) CaughtUp(number uint64) bool { return s.behind.CompareAndSwap(number, 0) }

// Overrun reports whether events went past Chunks because it was full, since
// the last call.
func (s *Subscription) Overrun() bool { return s.overrun.Swap(false) }

// Sent is how far Chunks went before Behind was not 0: who has received all of
// them has everything that he wants up to this revision. However long ago his
// last event was, he need not look for others in the log before it.
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

// weigh is what the strings of a chunk take, in bytes.
func weigh(chunk []kv.Event) (bytes int64) {
	for i := range chunk {
		e := &chunk[i]
		bytes += int64(len(e.Group) + len(e.Key) + len(e.Value))
	}
	return bytes
}

// offer sends a chunk, or lets it go past. The notifier calls it.
func (s *Subscription) offer(chunk []kv.Event) {
	before := chunk[0].Revision - 1
	if s.behind.Load() != 0 {
		s.pass(before)
		return
	}
	// An empty buffer takes any commit, so that a large one overruns nobody.
	queued, bytes := s.queued.Load(), weigh(chunk)
	if queued == 0 || queued+int64(len(chunk)) <= s.limit && s.bytes.Load()+bytes <= maxQueued {
		select {
		case s.chunks <- chunk:
			s.queued.Add(int64(len(chunk)))
			s.bytes.Add(bytes)
			return
		default:
		}
	}
	s.overrun.Store(true)
	s.pass(before)
}

// mark sends an EventProgress, unless one is on the way or events are
// elsewhere. It takes no event's place: nobody is slow because of it. The
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
		s.sent.Store(sent)
	}
	s.number++
	s.behind.Store(s.number)
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// match notes an event, the n-th of the delivery from 1, unless another filter
// has.
func (s *Subscription) match(event *kv.Event, n int) (first bool) {
	if s.event == n {
		return false
	}
	first = s.event == 0
	s.event = n
	s.matched = append(s.matched, *event)
	return first
}

// subscriptions are all of a store's, by what they want.
type subscriptions struct {
	everything atomic.Pointer[[]*Subscription] // immutable; replaced whole
	changes    *index[*Subscription]
	// The deletion of a group concerns everybody who wants one of its keys:
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

// wanted reports whether anybody wants the event.
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
func (s *subscriptions) add(one *Subscription) {
	if one.open {
		return
	}
	one.open = true
	if one.wantsAll() {
		next := append(append([]*Subscription(nil), *s.everything.Load()...), one)
		s.everything.Store(&next)
		return
	}
	for _, f := range one.filters {
		s.deletions.add(kv.Filter{Group: f.Group}, one)
		s.changes.add(f, one)
	}
}

// remove is for the notifier only.
func (s *subscriptions) remove(one *Subscription) {
	if !one.open {
		return
	}
	one.open = false
	if one.wantsAll() {
		var next []*Subscription
		for _, other := range *s.everything.Load() {
			if other != one {
				next = append(next, other)
			}
		}
		s.everything.Store(&next)
		return
	}
	for _, f := range one.filters {
		s.changes.remove(f, one)
		s.deletions.remove(kv.Filter{Group: f.Group}, one)
	}
}

// deliver offers the events of one commit to all who want them. Those who want
// all share the slice. It is for the notifier only.
func (s *subscriptions) deliver(events []kv.Event, lost bool) {
	for _, one := range *s.everything.Load() {
		if lost {
			one.pass(events[0].Revision - 1)
		} else {
			one.offer(events)
		}
	}
	if s.changes.empty() {
		return
	}
	s.abandon()
	for i := range events {
		e := &events[i]
		match := func(ones []*Subscription) bool {
			for _, one := range ones {
				if one.match(e, i+1) {
					s.touched = append(s.touched, one)
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
	for _, one := range s.touched {
		if lost {
			one.pass(events[0].Revision - 1)
		} else {
			one.offer(one.matched)
		}
	}
	s.abandon()
}

// abandon forgets the delivery in hand.
func (s *subscriptions) abandon() {
	for _, one := range s.touched {
		one.matched, one.event = nil, 0
	}
	clear(s.touched)
	s.touched = s.touched[:0]
}

// passAll has everybody read the log, after the revision up to which every
// event was delivered here. It is for the notifier only.
func (s *subscriptions) passAll(sent uint64) {
	for _, one := range *s.everything.Load() {
		one.pass(sent)
	}
	s.changes.all(func(one *Subscription) { one.pass(sent) })
}
