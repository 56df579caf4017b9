package persistence

import (
	"fmt"

	"forge.lthn.ai/core/go-store/api"

	"google.golang.org/protobuf/proto"
)

// pageBytes is what ends a page of a replay early.
const pageBytes = 1 << 20

// replay hands events to an actor, page by page. Its scan of a page has ended when the
// first event of it is handed on, so that a slow actor holds no snapshot of the store.
type replay struct {
	provider *Provider
	actor    string
	group    string
	next     int    // the index of the next event
	end      int    // the first index that is not wanted; 0: all are
	strict   bool   // it is a recovery
	begun    bool   // an event was read
	first    place  // the first event that was handed on
	pages    int    // that had events
	revision uint64 // of the last event that was handed on
}

type event struct {
	index    int
	revision uint64
	message  proto.Message
}

// run returns the index that an error is about.
func (r *replay) run(callback func(any)) (int, error) {
	if r.next < 0 || r.end < 0 || r.end != 0 && r.end < r.next {
		return NoIndex, fmt.Errorf("events from %d and before %d: %w", r.next, r.end, InvalidIndexError)
	}
	for r.end == 0 || r.next < r.end {
		page, index, err := r.page()
		if len(page) > 0 {
			if r.pages++; r.pages == 1 {
				r.first = place{page[0].index, page[0].revision, true}
			}
		}
		for _, e := range page {
			r.next, r.revision = e.index+1, e.revision
			callback(e.message)
		}
		if err != nil {
			return index, err
		}
		if len(page) == 0 {
			return r.next, r.missing()
		}
	}
	return NoIndex, nil
}

// page reads the next events. With an error come those before it.
func (r *replay) page() (page []event, index int, err error) {
	to := string(kindEvent + 1)
	if r.end != 0 {
		to = keyOf(kindEvent, r.end)
	}
	next, size := r.next, 0
	for entry, err := range r.provider.store.Scan(api.ScanOptions{Groups: api.Exactly(r.group),
		From: keyOf(kindEvent, next), To: to, Limit: r.provider.page}) {
		if err != nil {
			return page, next, fmt.Errorf("read: %w", err)
		}
		index, err := indexOf(kindEvent, entry.Key)
		if err != nil {
			return page, next, err
		}
		if index != next {
			if err := r.gap(next, index); err != nil {
				return page, next, err
			}
			next = index
		}
		message, err := r.provider.decode(entry.Value, r.actor, entry.Key)
		if err != nil {
			return page, next, err
		}
		page, r.begun = append(page, event{index, entry.Revision, message}), true
		if next, size = next+1, size+len(entry.Value); size >= pageBytes {
			break
		}
	}
	return page, NoIndex, nil
}

// gap judges that events are missing from one index on and before another. Before
// anything was handed on those that were deleted may be passed over, but not in a
// recovery: the library would count the others from a wrong index on.
func (r *replay) gap(from, before int) error {
	d, err := r.provider.deletedOf(r.actor)
	switch {
	case err != nil:
		return err
	case d.through < from:
		return &GapError{From: from, To: before - 1}
	case d.through < before-1:
		return &GapError{From: d.through + 1, To: before - 1}
	case r.strict || r.begun:
		return &GapError{From: from, To: before - 1, Deleted: true}
	default:
		return nil
	}
}

// missing looks behind the end of a range of which not all was there: the history may
// end before, but not go on behind it.
func (r *replay) missing() error {
	if r.end == 0 {
		return nil
	}
	for entry, err := range r.provider.store.Scan(api.ScanOptions{Groups: api.Exactly(r.group),
		From: keyOf(kindEvent, r.end), To: string(kindEvent + 1), KeysOnly: true, Limit: 1}) {
		if err != nil {
			return fmt.Errorf("read: %w", err)
		}
		index, err := indexOf(kindEvent, entry.Key)
		if err != nil {
			return err
		}
		return r.gap(r.next, index)
	}
	return nil
}

// arrived is the position of an incarnation that has replayed all there is over its
// snapshot. What it has read is of several moments, but of one history if the row that it
// began with is still there.
func (r *replay) arrived(snapshot place) (at position, err error) {
	at = position{actor: r.actor, next: r.next, revision: r.revision}
	if !r.begun {
		if at.revision, err = r.tip(snapshot); err != nil {
			return at, err
		}
	}
	kind, begin := byte(kindSnapshot), snapshot
	if !snapshot.found {
		kind, begin = kindEvent, r.first
	}
	if !snapshot.found && r.pages <= 1 { // one moment
		return at, nil
	}
	now, err := r.provider.at(r.group, kind, begin.index)
	if err == nil && now != begin {
		err = fmt.Errorf("what it was recovering from was replaced or removed meanwhile: %w", FencedError)
	}
	return at, err
}

// tip is the history's, as it must be if there are no events over the snapshot.
func (r *replay) tip(snapshot place) (uint64, error) {
	if r.next > 0 {
		before, err := r.provider.at(r.group, kindEvent, r.next-1)
		if err != nil || before.found {
			return before.revision, err
		}
	}
	d, err := r.provider.deletedOf(r.actor)
	return d.tip(snapshot), err
}
