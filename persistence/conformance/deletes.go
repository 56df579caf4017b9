package conformance

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/asynkron/protoactor-go/persistence"
)

var deleteChecks = []check{
	{"EventsAreDeletedUpToAndWith", Deletes, deleteEvents},
	{"SnapshotsAreDeletedUpToAndWith", Deletes, deleteSnapshots},
	{"DeletingConcernsOneActor", Deletes, deleteOne},
	{"ManyEventsAreDeleted", Deletes, deleteMany},
	{"AnActorGoesOnAfterDeleting", Deletes, goesOn},
}

func deleteEvents(s *subject) error {
	provider, err := s.use(1 << 30)
	if err != nil {
		return err
	}
	const n = 12
	for through := -2; through < n-1; through++ {
		name := fmt.Sprint("through ", through)
		state := provider.GetState()
		persist(state, name, 0, n)
		state.PersistSnapshot(name, n-1, message(snapshotText(name, n-1)))
		for range 2 { // the second time there is nothing to do
			state.DeleteEvents(name, through)
			if err := kept(provider, name, through, n); err != nil {
				return err
			}
		}
	}
	return nil
}

// kept: events up to and with one index are gone, and those behind it are there.
func kept(provider persistence.Provider, name string, through, end int) error {
	state, first := provider.GetState(), max(through+1, 0)
	if err := same(name+": events behind", eventsOf(state, name, first, 0), eventTexts(name, first, end)); err != nil {
		return err
	}
	var delivered []string
	_ = caught(func() { delivered = eventsOf(state, name, 0, 0) }) // a provider may refuse that
	for _, event := range eventTexts(name, 0, first) {
		if slices.Contains(delivered, event) {
			return fmt.Errorf("%s: %q is still there", name, event)
		}
	}
	return nil
}

func deleteSnapshots(s *subject) error {
	provider, err := s.use(1 << 30)
	if err != nil {
		return err
	}
	indexes := []int{0, 3, 4, 9, 12}
	for _, through := range []int{-1, 0, 1, 3, 8, 9, 11} {
		name := fmt.Sprint("through ", through)
		state := provider.GetState()
		persist(state, name, 0, 12)
		for _, index := range indexes {
			state.PersistSnapshot(name, index, message(snapshotText(name, index)))
		}
		state.DeleteSnapshots(name, through)
		if _, index, ok := state.GetSnapshot(name); !ok || index != 12 {
			return fmt.Errorf("%s: the newest is %d (%v)", name, index, ok)
		}
		state.DeleteSnapshots(name, 12)
		if _, index, ok := state.GetSnapshot(name); ok {
			return fmt.Errorf("%s: after all were deleted there is %d", name, index)
		}
		if err := same(name+": events", eventsOf(state, name, 0, 0), eventTexts(name, 0, 12)); err != nil {
			return err
		}
	}
	return nil
}

func deleteOne(s *subject) error {
	state, err := s.state()
	if err != nil {
		return err
	}
	names := []string{"a", "aa", "a/b", "b"}
	for _, name := range names {
		persist(state, name, 0, 5)
		state.PersistSnapshot(name, 4, message(snapshotText(name, 4)))
	}
	state.DeleteEvents("a", 3)
	state.DeleteSnapshots("a", math.MaxInt)
	for _, name := range names[1:] {
		if snapshot, index, ok := state.GetSnapshot(name); !ok || index != 4 || text(snapshot) != snapshotText(name, 4) {
			return fmt.Errorf("snapshot of %s: %v, %d, %v", name, snapshot, index, ok)
		}
		if err := same(name, eventsOf(state, name, 0, 0), eventTexts(name, 0, 5)); err != nil {
			return err
		}
	}
	return nil
}

func deleteMany(s *subject) error {
	provider, err := s.use(1 << 30)
	if err != nil {
		return err
	}
	const n, through = 1200, 1100
	state := provider.GetState()
	persist(state, "a", 0, n)
	state.PersistSnapshot("a", n, message("all"))
	state.DeleteEvents("a", through)
	if err := kept(provider, "a", through, n); err != nil {
		return err
	}
	state.DeleteEvents("a", math.MaxInt)
	return kept(provider, "a", n-1, n)
}

// goesOn: an incarnation deletes what its snapshots stand for, and all that it and its
// successors come to is as if it had not.
func goesOn(s *subject) error {
	provider, err := s.use(1 << 30)
	if err != nil {
		return err
	}
	end := 0
	for round := range 12 {
		state, got, err := incarnate(provider, "a")
		if err != nil {
			return fmt.Errorf("round %d: %w", round, err)
		}
		if got.next() != end {
			return fmt.Errorf("round %d: the next event would be %d, should be %d: %v", round, got.next(), end, got)
		}
		if err := same(fmt.Sprint("round ", round), got.events, eventTexts("a", got.start, end)); err != nil {
			return err
		}
		persist(state, "a", end, end+round%4)
		end += round % 4
		state.PersistSnapshot("a", end, message(snapshotText("a", end)))
		if round%3 != 0 {
			state.DeleteSnapshots("a", end-1)
		}
		if round%2 == 0 {
			state.DeleteEvents("a", end-1)
		}
		persist(state, "a", end, end+round%3)
		end += round % 3
	}
	// Without anything left the actor begins again.
	state := provider.GetState()
	state.DeleteSnapshots("a", math.MaxInt)
	state.DeleteEvents("a", math.MaxInt)
	state, got, err := incarnate(provider, "a")
	if err != nil || !got.equal(&recovered{}) {
		return fmt.Errorf("after all was deleted: %v (%w)", got, orNone(err))
	}
	persist(state, "a", 0, 2)
	_, got, err = incarnate(provider, "a")
	return errors.Join(err, same("begun again", got.events, eventTexts("a", 0, 2)))
}
