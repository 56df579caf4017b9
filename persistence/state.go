package persistence

import (
	"errors"
	"fmt"
	"sync"

	"forge.lthn.ai/core/go-store/api"
)

// state is the library's ProviderState for one incarnation of an actor. It can be used
// for any number of actors too, by any number of goroutines; then it knows of none what
// its incarnation has seen, and what it refuses is what can be told by the rows alone.
type state struct {
	provider *Provider

	mu struct {
		sync.Mutex
		incarnation bool      // an actor's, which has restarted with it
		recovery    *recovery // under way between Restart and the end of the replay
		position    *position // what the incarnation has come to; nil: not known
	}
}

// recovery is what an incarnation replays: from its snapshot on, without an end.
type recovery struct {
	actor    string
	snapshot place
}

// position is how far an incarnation has come. Its state is what the events before next
// have made.
type position struct {
	actor string
	next  int
	// revision is the history's tip: nearly always that of the event before next.
	revision uint64
}

// Restart says that another incarnation begins with this state, and replays.
func (s *state) Restart() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mu.incarnation, s.mu.recovery, s.mu.position = true, &recovery{}, nil
}

// tool says that no actor has begun with this state: it is in the hands of something
// that reads and writes histories, and may write one that no actor could replay.
func (s *state) tool() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.mu.incarnation
}

// GetSnapshotInterval is the interval; a large one if it is off.
func (s *state) GetSnapshotInterval() int { return s.provider.interval }

// began notes which snapshot a recovery has been given.
func (s *state) began(actor string, snapshot place) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mu.recovery != nil {
		s.mu.recovery = &recovery{actor: actor, snapshot: snapshot}
	}
}

// recovers says whether a replay is that of a recovery, and over which snapshot.
func (s *state) recovers(actor string, start, end int) (snapshot place, recovers bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.mu.recovery
	if r == nil || r.actor != actor || start != max(r.snapshot.index, 0) || end != 0 {
		return nowhere, false
	}
	return r.snapshot, true
}

// come notes how far the incarnation has come.
func (s *state) come(to position) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mu.recovery, s.mu.position = nil, &to
}

// tipped notes that the incarnation has changed the history's tip without an event.
func (s *state) tipped(actor string, revision uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if at := s.mu.position; at != nil && at.actor == actor {
		s.mu.position = &position{actor: actor, next: at.next, revision: revision}
	}
}

// at is how far the incarnation has come, if that is known.
func (s *state) at(actor string) (position, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if at := s.mu.position; at != nil && at.actor == actor {
		return *at, true
	}
	return position{}, false
}

// overtaken is why an incarnation is not at the end of the history: nil, if it is.
func (at position) overtaken(h *history) error {
	if at.revision == h.tip() {
		if next, err := h.next(); at.next == h.end() || err == nil && at.next == next {
			return nil
		}
	}
	if at.next < h.end() {
		return fmt.Errorf("it has come to event %d, the actor to %d: %w", at.next, h.end(), FencedError)
	}
	return fmt.Errorf("what it has come to, event %d, is no more there: %w", at.next, FencedError)
}

// attempts is how often something is tried anew because another write has got ahead of it.
const attempts = 16

// settle tries something until no other write has got ahead of it.
func settle(try func() error) (err error) {
	for range attempts {
		var ahead *api.RevisionMismatchError
		if err = try(); !errors.As(err, &ahead) {
			return err
		}
	}
	return fmt.Errorf("others got ahead of it %d times, at last: %w: %w", attempts, FencedError, err)
}
