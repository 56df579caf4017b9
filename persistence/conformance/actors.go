package conformance

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"

	"github.com/asynkron/protoactor-go/persistence"
)

var actorChecks = []check{
	{"ActorsReplayWhatTheLibraryDoes", 0, replays},
	{"AnActorThatPanicsIsAsBefore", 0, panics},
	{"AnActorThatPassivatesIsAsBefore", 0, passivates},
	{"TheIntervalIsAnInterval", 0, interval},
	{"NoSnapshotsAreAskedFor", IntervalOff, intervalOff},
	{"ManyActorsAtOnce", Concurrent, manyAtOnce},
}

func numbered(from, to int) (events []string) {
	for i := from; i < to; i++ {
		events = append(events, fmt.Sprint("event ", i))
	}
	return events
}

// replays: a snapshot is asked for by the event whose index is a multiple of the
// interval, before the actor has made anything of it. So that event is replayed over it.
func replays(s *subject) error {
	for _, interval := range []int{1, 2, 5, 16} {
		provider, err := s.use(interval)
		if err != nil {
			return err
		}
		system := s.start(provider)
		for n := range 12 {
			name := fmt.Sprintf("%d by %d", n, interval)
			if _, err := system.run(name, numbered(0, n)); err != nil {
				return err
			}
			got, err := system.run(name, nil)
			if err != nil {
				return err
			}
			var want []string
			if n > 0 {
				snapshot := (n - 1) / interval * interval
				want = append([]string{fmt.Sprint("snapshot ", snapshot)}, numbered(snapshot, n)...)
			}
			if err := same(name+" replays", got.replayed, want); err != nil {
				return err
			}
			if want := digestOf(numbered(0, n)); got.digest != want {
				return fmt.Errorf("%s: it is %v, was %v", name, got.digest, want)
			}
		}
	}
	return nil
}

func panics(s *subject) error {
	provider, err := s.use(4)
	if err != nil {
		return err
	}
	system := s.start(provider)
	pid, err := system.spawn("a")
	if err != nil {
		return err
	}
	for i := range 20 {
		event := fmt.Sprint("event ", i)
		added, err := system.ask(pid, add{event})
		if err := errors.Join(err, added.err); err != nil {
			return err
		}
		if _, err := system.ask(pid, crash{}); err != nil {
			return err
		}
		got, err := system.ask(pid, tell{})
		if err != nil {
			return err
		}
		if want := digestOf(numbered(0, i+1)); got.digest != want || added.digest != want {
			return fmt.Errorf("after %d events it was %v, and is %v", i+1, added.digest, got.digest)
		}
	}
	return nil
}

func passivates(s *subject) error {
	provider, err := s.use(3)
	if err != nil {
		return err
	}
	system := s.start(provider)
	for i := range 20 {
		got, err := system.run("a", numbered(i, i+1))
		if err != nil {
			return err
		}
		if want := digestOf(numbered(0, i+1)); got.digest != want {
			return fmt.Errorf("after %d events it is %v, should be %v", i+1, got.digest, want)
		}
	}
	return nil
}

func interval(s *subject) error {
	for _, n := range []int{1, 2, 1000} {
		provider, err := s.use(n)
		if err != nil {
			return err
		}
		if got := provider.GetState().GetSnapshotInterval(); got != n {
			return fmt.Errorf("GetSnapshotInterval: %d, opened with %d", got, n)
		}
	}
	return nil
}

// intervalOff: the library asks at index 0 whatever the interval is, and never again.
func intervalOff(s *subject) error {
	provider, err := s.use(0)
	if err != nil {
		return err
	}
	if got := provider.GetState().GetSnapshotInterval(); got == 0 {
		return errors.New("GetSnapshotInterval: 0, by which the library divides")
	}
	system := s.start(provider)
	if _, err := system.run("a", numbered(0, 100)); err != nil {
		return err
	}
	got, err := system.run("a", nil)
	if err != nil {
		return err
	}
	return same("replays", got.replayed, append([]string{"snapshot 0"}, numbered(0, 100)...))
}

// manyAtOnce: each actor is spawned, adds events, crashes, goes and comes again, beside
// all others.
func manyAtOnce(s *subject) error {
	provider, err := s.use(5)
	if err != nil {
		return err
	}
	system := s.start(provider)
	if s.options.Promises&Deletes != 0 {
		system.trim = trimmer(provider)
	}
	errs := make([]error, s.options.Actors)
	var wait sync.WaitGroup
	for i := range errs {
		wait.Go(func() { errs[i] = lifeOf(system, fmt.Sprint("actor-", i), uint64(i)) })
	}
	wait.Wait()
	return errors.Join(errs...)
}

// trimmer deletes what a snapshot stands for: the event with its index is not.
func trimmer(provider persistence.Provider) func(name string, snapshotIndex int) {
	return func(name string, snapshotIndex int) {
		state := provider.GetState()
		state.DeleteEvents(name, snapshotIndex-1)
		state.DeleteSnapshots(name, snapshotIndex-1)
	}
}

func lifeOf(system *system, name string, seed uint64) error {
	random := rand.New(rand.NewPCG(seed, seed))
	var events []string
	for range 3 {
		pid, err := system.spawn(name)
		if err != nil {
			return err
		}
		for range 1 + random.IntN(6) {
			event := fmt.Sprint(name, " ", len(events))
			answer, err := system.ask(pid, add{event})
			if err := errors.Join(err, answer.err); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			events = append(events, event)
		}
		if random.IntN(2) == 0 {
			if _, err := system.ask(pid, crash{}); err != nil {
				return err
			}
		}
		got, err := system.ask(pid, tell{})
		if err := errors.Join(err, system.stop(pid)); err != nil {
			return err
		}
		if want := digestOf(events); got.digest != want {
			return fmt.Errorf("%s: it is %v, should be %v", name, got.digest, want)
		}
	}
	return nil
}
