package conformance

import (
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/asynkron/protoactor-go/persistence"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// subject is the provider that a check tries out.
type subject struct {
	options Options
	place   string

	mu struct {
		sync.Mutex
		open    *Opened
		systems []*system
	}
}

// use opens the provider with an interval, having closed it if it is open.
func (s *subject) use(interval int) (persistence.Provider, error) {
	if err := s.close(); err != nil {
		return nil, err
	}
	open, err := s.options.Open(s.place, interval)
	if err != nil {
		return nil, fmt.Errorf("open: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mu.open = open
	return open.Provider, nil
}

// state is a new state of the provider, opened with an interval that no check reaches.
func (s *subject) state() (persistence.ProviderState, error) {
	provider, err := s.use(1 << 30)
	if err != nil {
		return nil, err
	}
	return provider.GetState(), nil
}

func (s *subject) close() error {
	s.mu.Lock()
	open := s.mu.open
	s.mu.open = nil
	s.mu.Unlock()
	if open == nil || open.Close == nil {
		return nil
	}
	if err := open.Close(); err != nil {
		return fmt.Errorf("close: %w", err)
	}
	return nil
}

// end ends what is left of a check: actors first, then the provider.
func (s *subject) end() error {
	s.mu.Lock()
	systems := s.mu.systems
	s.mu.systems = nil
	s.mu.Unlock()
	var errs []error
	for _, system := range systems {
		errs = append(errs, system.end())
	}
	return errors.Join(append(errs, s.close())...)
}

// caught is the error that f has panicked with. A panic with something else is one
// too, but not what a supervisor can make anything of.
func caught(f func()) (err error) {
	defer func() {
		switch reason := recover().(type) {
		case nil:
		case error:
			err = reason
		default:
			err = fmt.Errorf("%w: %v", errNoError, reason)
		}
	}()
	f()
	return nil
}

var errNoError = errors.New("the panic's reason is no error")

// refused wants f to panic with an error, and with a cause if there is one to want.
func refused(what string, want error, f func()) error {
	err := caught(f)
	switch {
	case err == nil:
		return fmt.Errorf("%s is not refused", what)
	case errors.Is(err, errNoError):
		return fmt.Errorf("%s: %w", what, err)
	case want != nil && !errors.Is(err, want):
		return fmt.Errorf("%s is refused, but not with %q: %w", what, want.Error(), err)
	}
	return nil
}

// incarnate does what the library does when an actor starts: it is how much of the
// actor is replayed.
func incarnate(provider persistence.Provider, actor string) (persistence.ProviderState, *recovered, error) {
	state := provider.GetState()
	r := &recovered{}
	err := caught(func() {
		state.Restart()
		if snapshot, index, ok := state.GetSnapshot(actor); ok {
			r.snapshot, r.start = text(snapshot), index
		}
		r.events = eventsOf(state, actor, r.start, 0)
	})
	return state, r, err
}

// recovered is what an actor was given at its start. Its next event has the index
// start + len(events), as the library counts.
type recovered struct {
	snapshot string
	start    int
	events   []string
}

func (r *recovered) next() int { return r.start + len(r.events) }

func (r *recovered) String() string {
	return fmt.Sprintf("snapshot %q, then from %d on %q", r.snapshot, r.start, r.events)
}

func (r *recovered) equal(other *recovered) bool {
	return r.snapshot == other.snapshot && r.start == other.start && slices.Equal(r.events, other.events)
}

func eventsOf(state persistence.ProviderState, actor string, from, to int) (events []string) {
	state.GetEvents(actor, from, to, func(e any) { events = append(events, text(e)) })
	return events
}

// persist writes the events of some indexes, each with a text of its own.
func persist(state persistence.ProviderState, actor string, from, to int) {
	for i := from; i < to; i++ {
		state.PersistEvent(actor, i, message(eventText(actor, i)))
	}
}

func eventText(actor string, index int) string { return fmt.Sprintf("%s event %d", actor, index) }

// eventTexts are those of indexes from one on and before another.
func eventTexts(actor string, from, to int) (texts []string) {
	for i := from; i < to; i++ {
		texts = append(texts, eventText(actor, i))
	}
	return texts
}

func snapshotText(actor string, index int) string {
	return fmt.Sprintf("%s before event %d", actor, index)
}

func message(text string) proto.Message { return wrapperspb.Bytes([]byte(text)) }

func text(m any) string {
	if m, ok := m.(*wrapperspb.BytesValue); ok {
		return string(m.GetValue())
	}
	return fmt.Sprintf("unexpected: %T", m)
}

func same(what string, got, want []string) error {
	if slices.Equal(got, want) {
		return nil
	}
	return fmt.Errorf("%s: got %.1000q, want %.1000q", what, got, want)
}
