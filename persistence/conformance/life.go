package conformance

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"

	"github.com/asynkron/protoactor-go/persistence"
)

var lifeChecks = []check{
	{"RandomLivesAgreeWithAModel", 0, func(s *subject) error { return randomLives(s, false) }},
	{"WhatWasWrittenIsThereWhenOpenedAgain", Durable, func(s *subject) error { return randomLives(s, true) }},
}

// What an incarnation of an actor does.
const (
	writeEvent     = "event"
	writeSnapshot  = "snapshot"
	dropEvents     = "delete-events"
	dropSnapshots  = "delete-snapshots"
	beginAnew      = "restart"
	scriptedActors = 3
)

// step is one of them, with an index.
type step struct {
	kind  string
	actor string
	index int
}

func (s step) String() string { return fmt.Sprint(s.kind, " ", s.actor, " ", s.index) }

func parseStep(line string) (s step, err error) {
	words := strings.Fields(line)
	if len(words) != 3 {
		return s, fmt.Errorf("%q is no step", line)
	}
	s.kind, s.actor = words[0], words[1]
	s.index, err = strconv.Atoi(words[2])
	return s, err
}

// take does it with the provider.
func (s step) take(provider persistence.Provider, states map[string]persistence.ProviderState) error {
	state := states[s.actor]
	if state == nil || s.kind == beginAnew {
		begun, _, err := incarnate(provider, s.actor)
		if err != nil {
			return fmt.Errorf("%v: %w", s, err)
		}
		state, states[s.actor] = begun, begun
	}
	err := caught(func() {
		switch s.kind {
		case writeEvent:
			persist(state, s.actor, s.index, s.index+1)
		case writeSnapshot:
			state.PersistSnapshot(s.actor, s.index, message(snapshotText(s.actor, s.index)))
		case dropEvents:
			state.DeleteEvents(s.actor, s.index)
		case dropSnapshots:
			state.DeleteSnapshots(s.actor, s.index)
		}
	})
	if err != nil {
		return fmt.Errorf("%v: %w", s, err)
	}
	return nil
}

// model is what there must be: for each actor which events, and which snapshots.
type model map[string]modelled

func newModel(life string) model {
	m := model{}
	for i := range scriptedActors {
		m[fmt.Sprintf("%s-actor-%d", life, i)] = modelled{}
	}
	return m
}

type modelled struct {
	first, end int   // events from first on and before end
	snapshots  []int // in their order
}

func (m modelled) newest() int {
	if len(m.snapshots) == 0 {
		return -1
	}
	return m.snapshots[len(m.snapshots)-1]
}

// take returns the model after the step; the one that it is called on stays.
func (m model) take(s step) model {
	after := maps.Clone(m)
	a := after[s.actor]
	switch s.kind {
	case writeEvent:
		a.end = s.index + 1
	case writeSnapshot:
		if a.newest() != s.index {
			a.snapshots = append(slices.Clone(a.snapshots), s.index)
		}
	case dropEvents:
		a.first = max(a.first, min(s.index+1, a.end))
	case dropSnapshots:
		a.snapshots = slices.DeleteFunc(slices.Clone(a.snapshots), func(index int) bool { return index <= s.index })
	}
	after[s.actor] = a
	return after
}

// next is a step that an actor may take which keeps its history in order.
func (m model) next(random *rand.Rand, deletes bool) step {
	names := slices.Sorted(maps.Keys(m))
	s := step{actor: names[random.IntN(len(names))]}
	a := m[s.actor]
	switch n := random.IntN(12); {
	case n < 5:
		s.kind, s.index = writeEvent, a.end
	case n < 7:
		s.kind, s.index = writeSnapshot, max(a.end-random.IntN(2), a.newest(), a.first)
	case n < 9 && deletes && a.newest() > 0:
		s.kind, s.index = dropEvents, a.newest()-1-random.IntN(2)
	case n < 11 && deletes && a.newest() > 0:
		s.kind, s.index = dropSnapshots, a.newest()-1-random.IntN(2)
	default:
		s.kind = beginAnew
	}
	return s
}

// holds compares a provider with the model.
func (m model) holds(provider persistence.Provider) error {
	for name, a := range m {
		want := &recovered{start: max(a.newest(), 0)}
		if len(a.snapshots) > 0 {
			want.snapshot = snapshotText(name, a.newest())
		}
		want.events = eventTexts(name, want.start, a.end)
		if err := unharmed(provider, name, want); err != nil {
			return err
		}
		if err := kept(provider, name, a.first-1, a.end); err != nil {
			return err
		}
	}
	return nil
}

// randomLives goes through some lives, each with actors of its own.
func randomLives(s *subject, again bool) error {
	lives := uint64(4)
	if again {
		lives = 1
	}
	for seed := range lives {
		if err := s.randomLife(seed, again); err != nil {
			return fmt.Errorf("seed %d: %w", seed, err)
		}
	}
	return nil
}

func (s *subject) randomLife(seed uint64, again bool) error {
	random, life := rand.New(rand.NewPCG(seed, 1)), fmt.Sprint("life", seed)
	provider, err := s.use(1 << 30)
	if err != nil {
		return err
	}
	want, states := newModel(life), map[string]persistence.ProviderState{}
	var taken []string
	for range 100 {
		next := want.next(random, s.options.Promises&Deletes != 0)
		taken = append(taken, next.String())
		if err := next.take(provider, states); err != nil {
			return fmt.Errorf("after %q: %w", taken, err)
		}
		want = want.take(next)
		if again && random.IntN(5) == 0 {
			if provider, err = s.use(1 << 30); err != nil {
				return err
			}
			clear(states)
		}
		if err := want.holds(provider); err != nil {
			return fmt.Errorf("after %q: %w", taken, err)
		}
	}
	return nil
}
