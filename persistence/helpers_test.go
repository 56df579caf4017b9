package persistence_test

import (
	"errors"
	"iter"
	"log/slog"
	"path/filepath"
	"sync/atomic"
	"testing"

	"forge.lthn.ai/core/go-store/api"
	"forge.lthn.ai/core/go-store/persistence"

	"github.com/asynkron/protoactor-go/actor"
	library "github.com/asynkron/protoactor-go/persistence"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

func newStore(t testing.TB, options ...api.Option) *api.Store {
	t.Helper()
	store, err := api.New(":memory:", options...)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, store.Close()) })
	return store
}

func newFile(t testing.TB) (store *api.Store, path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "store.db")
	store, err := api.New(path)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, store.Close()) })
	return store, path
}

func newProvider(t testing.TB, store persistence.Store, options ...persistence.Option) *persistence.Provider {
	t.Helper()
	provider, err := persistence.New(store, options...)
	require.NoError(t, err)
	return provider
}

// begin is what the library does when an actor starts.
func begin(t testing.TB, provider *persistence.Provider, name string) (state library.ProviderState, snapshot string, events []string) {
	t.Helper()
	state = provider.GetState()
	state.Restart()
	start := 0
	if message, index, ok := state.GetSnapshot(name); ok {
		snapshot, start = textOf(message), index
	}
	return state, snapshot, eventsOf(state, name, start, 0)
}

func eventsOf(state library.ProviderState, name string, from, to int) (events []string) {
	state.GetEvents(name, from, to, func(e any) { events = append(events, textOf(e)) })
	return events
}

func message(text string) proto.Message { return wrapperspb.String(text) }

func textOf(m any) string { return m.(*wrapperspb.StringValue).GetValue() }

// persist writes events whose texts are letters: a, b, c…
func persist(state library.ProviderState, name string, from, to int) {
	for i := from; i < to; i++ {
		state.PersistEvent(name, i, message(letter(i)))
	}
}

func letter(i int) string { return string(rune('a' + i)) }

func letters(from, to int) (texts []string) {
	for i := from; i < to; i++ {
		texts = append(texts, letter(i))
	}
	return texts
}

// failure is the error that f panics with.
func failure(t testing.TB, f func()) *persistence.Error {
	t.Helper()
	var failed *persistence.Error
	require.ErrorAs(t, caught(f), &failed)
	return failed
}

func caught(f func()) (err error) {
	defer func() {
		if reason := recover(); reason != nil {
			var ok bool
			if err, ok = reason.(error); !ok {
				panic(reason)
			}
		}
	}()
	f()
	return nil
}

// between stands before a store: what it does is the test's to say.
type between struct {
	*api.Store
	batch func(*api.Batch) (uint64, error)
	scan  func(api.ScanOptions) iter.Seq2[api.ScanEntry, error]
}

func (b *between) Batch(batch *api.Batch) (uint64, error) {
	if b.batch != nil {
		return b.batch(batch)
	}
	return b.Store.Batch(batch)
}

func (b *between) Scan(options api.ScanOptions) iter.Seq2[api.ScanEntry, error] {
	if b.scan != nil {
		return b.scan(options)
	}
	return b.Store.Scan(options)
}

// once fails one batch with an error; committed says whether it is carried out.
func (b *between) once(committed bool, with error) {
	var failed atomic.Bool
	b.batch = func(batch *api.Batch) (uint64, error) {
		if failed.Swap(true) {
			return b.Store.Batch(batch)
		}
		if committed {
			if revision, err := b.Store.Batch(batch); err != nil {
				return revision, err
			}
		}
		return 0, with
	}
}

// account is a persistent actor. It keeps the letters that it was told.
type account struct {
	library.Mixin
	letters   string
	snapshots bool // when asked
}

type (
	put    struct{ letter string }
	answer struct {
		letters string
		err     error
	}
	look struct{}
)

func (a *account) Receive(c actor.Context) {
	sender := c.Sender()
	switch m := c.Message().(type) {
	case put:
		if err := caught(func() { a.PersistReceive(message(m.letter)) }); err != nil {
			c.Send(sender, answer{err: err})
			panic(err)
		}
		a.letters += m.letter
		c.Send(sender, answer{letters: a.letters})
	case look:
		c.Send(sender, answer{letters: a.letters})
	case *library.RequestSnapshot:
		if a.snapshots {
			a.PersistSnapshot(wrapperspb.Bytes([]byte(a.letters)))
		}
	case *wrapperspb.BytesValue:
		a.letters = string(m.GetValue())
	case *wrapperspb.StringValue:
		a.letters += m.GetValue()
	}
}

// supervisor has an actor that fails do as a directive says, and tells of it.
type supervisor struct {
	directive func(supervisor actor.Supervisor, child *actor.PID)
	reasons   chan any
}

func (s *supervisor) HandleFailure(_ *actor.ActorSystem, over actor.Supervisor, child *actor.PID, _ *actor.RestartStatistics, reason, _ any) {
	s.reasons <- reason
	s.directive(over, child)
}

func restart(over actor.Supervisor, child *actor.PID) { over.RestartChildren(child) }
func resume(over actor.Supervisor, child *actor.PID)  { over.ResumeChildren(child) }
func stop(over actor.Supervisor, child *actor.PID)    { over.StopChildren(child) }

// stage is an actor system whose accounts are supervised by the test.
type stage struct {
	t          testing.TB
	system     *actor.ActorSystem
	supervisor *supervisor
}

func newStage(t testing.TB, directive func(actor.Supervisor, *actor.PID)) *stage {
	system := actor.NewActorSystem(actor.WithLoggerFactory(
		func(*actor.ActorSystem) *slog.Logger { return slog.New(slog.DiscardHandler) }))
	t.Cleanup(system.Shutdown)
	return &stage{t, system, &supervisor{directive, make(chan any, 1000)}}
}

func (s *stage) spawn(provider library.Provider, name string) *actor.PID {
	s.t.Helper()
	pid, err := s.system.Root.SpawnNamed(actor.PropsFromProducer(func() actor.Actor { return &account{snapshots: true} },
		actor.WithReceiverMiddleware(library.Using(provider)), actor.WithGuardian(s.supervisor)), name)
	require.NoError(s.t, err)
	return pid
}

func (s *stage) ask(pid *actor.PID, message any) answer {
	s.t.Helper()
	reply, err := s.system.Root.RequestFuture(pid, message, patience).Result()
	require.NoError(s.t, err)
	return reply.(answer)
}

// reason is why an actor has failed.
func (s *stage) reason() *persistence.Error {
	s.t.Helper()
	var failed *persistence.Error
	err, ok := (<-s.supervisor.reasons).(error)
	require.True(s.t, ok && errors.As(err, &failed))
	return failed
}
