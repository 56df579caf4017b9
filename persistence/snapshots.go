package persistence

import (
	"fmt"

	"forge.lthn.ai/core/go-store/api"

	"google.golang.org/protobuf/proto"
)

// GetSnapshot is the newest snapshot of an actor, and its index: that of the first
// event to be replayed over it.
func (s *state) GetSnapshot(actorName string) (snapshot any, eventIndex int, ok bool) {
	message, at, err := s.provider.snapshot(actorName)
	must("GetSnapshot", actorName, at.index, err)
	s.began(actorName, at)
	if message == nil {
		return nil, 0, false
	}
	return message, at.index, true
}

func (p *Provider) snapshot(actor string) (message proto.Message, at place, err error) {
	for entry, err := range p.store.Scan(api.ScanOptions{Groups: api.Exactly(p.groupOf(actor)),
		From: string(kindSnapshot), To: string(kindSnapshot + 1), Reverse: true, Limit: 1}) {
		if err != nil {
			return nil, nowhere, fmt.Errorf("read: %w", err)
		}
		index, err := indexOf(kindSnapshot, entry.Key)
		if err != nil {
			return nil, nowhere, err
		}
		message, err = p.decode(entry.Value, actor, entry.Key)
		return message, place{index: index, revision: entry.Revision, found: true}, err
	}
	return nil, nowhere, nil
}

// PersistSnapshot writes what the events before snapshotIndex have made, and blocks
// until it is durable. A snapshot with the index of the newest one replaces it.
func (s *state) PersistSnapshot(actorName string, snapshotIndex int, snapshot proto.Message) {
	must("PersistSnapshot", actorName, snapshotIndex, s.persistSnapshot(actorName, snapshotIndex, snapshot))
}

func (s *state) persistSnapshot(actor string, index int, snapshot proto.Message) error {
	if index < 0 {
		return fmt.Errorf("it is negative: %w", InvalidIndexError)
	}
	key := keyOf(kindSnapshot, index)
	value, kind, err := s.provider.encode(snapshot, actor, key)
	if err != nil {
		return err
	}
	group := s.provider.groupOf(actor)
	err = settle(func() error {
		h, err := s.provider.read(actor)
		if err != nil {
			return err
		}
		b := new(api.Batch).Set(group, key, value)
		s.provider.remember(b, kind)
		if err := s.admitSnapshot(b, actor, index, &h); err != nil {
			return err
		}
		h.unchanged(b, group)
		revision, err := s.provider.store.Batch(b)
		if err == nil && h.empty() {
			s.tipped(actor, revision)
		}
		return err
	})
	if err == nil {
		s.provider.remembered(kind)
	}
	return err
}

// admitSnapshot refuses a snapshot that a recovery would not come from to where the
// history is: of an incarnation that others have overtaken, of events that were not
// written, of before events that were deleted.
func (s *state) admitSnapshot(b *api.Batch, actor string, index int, h *history) error {
	at, known := s.at(actor)
	if known {
		if err := at.overtaken(h); err != nil {
			return err
		}
	}
	end := max(h.end(), h.start())
	switch {
	case index < h.snapshot.index:
		return fmt.Errorf("there is one with index %d: %w", h.snapshot.index, FencedError)
	case index > end && !known && !h.remains(): // an actor from elsewhere: its history begins here
		b.Set(s.provider.groupOf(actor), deletedKey, deleted{through: index - 1}.value(actor))
	case index > end:
		return &GapError{From: end, To: index - 1}
	case !s.tool() && index <= h.deleted.through && (h.remains() || index != h.start()):
		return &GapError{From: index, To: h.deleted.through, Deleted: true}
	}
	return nil
}

// DeleteSnapshots removes snapshots with indexes up to and with inclusiveToIndex. It
// blocks until that is durable.
func (s *state) DeleteSnapshots(actorName string, inclusiveToIndex int) {
	must("DeleteSnapshots", actorName, inclusiveToIndex, s.deleteSnapshots(actorName, inclusiveToIndex))
}

func (s *state) deleteSnapshots(actor string, through int) error {
	return settled(func() (bool, error) { return s.deletePage(actor, kindSnapshot, through, nowhere) })
}

// DeleteEvents removes events with indexes up to and with inclusiveToIndex. It blocks
// until that is durable; when it fails or is killed in between, the first ones may be
// gone.
func (s *state) DeleteEvents(actorName string, inclusiveToIndex int) {
	must("DeleteEvents", actorName, inclusiveToIndex, s.deleteEvents(actorName, inclusiveToIndex))
}

func (s *state) deleteEvents(actor string, through int) error {
	return settled(func() (bool, error) { return s.deletePage(actor, kindEvent, through, nowhere) })
}

// trim removes what the newest snapshot stands for, as long as it is there.
func (s *state) trim(actor string) (newest place, err error) {
	for _, kind := range []byte{kindSnapshot, kindEvent} {
		err = settled(func() (more bool, err error) {
			if newest, err = s.provider.newestSnapshot(actor); err != nil || !newest.found {
				return false, err
			}
			return s.deletePage(actor, kind, newest.index-1, newest)
		})
		if err != nil || !newest.found {
			break
		}
	}
	return newest, err
}

// deletedAtOnce is how many rows are deleted in one commit.
const deletedAtOnce = 1024

// settled settles page after page.
func settled(page func() (more bool, err error)) error {
	for more := true; more; {
		err := settle(func() (err error) {
			more, err = page()
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// deletePage removes rows of a kind up to and with an index. What an index below zero
// means is nothing: callers compute it. If a snapshot is to stand for them it must be
// there when they go.
func (s *state) deletePage(actor string, kind byte, through int, stands place) (more bool, err error) {
	if through < 0 {
		return false, nil
	}
	h, err := s.provider.read(actor)
	if err != nil {
		return false, err
	}
	b, group := new(api.Batch), s.provider.groupOf(actor)
	if at, known := s.at(actor); known {
		if err := at.overtaken(&h); err != nil {
			return false, err
		}
		h.unchanged(b, group)
	}
	last := nowhere
	for entry, err := range s.provider.store.Scan(api.ScanOptions{Groups: api.Exactly(group),
		From: string(kind), To: behind(kind, through), KeysOnly: true, Limit: s.provider.deletes}) {
		if err != nil {
			return false, fmt.Errorf("read: %w", err)
		}
		if last.index, err = indexOf(kind, entry.Key); err != nil {
			return false, err
		}
		last.revision, last.found = entry.Revision, true
		b.Delete(group, entry.Key)
	}
	if !last.found {
		return false, nil
	}
	if kind == kindEvent {
		b.IfRevision(group, deletedKey, h.deleted.revision)
		b.Set(group, deletedKey, deleted{through: last.index, event: last.revision}.value(actor))
	}
	if stands.found {
		b.IfRevision(group, keyOf(kindSnapshot, stands.index), stands.revision)
	}
	_, err = s.provider.store.Batch(b)
	if err == nil && h.empty() {
		s.tipped(actor, 0)
	}
	return b.Len() >= s.provider.deletes, err
}
