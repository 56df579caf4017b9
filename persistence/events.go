package persistence

import (
	"errors"
	"fmt"
	"sync"

	"forge.lthn.ai/core/go-store/api"

	"google.golang.org/protobuf/proto"
)

// PersistEvent writes an event and blocks until it is durable. What other actors write
// meanwhile goes into the same commit.
func (s *state) PersistEvent(actorName string, eventIndex int, event proto.Message) {
	must("PersistEvent", actorName, eventIndex, s.persistEvent(actorName, eventIndex, event))
}

func (s *state) persistEvent(actor string, index int, event proto.Message) error {
	if index < 0 {
		return fmt.Errorf("it is negative: %w", InvalidIndexError)
	}
	at, known := s.at(actor)
	switch {
	case known && index < at.next:
		return DuplicateIndexError
	case known && index > at.next:
		return &GapError{From: at.next, To: index - 1}
	}
	key := keyOf(kindEvent, index)
	value, kind, err := s.provider.encode(event, actor, key)
	if err != nil {
		return err
	}
	b := batches.Get().(*api.Batch)
	defer func() { batches.Put(b.Reset()) }()
	group := s.provider.groupOf(actor)
	s.provider.remember(b.Set(group, key, value), kind)

	s.follow(b, group, index, at, known)
	revision, err := s.provider.store.Batch(b)
	var ahead *api.RevisionMismatchError
	if errors.As(err, &ahead) {
		if ahead.Key == key {
			return DuplicateIndexError
		}
		err = settle(func() (err error) {
			s.provider.remember(b.Reset().Set(group, key, value), kind)
			revision, err = s.insist(b, actor, index, at, known)
			return err
		})
	}
	if err != nil {
		return err
	}
	s.provider.remembered(kind)
	s.come(position{actor: actor, next: index + 1, revision: revision})
	return nil
}

var batches = sync.Pool{New: func() any { return new(api.Batch) }}

// follow has the batch fail unless there is no event with the index, and the one before
// it is there, as this incarnation has seen it. Nearly always that is so, and nothing
// has to be read.
func (s *state) follow(b *api.Batch, group string, index int, at position, known bool) {
	b.IfAbsent(group, keyOf(kindEvent, index))
	switch {
	case index == 0:
		b.IfAbsent(group, deletedKey)
		if known { // it has nothing else to be known by
			b.IfAbsent(group, keyOf(kindSnapshot, 0))
		}
	case known:
		b.IfRevision(group, keyOf(kindEvent, index-1), at.revision)
	default:
		b.IfPresent(group, keyOf(kindEvent, index-1))
	}
}

// insist writes an event whose predecessor is not there: it was deleted, and a snapshot
// stands for it; or else the event must not be written.
func (s *state) insist(b *api.Batch, actor string, index int, at position, known bool) (uint64, error) {
	h, err := s.provider.read(actor)
	if err != nil {
		return 0, err
	}
	if known {
		if err := at.overtaken(&h); err != nil {
			return 0, err
		}
	}
	next, err := h.next()
	if s.tool() && !h.remains() && index == h.end() {
		next = index
	}
	switch {
	case err != nil:
		return 0, err
	case index < next:
		return 0, DuplicateIndexError
	case index > next && h.end() >= index: // the incarnation goes on from what it has deleted
		return 0, &GapError{From: next, To: index - 1, Deleted: true}
	case index > next:
		return 0, &GapError{From: next, To: index - 1}
	}
	group := s.provider.groupOf(actor)
	h.unchanged(b, group)
	if !h.remains() && h.deleted.through != index-1 { // all is deleted: the history begins again from here
		if index == 0 {
			b.Delete(group, deletedKey)
		} else {
			b.Set(group, deletedKey, deleted{through: index - 1}.value(actor))
		}
	}
	return s.provider.store.Batch(b)
}

// GetEvents calls back with each event from eventIndexStart on and before
// eventIndexEnd; an end of 0 is none. Events that were deleted are passed over, but a
// recovery that would need them fails, and so does every call that finds others
// missing: with a *GapError.
func (s *state) GetEvents(actorName string, eventIndexStart, eventIndexEnd int, callback func(e any)) {
	snapshot, strict := s.recovers(actorName, eventIndexStart, eventIndexEnd)
	r := replay{provider: s.provider, actor: actorName, group: s.provider.groupOf(actorName), next: eventIndexStart, end: eventIndexEnd, strict: strict}
	index, err := r.run(callback)
	must("GetEvents", actorName, index, err)
	if strict {
		at, err := r.arrived(snapshot)
		must("GetEvents", actorName, r.next, err)
		s.come(at)
	}
}
