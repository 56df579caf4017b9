package floor

import "sync"

// Sharing makes what its callers add durable together: the first caller of a
// batch writes it, the others wait for it. It is what every store pays at least
// that shares a sync among callers.
type Sharing[T any] struct {
	write func(batch []T) error
	mu    struct {
		sync.Mutex
		next    *shared[T] // gathers what is added
		writing bool       // a caller is writing the batch before
	}
}

// shared is what one write makes durable.
type shared[T any] struct {
	items []T
	lead  chan struct{} // has one of the batch's callers write it
	done  chan struct{} // closed once err is set
	err   error
}

func newShared[T any]() *shared[T] {
	return &shared[T]{lead: make(chan struct{}, 1), done: make(chan struct{})}
}

// NewSharing has write called with one batch after another, never with two at a
// time.
func NewSharing[T any](write func(batch []T) error) *Sharing[T] {
	s := &Sharing[T]{write: write}
	s.mu.next = newShared[T]()
	return s
}

// Write adds to the batch that is gathered and returns once that is written. It
// is safe for use by any number of goroutines.
func (s *Sharing[T]) Write(add func(batch []T) []T) error {
	s.mu.Lock()
	b := s.mu.next
	b.items = add(b.items)
	leads := !s.mu.writing
	s.mu.writing = true
	s.mu.Unlock()
	if !leads {
		select {
		case <-b.done:
			return b.err
		case <-b.lead:
		}
	}
	s.mu.Lock()
	next := newShared[T]()
	s.mu.next = next
	s.mu.Unlock()

	b.err = s.write(b.items)
	close(b.done)

	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mu.writing = len(next.items) > 0; s.mu.writing {
		next.lead <- struct{}{}
	}
	return b.err
}
