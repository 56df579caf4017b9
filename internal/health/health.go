// Package health holds whether a store can write, for callers that ask and callers that wait
// for a change. It owns no goroutine, and nothing in it blocks.
package health

import (
	"sync"
	"time"
)

// State is what keeps a store from writing, if anything does.
type State struct {
	mu struct {
		sync.Mutex
		err     error
		since   time.Time
		changed chan struct{} // closed at the next change
	}
}

// NewState has nothing wrong.
func NewState() *State {
	s := &State{}
	s.mu.changed = make(chan struct{})
	return s
}

// Fail notes what is wrong. The time stays that of the first of several faults in a row.
func (s *State) Fail(err error, at time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mu.err == nil {
		s.mu.since = at
	}
	s.mu.err = err
	s.notify()
}

// Recover notes that all is well, and returns since when it was not.
func (s *State) Recover() (since time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	since = s.mu.since
	s.mu.err, s.mu.since = nil, time.Time{}
	s.notify()
	return since
}

// Get is what is wrong and since when; nil and the zero time if nothing is.
func (s *State) Get() (since time.Time, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mu.since, s.mu.err
}

// Changed is closed at the next change of this or of what Notify is called for. Ask
// for it before looking.
func (s *State) Changed() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mu.changed
}

// Notify tells of a change that is held elsewhere.
func (s *State) Notify() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.notify()
}

// notify is called under the lock.
func (s *State) notify() {
	close(s.mu.changed)
	s.mu.changed = make(chan struct{})
}
