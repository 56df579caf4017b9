package conformance

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"log/slog"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/asynkron/protoactor-go/persistence"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// patience is how long an actor may take: far longer than it does on a loaded machine.
const patience = 60 * time.Second

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

type told struct {
	digest   digest
	replayed []string
	err      error // that PersistReceive has panicked with
}

var errCrashed = errors.New("the witness was told to crash")

func (w *witness) Receive(c actor.Context) {
	// PersistReceive may ask for a snapshot; the context has lost its message then.
	sender := c.Sender()
	switch m := c.Message().(type) {
	case *add:
		if err := caught(func() { w.PersistReceive(wrapperspb.String(m.event)) }); err != nil {
			c.Send(sender, told{err: err})
			panic(err)
		}
		w.digest = w.digest.add(m.event)
		c.Send(sender, told{digest: w.digest}) // the event is there, whatever has become of the snapshot
		if w.late != nil {
			panic(w.late)
		}
	case *crash:
		c.Send(sender, told{})
		panic(errCrashed)
	case *tell:
		c.Send(sender, told{digest: w.digest, replayed: w.replayed})
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

// system is an actor system with witnesses on a provider.
type system struct {
	inner    *actor.ActorSystem
	provider persistence.Provider
	trim     func(name string, snapshotIndex int)
	guardian actor.SupervisorStrategy
}

// start makes a system whose actors are restarted as often as they fail.
func (s *subject) start(provider persistence.Provider) *system {
	system := newSystem(provider)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mu.systems = append(s.mu.systems, system)
	return system
}

func newSystem(provider persistence.Provider) *system {
	quiet := actor.WithLoggerFactory(func(*actor.ActorSystem) *slog.Logger { return slog.New(slog.DiscardHandler) })
	return &system{inner: actor.NewActorSystem(quiet), provider: provider, guardian: actor.NewRestartingStrategy()}
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

func (s *system) ask(pid *actor.PID, message any) (told, error) {
	answer, err := s.inner.Root.RequestFuture(pid, message, patience).Result()
	if err != nil {
		return told{}, fmt.Errorf("%T: %w", message, err)
	}
	return answer.(told), nil
}

// stop returns when the actor has handled what it was sent, and is gone.
func (s *system) stop(pid *actor.PID) error {
	return s.inner.Root.PoisonFuture(pid).Wait()
}

// run has an actor of that name add events, and returns what it says at the end. It
// fails if one is refused.
func (s *system) run(name string, events []string) (told, error) {
	pid, err := s.spawn(name)
	if err != nil {
		return told{}, err
	}
	for _, event := range events {
		answer, err := s.ask(pid, &add{event})
		if err := errors.Join(err, answer.err); err != nil {
			return told{}, err
		}
	}
	last, err := s.ask(pid, &tell{})
	return last, errors.Join(err, s.stop(pid))
}

func stringOf(event any) string {
	if m, ok := event.(*wrapperspb.StringValue); ok {
		return m.GetValue()
	}
	return fmt.Sprintf("unexpected: %T", event)
}
