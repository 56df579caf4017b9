package conformance

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"log/slog"
	"sync"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/asynkron/protoactor-go/persistence"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// patience is how long an actor may take: far longer than it does on a loaded machine.
const patience = 30 * time.Second

// witness is a persistent actor. Its digest tells one history of events from every
// other: another order, an event too many or too few.
type witness struct {
	persistence.Mixin
	digest   digest
	replayed []string // at the start of this incarnation
	trim     func(name string, snapshotIndex int)
	late     error // of the snapshot that the event in hand has brought about
}

// digest is what events have made.
type digest struct{ events, sum uint64 }

func (d digest) add(event string) digest {
	hash := fnv.New64a()
	_, _ = hash.Write(binary.LittleEndian.AppendUint64([]byte(event), d.sum))
	return digest{d.events + 1, hash.Sum64()}
}

func digestOf(events []string) (d digest) {
	for _, event := range events {
		d = d.add(event)
	}
	return d
}

// What a witness is asked. Each has its answer, unless the actor is stopped first.
type (
	add   struct{ event string }
	crash struct{}
	tell  struct{}
)

type question struct {
	what  any
	reply chan told // with room for it
}

type told struct {
	digest   digest
	replayed []string
	err      error // that PersistReceive has panicked with
}

var errCrashed = errors.New("the witness was told to crash")

func (w *witness) Receive(c actor.Context) {
	switch m := c.Message().(type) {
	case question:
		w.answer(m)
	case *persistence.RequestSnapshot:
		w.late = caught(func() {
			encoded := binary.LittleEndian.AppendUint64(nil, w.digest.events)
			w.PersistSnapshot(wrapperspb.Bytes(binary.LittleEndian.AppendUint64(encoded, w.digest.sum)))
			if w.trim != nil {
				w.trim(w.Name(), int(w.digest.events)) // one event for each index
			}
		})
	case *wrapperspb.StringValue:
		w.digest = w.digest.add(m.GetValue())
		w.replayed = append(w.replayed, m.GetValue())
	case *wrapperspb.BytesValue:
		w.digest = digest{binary.LittleEndian.Uint64(m.GetValue()), binary.LittleEndian.Uint64(m.GetValue()[8:])}
		w.replayed = append(w.replayed, fmt.Sprint("snapshot ", w.digest.events))
	}
}

func (w *witness) answer(q question) {
	switch m := q.what.(type) {
	case add:
		if err := caught(func() { w.PersistReceive(wrapperspb.String(m.event)) }); err != nil {
			q.reply <- told{err: err}
			panic(err)
		}
		w.digest = w.digest.add(m.event)
		q.reply <- told{digest: w.digest} // the event is there, whatever has become of the snapshot
		if w.late != nil {
			panic(w.late)
		}
	case crash:
		q.reply <- told{}
		panic(errCrashed)
	case tell:
		q.reply <- told{digest: w.digest, replayed: w.replayed}
	}
}

// system is an actor system with witnesses on a provider.
type system struct {
	inner    *actor.ActorSystem
	provider persistence.Provider
	trim     func(name string, snapshotIndex int)
	guardian *guardian
}

// guardian restarts actors that fail, more often than any check needs, but one whose
// replay fails not for ever.
type guardian struct {
	broken chan struct{} // closed when it has given an actor up
	mu     struct {
		sync.Mutex
		failures map[string]int
		gaveUp   error
	}
}

const restarts = 500

func (g *guardian) HandleFailure(_ *actor.ActorSystem, over actor.Supervisor, child *actor.PID, _ *actor.RestartStatistics, reason, _ any) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.mu.failures[child.Id]++; g.mu.failures[child.Id] < restarts {
		over.RestartChildren(child)
		return
	}
	over.StopChildren(child)
	if g.mu.gaveUp == nil {
		g.mu.gaveUp = fmt.Errorf("%s fails again and again: %v", child.Id, reason)
		close(g.broken)
	}
}

// start makes a system whose actors are restarted when they fail.
func (s *subject) start(provider persistence.Provider) *system {
	system := newSystem(provider)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mu.systems = append(s.mu.systems, system)
	return system
}

func newSystem(provider persistence.Provider) *system {
	quiet := actor.WithLoggerFactory(func(*actor.ActorSystem) *slog.Logger { return slog.New(slog.DiscardHandler) })
	g := &guardian{broken: make(chan struct{})}
	g.mu.failures = map[string]int{}
	return &system{inner: actor.NewActorSystem(quiet), provider: provider, guardian: g}
}

func (s *system) end() error {
	s.inner.Shutdown()
	return nil
}

func (s *system) spawn(name string) (*actor.PID, error) {
	props := actor.PropsFromProducer(func() actor.Actor { return &witness{trim: s.trim} },
		actor.WithReceiverMiddleware(persistence.Using(s.provider)), actor.WithGuardian(s.guardian))
	return s.inner.Root.SpawnNamed(props, name)
}

func (s *system) ask(pid *actor.PID, what any) (told, error) {
	q := question{what, make(chan told, 1)}
	s.inner.Root.Send(pid, q)
	limit := time.NewTimer(patience)
	defer limit.Stop()
	select {
	case answer := <-q.reply:
		return answer, nil
	case <-s.guardian.broken:
		s.guardian.mu.Lock()
		defer s.guardian.mu.Unlock()
		return told{}, s.guardian.mu.gaveUp
	case <-limit.C:
		return told{}, fmt.Errorf("%s does not answer", pid.Id)
	}
}

// stop returns when the actor has handled what it was sent, and is gone.
func (s *system) stop(pid *actor.PID) error {
	gone := actor.NewFuture(s.inner, patience) // PoisonFuture would wait for 10 s
	process, _ := s.inner.ProcessRegistry.Get(pid)
	process.SendSystemMessage(pid, &actor.Watch{Watcher: gone.PID()})
	s.inner.Root.Poison(pid)
	return gone.Wait()
}

// run has an actor of that name add events, and returns what it says at the end. It
// fails if one is refused.
func (s *system) run(name string, events []string) (told, error) {
	pid, err := s.spawn(name)
	if err != nil {
		return told{}, err
	}
	for _, event := range events {
		answer, err := s.ask(pid, add{event})
		if err := errors.Join(err, answer.err); err != nil {
			return told{}, err
		}
	}
	last, err := s.ask(pid, tell{})
	return last, errors.Join(err, s.stop(pid))
}

func stringOf(event any) string {
	if m, ok := event.(*wrapperspb.StringValue); ok {
		return m.GetValue()
	}
	return fmt.Sprintf("unexpected: %T", event)
}
