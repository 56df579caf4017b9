package conformance

import (
	"errors"
	"fmt"
	"math"
	"sync"

	"github.com/asynkron/protoactor-go/persistence"
)

var fenceChecks = []check{
	{"AnIndexIsTakenOnce", Fences, takenOnce},
	{"AnIndexThatWasDeletedIsTaken", Fences | Deletes, takenAndDeleted},
	{"AHistoryThatBeganAgainIsAnother", Fences | Deletes, begunAgain},
	{"ASnapshotAloneIsKnownFromAnother", Fences | Deletes, snapshotAlone},
	{"ASnapshotAloneAllowsNothingOfAnother", FencesSnapshots | Deletes, snapshotAloneWritesNothing},
	{"NoIndexIsLeftOut", RefusesGaps, leftOut},
	{"AnOldIncarnationMakesNoSnapshot", FencesSnapshots, oldSnapshot},
	{"AnOldIncarnationDeletesNothing", FencesSnapshots | Deletes, oldDeletes},
	{"TwoSystemsWithTheSameActor", Fences | Concurrent, twoSystems},
}

// duel is two incarnations of an actor, of which neither knows of the other.
func duel(s *subject, name string, begin func(persistence.ProviderState)) (provider persistence.Provider, old, young persistence.ProviderState, err error) {
	if provider, err = s.use(1 << 30); err != nil {
		return
	}
	first, _, err := incarnate(provider, name)
	if err != nil {
		return
	}
	if err = caught(func() { begin(first) }); err != nil {
		return
	}
	old, _, err1 := incarnate(provider, name)
	young, _, err2 := incarnate(provider, name)
	return provider, old, young, errors.Join(err1, err2)
}

// unharmed wants an actor to recover just so.
func unharmed(provider persistence.Provider, name string, want *recovered) error {
	_, got, err := incarnate(provider, name)
	if err != nil || !got.equal(want) {
		return fmt.Errorf("%s: recovered %v (%w), want %v", name, got, orNone(err), want)
	}
	return nil
}

func takenOnce(s *subject) error {
	for taken := range 4 {
		name := fmt.Sprint("taken ", taken)
		provider, old, young, err := duel(s, name, func(state persistence.ProviderState) { persist(state, name, 0, taken) })
		if err != nil {
			return err
		}
		persist(young, name, taken, taken+3)
		for range 2 {
			err = refused("an event whose index is taken", s.options.Fenced, func() { old.PersistEvent(name, taken, message("of the old one")) })
			if err := errors.Join(err, unharmed(provider, name, &recovered{"", 0, eventTexts(name, 0, taken+3)})); err != nil {
				return err
			}
		}
		persist(young, name, taken+3, taken+4)
		old, got, err := incarnate(provider, name)
		if err != nil {
			return err
		}
		persist(old, name, got.next(), got.next()+1)
		if err := refused("an event whose index is taken", s.options.Fenced, func() { young.PersistEvent(name, taken+4, message("of the young one")) }); err != nil {
			return err
		}
	}
	return nil
}

// takenAndDeleted: the row that would show that the index is taken is not there.
func takenAndDeleted(s *subject) error {
	for _, written := range []int{1, 2, 5} {
		for _, after := range []int{0, 1, 2} {
			name := fmt.Sprint(written, " deleted, then ", after)
			provider, old, young, err := duel(s, name, func(state persistence.ProviderState) { persist(state, name, 0, 3) })
			if err != nil {
				return err
			}
			end := 3 + written
			persist(young, name, 3, end)
			young.PersistSnapshot(name, end, message(snapshotText(name, end)))
			young.DeleteEvents(name, end-1)
			persist(young, name, end, end+after)
			err = refused("an event whose index was taken", s.options.Fenced, func() { old.PersistEvent(name, 3, message("of the old one")) })
			want := &recovered{snapshotText(name, end), end, eventTexts(name, end, end+after)}
			if err := errors.Join(err, unharmed(provider, name, want)); err != nil {
				return err
			}
			persist(young, name, end+after, end+after+1)
		}
	}
	return nil
}

// begunAgain: the indexes fit, the events are others.
func begunAgain(s *subject) error {
	provider, old, _, err := duel(s, "a", func(state persistence.ProviderState) { persist(state, "a", 0, 3) })
	if err != nil {
		return err
	}
	provider.GetState().DeleteEvents("a", 2)
	young, got, err := incarnate(provider, "a")
	if err != nil || got.next() != 0 {
		return fmt.Errorf("recovered %v (%w)", got, orNone(err))
	}
	want := &recovered{}
	for i := range 5 {
		young.PersistEvent("a", i, message("again"))
		want.events = append(want.events, "again")
		err := refused("an event of a history that is gone", s.options.Fenced, func() { old.PersistEvent("a", 3, message("of the old one")) })
		if err := errors.Join(err, unharmed(provider, "a", want)); err != nil {
			return fmt.Errorf("after %d events: %w", i+1, err)
		}
	}
	return nil
}

// alone has both sides of a duel recover from a snapshot with nothing behind it, then the
// actor begin again, and come just as far. others is what is there then.
func alone(s *subject, name string, eventsStay, snapshotStays bool) (provider persistence.Provider, old persistence.ProviderState, others *recovered, err error) {
	const end = 3
	provider, old, _, err = duel(s, name, func(state persistence.ProviderState) {
		persist(state, name, 0, end)
		state.PersistSnapshot(name, end, message(snapshotText(name, end)))
		if !eventsStay {
			state.DeleteEvents(name, end-1)
		}
	})
	if err != nil {
		return
	}
	provider.GetState().DeleteSnapshots(name, end)
	provider.GetState().DeleteEvents(name, end-1)
	young, got, err := incarnate(provider, name)
	if err != nil || got.next() != 0 {
		return nil, nil, nil, fmt.Errorf("recovered %v (%w)", got, orNone(err))
	}
	others = &recovered{}
	for i := range end {
		young.PersistEvent(name, i, message("again"))
		others.events = append(others.events, "again")
	}
	if snapshotStays {
		young.PersistSnapshot(name, end, message("of the young one"))
		young.DeleteEvents(name, end-1)
		others = &recovered{"of the young one", end, nil}
	}
	return provider, old, others, nil
}

// eachAlone tries it with histories whose last event is there, and with such as have a
// snapshot only.
func eachAlone(s *subject, try func(name string, old persistence.ProviderState) error) error {
	for i := range 4 {
		name := fmt.Sprint("alone ", i)
		provider, old, others, err := alone(s, name, i&1 != 0, i&2 != 0)
		if err != nil {
			return err
		}
		if err := errors.Join(try(name, old), unharmed(provider, name, others)); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

// snapshotAlone: there is no event that an incarnation could know its history by, and the
// indexes fit.
func snapshotAlone(s *subject) error {
	return eachAlone(s, func(name string, old persistence.ProviderState) error {
		return refused("an event over a snapshot that is gone", s.options.Fenced, func() { old.PersistEvent(name, 3, message("of the old one")) })
	})
}

func snapshotAloneWritesNothing(s *subject) error {
	return eachAlone(s, func(name string, old persistence.ProviderState) error {
		return errors.Join(
			refused("a snapshot of a history that is gone", s.options.Fenced, func() { old.PersistSnapshot(name, 3, message("of the old one")) }),
			refused("deleting events", s.options.Fenced, func() { old.DeleteEvents(name, 2) }),
			refused("deleting snapshots", s.options.Fenced, func() { old.DeleteSnapshots(name, 3) }))
	})
}

func leftOut(s *subject) error {
	state, err := s.state()
	if err != nil {
		return err
	}
	for end := range 4 {
		for _, index := range []int{end + 1, end + 2, end + 100, math.MaxInt - 1} {
			if err := refused("an event that leaves others out", nil, func() { state.PersistEvent("a", index, message("too far")) }); err != nil {
				return fmt.Errorf("%d events, index %d: %w", end, index, err)
			}
		}
		persist(state, "a", end, end+1)
	}
	if err := refused("an event with a negative index", nil, func() { state.PersistEvent("a", -1, message("negative")) }); err != nil {
		return err
	}
	return same("events", eventsOf(state, "a", 0, 0), eventTexts("a", 0, 4))
}

func oldSnapshot(s *subject) error {
	provider, old, young, err := duel(s, "a", func(state persistence.ProviderState) { persist(state, "a", 0, 3) })
	if err != nil {
		return err
	}
	persist(young, "a", 3, 6)
	try := func(want *recovered) error {
		for index := range 5 {
			if err := refused(fmt.Sprint("a snapshot with index ", index), s.options.Fenced, func() { old.PersistSnapshot("a", index, message("of the old one")) }); err != nil {
				return err
			}
		}
		return unharmed(provider, "a", want)
	}
	if err := try(&recovered{"", 0, eventTexts("a", 0, 6)}); err != nil {
		return err
	}
	young.PersistSnapshot("a", 5, message("of the young one"))
	if err := try(&recovered{"of the young one", 5, eventTexts("a", 5, 6)}); err != nil {
		return err
	}
	if err := refused("an older snapshot", s.options.Fenced, func() { young.PersistSnapshot("a", 4, message("older")) }); err != nil {
		return err
	}
	young.PersistSnapshot("a", 6, message("the newest"))
	return try(&recovered{"the newest", 6, nil})
}

func oldDeletes(s *subject) error {
	provider, old, young, err := duel(s, "a", func(state persistence.ProviderState) {
		persist(state, "a", 0, 4)
		state.PersistSnapshot("a", 2, message("earlier"))
	})
	if err != nil {
		return err
	}
	persist(young, "a", 4, 6)
	young.PersistSnapshot("a", 5, message("newest"))
	for _, through := range []int{1, 2, 5, 100} {
		err := errors.Join(
			refused("deleting events", s.options.Fenced, func() { old.DeleteEvents("a", through) }),
			refused("deleting snapshots", s.options.Fenced, func() { old.DeleteSnapshots("a", through) }),
			unharmed(provider, "a", &recovered{"newest", 5, eventTexts("a", 5, 6)}),
			same("events", eventsOf(provider.GetState(), "a", 0, 0), eventTexts("a", 0, 6)))
		if err != nil {
			return err
		}
	}
	young.DeleteSnapshots("a", 4)
	young.DeleteEvents("a", 4)
	return unharmed(provider, "a", &recovered{"newest", 5, eventTexts("a", 5, 6)})
}

// twoSystems: an actor is alive twice, as in a cluster that has come apart. What is
// acknowledged to either is in the history once, and what was refused is not.
func twoSystems(s *subject) error {
	provider, err := s.use(7)
	if err != nil {
		return err
	}
	const rounds = 60
	var mu sync.Mutex
	taken, turnedDown := map[string]bool{}, map[string]bool{}
	errs := make([]error, 2)
	var wait sync.WaitGroup
	for side := range errs {
		system := s.start(provider)
		wait.Go(func() {
			pid, err := system.spawn("a")
			for i := 0; err == nil && i < rounds; i++ {
				event := fmt.Sprintf("%d of side %d", i, side)
				var answer told
				if answer, err = system.ask(pid, add{event}); err == nil {
					mu.Lock()
					taken[event], turnedDown[event] = answer.err == nil, answer.err != nil
					mu.Unlock()
				}
			}
			errs[side] = err
		})
	}
	wait.Wait()
	if err := errors.Join(errs...); err != nil {
		return err
	}
	state := provider.GetState()
	system := s.start(provider)
	got, err := system.run("a", nil)
	if err != nil {
		return err
	}
	var history []string
	state.GetEvents("a", 0, 0, func(e any) { history = append(history, stringOf(e)) })
	if want := digestOf(history); got.digest != want {
		return fmt.Errorf("the actor is %v, its events make %v", got.digest, want)
	}
	for _, event := range history {
		if !taken[event] { // each once
			return fmt.Errorf("%q is in the history twice, or was refused (%v)", event, turnedDown[event])
		}
		delete(taken, event)
	}
	for event, acknowledged := range taken {
		if acknowledged {
			return fmt.Errorf("%q was acknowledged, and is not in the history", event)
		}
	}
	return nil
}
