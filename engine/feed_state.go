package engine

import (
	"cmp"
	"slices"

	"forge.lthn.ai/core/go-store/internal/storage"
	"forge.lthn.ai/core/go-store/kv"
)

// state yields the entries that there are and match, from one snapshot, then
// the marker. The changes that follow are those after the snapshot's revision.
func (f *feed) state() error {
	e := f.engine
	now := e.clock.ReadMillis() // before the snapshot: see there
	s, err := e.database.Snapshot(f.ctx)
	if err != nil {
		return err
	}
	defer s.Close()
	for _, r := range f.ranges() {
		for row, err := range s.Scan(f.ctx, storage.Query{Groups: r, Keys: f.keys()}, now) {
			if err != nil {
				return err
			}
			event := kv.Event{Type: kv.EventSet, Group: row.Group, Key: row.Key, Value: row.Value,
				Revision: row.Revision, ExpiresAt: kv.DeadlineTime(row.Deadline)}
			if f.matches(&event) && !f.yield(event, nil) {
				return errStopped
			}
		}
	}
	f.position, f.reported = s.Revision(), s.Revision()
	s.Close() // the loop's body may take its time with the marker
	if !f.yield(kv.Event{Type: kv.EventSynced, Revision: f.position, Timestamp: e.clock.Now()}, nil) {
		return errStopped
	}
	return nil
}

// keys is the range of the keys that match: of all if there is more than one
// filter.
func (f *feed) keys() kv.Range {
	if len(f.options.Filters) == 1 {
		return f.options.Filters[0].Key.Range()
	}
	return storage.AllKeys
}

// ranges are the groups that match, in their order, none twice.
func (f *feed) ranges() (ranges []kv.Range) {
	for _, filter := range f.options.Filters {
		ranges = append(ranges, filter.Group.Range())
	}
	slices.SortFunc(ranges, func(a, b kv.Range) int { return cmp.Compare(a.From, b.From) })
	merged := ranges[:1]
	for _, r := range ranges[1:] {
		switch last := &merged[len(merged)-1]; {
		case last.Unbounded:
		case r.From > last.To:
			merged = append(merged, r)
		case r.Unbounded || r.To > last.To:
			last.To, last.Unbounded = r.To, r.Unbounded
		}
	}
	return merged
}
