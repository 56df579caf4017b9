package api

import (
	"iter"
	"time"

	"forge.lthn.ai/core/go-store/engine"
)

// Health is what is wrong with a store.
type Health struct {
	// Err is nil if all is well. A FileLostError says what was done to the files: until
	// it is undone, writes fail with it. A DegradedError says what the disk answered:
	// the store refuses writes, tries again by itself, and recovers once one succeeds.
	// Reads go on in either case.
	//
	// An UnfoldedError says that the store can't write to its table what is in its log: writes
	// go on for as long as there is room for it in memory (WithOverlay). A CheckpointError
	// says that it can't move what is committed from the -wal into the database file: writes
	// go on, and the -wal grows. Of several of these errors.Is finds each. A lost file is told
	// alone.
	Err   error
	Since time.Time // when the first of it was noticed, by the store's clock or the machine's; the zero time if all is well
	// Unfolded is about how many bytes of memory have what was committed and is not in the
	// table of entries yet: see WithOverlay. WatchHealth yields no change of it alone.
	Unfolded int64
}

// Health looks at the store's files, and says what is wrong with them or with the disk.
// The store does so by itself too, before writes and every few seconds, and logs what
// it finds. Of a closed store Err is ClosedError. It costs some microseconds.
func (s *Store) Health() Health { return healthOf(s.inner().Health()) }

// WatchHealth yields the store's health as it is, and then each change of it, until the
// loop ends, the context that the store was given (WithContext) does, or the store is
// closed. While nothing changes it blocks. What changes during the loop's body is
// yielded after it, the latest state only. Any number of loops may run.
//
//	for health := range store.WithContext(ctx).WatchHealth() {
//		alarm.Set(health.Err != nil)
//	}
func (s *Store) WatchHealth() iter.Seq[Health] {
	return func(yield func(Health) bool) {
		for health := range s.inner().WatchHealth(s.context()) {
			if !yield(healthOf(health)) {
				return
			}
		}
	}
}

func healthOf(h engine.Health) Health {
	return Health{Err: wrap("Health", h.Err), Since: h.Since, Unfolded: h.Unfolded}
}
