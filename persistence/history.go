package persistence

import (
	"errors"
	"fmt"

	"forge.lthn.ai/core/go-store/api"
)

// place is where a row of an actor is: its index, and its revision. A row that was not
// found has index -1.
type place struct {
	index    int
	revision uint64
	found    bool
}

var nowhere = place{index: -1}

// history is what there is of an actor, without what it says.
//
// Events are deleted from the first one on only, so that those that are there go from
// deleted.through+1 to last. An event is written at the index that next says and at no
// other; that is the rule from which all fencing follows.
type history struct {
	deleted  deleted
	snapshot place // the newest one
	last     place // the last event
}

// remains: there are events.
func (h *history) remains() bool { return h.last.found }

// start is the index that a recovery begins to replay from: that of the newest
// snapshot, which holds the events before it.
func (h *history) start() int { return max(h.snapshot.index, 0) }

// end is the index behind the last event, deleted ones included.
func (h *history) end() int { return max(h.last.index, h.deleted.through) + 1 }

// tip is a revision that is another one in every other history of the actor, of equal
// length too: that of the last event, be it deleted; else that of the row which the
// history begins with. 0: there is nothing.
func (h *history) tip() uint64 {
	if h.remains() {
		return h.last.revision
	}
	return h.deleted.tip(h.snapshot)
}

// tip is that of a history without events.
func (d deleted) tip(snapshot place) uint64 {
	switch {
	case d.event != 0:
		return d.event
	case d.revision != 0:
		return d.revision
	default:
		return snapshot.revision
	}
}

// empty: there never was an event, so that the tip is that of a snapshot, if any.
func (h *history) empty() bool { return !h.remains() && h.deleted.revision == 0 }

// next is the index that a recovery would come to: where the next event goes. Where all
// events were deleted that no snapshot stands for, the actor begins again from its
// newest snapshot, or from nothing; where later ones are left it is a *GapError.
func (h *history) next() (int, error) {
	if !h.remains() {
		return h.start(), nil
	}
	if h.deleted.through >= h.start() {
		return 0, &GapError{From: h.start(), To: h.deleted.through, Deleted: true}
	}
	return max(h.end(), h.start()), nil
}

// unchanged has a batch fail if another writer has written or deleted the actor's last events,
// or its newest snapshot, since the history was read.
func (h *history) unchanged(b *api.Batch, group string) {
	if h.snapshot.found {
		b.IfRevision(group, keyOf(kindSnapshot, h.snapshot.index), h.snapshot.revision)
	} else if !h.remains() { // one that an incarnation may write goes here
		b.IfAbsent(group, keyOf(kindSnapshot, h.start()))
		b.IfAbsent(group, keyOf(kindSnapshot, h.end()))
	}
	if h.remains() {
		b.IfRevision(group, keyOf(kindEvent, h.last.index), h.last.revision)
	} else {
		b.IfRevision(group, deletedKey, h.deleted.revision)
	}
	b.IfAbsent(group, keyOf(kindEvent, h.end()))
}

// read reads the history. Its reads are not of one moment, but what was deleted is the
// same before and after; what is written behind them a condition must find.
func (p *Provider) read(actor string) (h history, err error) {
	group := p.groupOf(actor)
	for {
		if h.deleted, err = p.deletedOf(actor); err != nil {
			return h, err
		}
		if h.snapshot, err = p.newestSnapshot(actor); err != nil {
			return h, err
		}
		if h.last, err = p.lastOf(group, kindEvent); err != nil {
			return h, err
		}
		again, err := p.deletedOf(actor)
		if err != nil {
			return h, err
		}
		if again == h.deleted {
			break
		}
	}
	if h.remains() && h.last.index <= h.deleted.through {
		return h, fmt.Errorf("event %d is there, but those up to %d were deleted: %w", h.last.index, h.deleted.through, DamagedRowError)
	}
	return h, nil
}

func (p *Provider) deletedOf(actor string) (deleted, error) {
	entry, err := p.store.Entry(p.groupOf(actor), deletedKey)
	if errors.Is(err, api.NotFoundError) {
		return deleted{through: -1}, nil
	}
	if err != nil {
		return deleted{}, fmt.Errorf("read what was deleted: %w", err)
	}
	d, err := parseDeleted(entry.Value, actor)
	if err != nil {
		return deleted{}, fmt.Errorf("what was deleted: %w", err)
	}
	d.revision = entry.Revision
	return d, nil
}

func (p *Provider) newestSnapshot(actor string) (place, error) {
	return p.lastOf(p.groupOf(actor), kindSnapshot)
}

// lastOf is the row of a kind with the largest index.
func (p *Provider) lastOf(group string, kind byte) (place, error) {
	return p.placeOf(group, kind, string(kind), string(kind+1))
}

// at is the row of a kind with an index.
func (p *Provider) at(group string, kind byte, index int) (place, error) {
	return p.placeOf(group, kind, keyOf(kind, index), behind(kind, index))
}

func (p *Provider) placeOf(group string, kind byte, from, to string) (place, error) {
	for entry, err := range p.store.Scan(api.ScanOptions{Groups: api.Exactly(group),
		From: from, To: to, Reverse: true, KeysOnly: true, Limit: 1}) {
		if err != nil {
			return nowhere, fmt.Errorf("read: %w", err)
		}
		index, err := indexOf(kind, entry.Key)
		return place{index: index, revision: entry.Revision, found: true}, err
	}
	return nowhere, nil
}
