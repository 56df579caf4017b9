package persistence_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"forge.lthn.ai/core/go-store/api"
	"forge.lthn.ai/core/go-store/persistence"

	"github.com/asynkron/protoactor-go/actor"
	library "github.com/asynkron/protoactor-go/persistence"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

const patience = time.Minute

func TestErrorSaysWhatFailed(t *testing.T) {
	provider := newProvider(t, newStore(t))
	old, _, _ := begin(t, provider, "a/b")
	persist(provider.GetState(), "a/b", 0, 1)
	err := failure(t, func() { old.PersistEvent("a/b", 0, message("secret")) })
	require.Equal(t, persistence.Error{Operation: "PersistEvent", Actor: "a/b", Index: 0, Err: err.Err}, *err)
	require.ErrorIs(t, err, persistence.DuplicateIndexError)
	require.ErrorIs(t, err, persistence.FencedError)
	require.EqualError(t, err, `persistence.PersistEvent: actor "a/b", index 0: the index is taken: another incarnation of this actor has gone on`)
	old, _, _ = begin(t, provider, "a/b")
	persist(provider.GetState(), "a/b", 1, 2)
	err = failure(t, func() { old.PersistSnapshot("a/b", 1, message("secret")) })
	require.ErrorIs(t, err, persistence.FencedError)
	require.NotErrorIs(t, err, persistence.DuplicateIndexError)
	require.NotContains(t, err.Error(), "secret")
}

// The supervisor is given the error as the reason, and a restart mends what can be.
func TestSupervisorIsGivenTheError(t *testing.T) {
	store := newStore(t)
	stage, here := newStage(t, restart), newProvider(t, store)
	pid := stage.spawn(here, "a")
	require.Equal(t, "x", stage.ask(pid, put{"x"}).letters)
	newProvider(t, store).GetState().PersistEvent("a", 1, message("y")) // another incarnation
	require.ErrorIs(t, stage.ask(pid, put{"z"}).err, persistence.DuplicateIndexError)
	require.ErrorIs(t, stage.reason(), persistence.DuplicateIndexError)
	require.Equal(t, "xy", stage.ask(pid, look{}).letters)
	require.Equal(t, "xyz", stage.ask(pid, put{"z"}).letters)
}

// What fails in a replay is the actor's failure too.
func TestSupervisorIsGivenTheErrorOfAReplay(t *testing.T) {
	store := newStore(t)
	provider := newProvider(t, store)
	persist(provider.GetState(), "a", 0, 4)
	require.NoError(t, store.Delete("actors/a", "e0000000000000001"))
	stage := newStage(t, stop)
	pid := stage.spawn(provider, "a")
	reason := stage.reason()
	var gap *persistence.GapError
	require.ErrorAs(t, reason, &gap)
	require.Equal(t, persistence.GapError{From: 1, To: 1}, *gap)
	require.Equal(t, "GetEvents", reason.Operation)
	_ = stage.system.Root.StopFuture(pid).Wait()
}

// A write of which nothing was done: whatever the supervisor says, nothing is lost and
// nothing is there twice.
func TestFailedCommit(t *testing.T) {
	for name, directive := range map[string]func(actor.Supervisor, *actor.PID){"restart": restart, "resume": resume} {
		for _, cause := range []error{api.DegradedError, api.RolledBackError} {
			t.Run(fmt.Sprint(name, " after ", cause), func(t *testing.T) {
				store := &between{Store: newStore(t)}
				stage := newStage(t, directive)
				pid := stage.spawn(newProvider(t, store), "a")
				require.Equal(t, "x", stage.ask(pid, put{"x"}).letters)
				store.once(false, cause)
				require.ErrorIs(t, stage.ask(pid, put{"y"}).err, cause)
				require.ErrorIs(t, stage.reason(), cause)
				require.Equal(t, "x", stage.ask(pid, look{}).letters)
				require.Equal(t, "xz", stage.ask(pid, put{"z"}).letters)
			})
		}
	}
}

// A write whose outcome is not known, and which was done: a restarted actor replays it; one
// that goes on without it may write nothing.
func TestUnknownOutcome(t *testing.T) {
	store := &between{Store: newStore(t)}
	provider := newProvider(t, store)
	stage := newStage(t, restart)
	pid := stage.spawn(provider, "a")
	require.Equal(t, "x", stage.ask(pid, put{"x"}).letters)
	store.once(true, api.UnknownOutcomeError)
	require.ErrorIs(t, stage.ask(pid, put{"y"}).err, api.UnknownOutcomeError)
	require.Equal(t, "xy", stage.ask(pid, look{}).letters)
	require.Equal(t, "xyz", stage.ask(pid, put{"z"}).letters)

	stage = newStage(t, resume)
	pid = stage.spawn(provider, "b")
	require.Equal(t, "x", stage.ask(pid, put{"x"}).letters)
	store.once(true, api.UnknownOutcomeError)
	require.ErrorIs(t, stage.ask(pid, put{"y"}).err, api.UnknownOutcomeError)
	require.ErrorIs(t, stage.ask(pid, put{"z"}).err, persistence.DuplicateIndexError)
}

func TestStoreThatCannot(t *testing.T) {
	store, path := newFile(t)
	provider := newProvider(t, store)
	persist(provider.GetState(), "a", 0, 3)

	readOnly, err := api.New(path, api.WithReadOnly())
	require.NoError(t, err)
	defer func() { require.NoError(t, readOnly.Close()) }()
	state, _, events := begin(t, newProvider(t, readOnly), "a")
	require.Equal(t, letters(0, 3), events)
	for operation, f := range writing(state) {
		err := failure(t, f)
		require.ErrorIs(t, err, api.ReadOnlyError, operation)
		require.Equal(t, operation, err.Operation)
	}

	ctx, cancel := context.WithCancel(context.Background())
	view := newProvider(t, store.WithContext(ctx)).GetState()
	cancel()
	for operation, f := range all(view) {
		require.ErrorIs(t, failure(t, f), context.Canceled, operation)
	}

	require.NoError(t, store.Close())
	for operation, f := range all(provider.GetState()) {
		require.ErrorIs(t, failure(t, f), api.ClosedError, operation)
	}
	require.ErrorIs(t, provider.Trim("a"), api.ClosedError)
	require.ErrorIs(t, provider.Erase("a"), api.ClosedError)
	_, err = persistence.New(store)
	require.ErrorIs(t, err, api.ClosedError)
}

func writing(state library.ProviderState) map[string]func() {
	return map[string]func(){
		"PersistEvent":    func() { state.PersistEvent("a", 3, message("d")) },
		"PersistSnapshot": func() { state.PersistSnapshot("a", 3, message("abc")) },
		"DeleteEvents":    func() { state.DeleteEvents("a", 1) },
	}
}

func all(state library.ProviderState) map[string]func() {
	calls := writing(state)
	calls["DeleteSnapshots"] = func() { state.DeleteSnapshots("a", 1) }
	calls["GetSnapshot"] = func() { state.GetSnapshot("a") }
	calls["GetEvents"] = func() { state.GetEvents("a", 0, 0, func(any) {}) }
	return calls
}

func TestNewRefuses(t *testing.T) {
	store := newStore(t)
	for name, option := range map[string]persistence.Option{
		"a negative interval": persistence.WithSnapshotInterval(-1),
		"a group's separator": persistence.WithGroup("a/b"),
		"a page of none":      persistence.WithPage(0),
		"no registry":         persistence.WithTypes(nil),
		"no option":           nil,
	} {
		_, err := persistence.New(store, option)
		require.ErrorIs(t, err, api.InvalidOptionError, name)
	}
	var none *api.Store
	var noScope *api.ScopedStore
	for _, store := range []persistence.Store{nil, none, noScope} {
		_, err := persistence.New(store)
		require.ErrorIs(t, err, api.NilStoreError)
	}
}

func TestInvalidIndexes(t *testing.T) {
	state := newProvider(t, newStore(t)).GetState()
	persist(state, "a", 0, 3)
	for name, f := range map[string]func(){
		"a negative event":        func() { state.PersistEvent("a", -1, message("x")) },
		"the least event":         func() { state.PersistEvent("a", math.MinInt, message("x")) },
		"a negative snapshot":     func() { state.PersistSnapshot("a", -1, message("x")) },
		"a negative start":        func() { eventsOf(state, "a", -1, 0) },
		"a negative end":          func() { eventsOf(state, "a", 0, -1) },
		"a range upside down":     func() { eventsOf(state, "a", 2, 1) },
		"the largest upside down": func() { eventsOf(state, "a", math.MaxInt, 1) },
	} {
		require.ErrorIs(t, failure(t, f), persistence.InvalidIndexError, name)
	}
	// Callers compute what to delete: the index before the first is none.
	state.DeleteEvents("a", -1)
	state.DeleteSnapshots("a", math.MinInt)
	require.Equal(t, letters(0, 3), eventsOf(state, "a", 0, math.MaxInt))
	require.Empty(t, eventsOf(state, "a", math.MaxInt, 0))
	require.Empty(t, eventsOf(state, "a", 2, 2))
}

func TestTooLarge(t *testing.T) {
	provider := newProvider(t, newStore(t, api.WithSizeLimits(api.SizeLimits{Value: 1000, Group: 100, Key: 100})))
	state := provider.GetState()
	big := message(strings.Repeat("x", 1000))
	for name, f := range map[string]func(){
		"an event":           func() { state.PersistEvent("a", 0, big) },
		"a snapshot":         func() { state.PersistSnapshot("a", 0, big) },
		"a name":             func() { persist(state, strings.Repeat("n", 100), 0, 1) },
		"a name, a snapshot": func() { state.PersistSnapshot(strings.Repeat("n", 100), 0, message("")) },
	} {
		err := failure(t, f)
		require.ErrorIs(t, err, api.TooLargeError, name)
		require.Less(t, len(err.Error()), 300)
	}
	persist(state, "a", 0, 1)
	require.Equal(t, letters(0, 1), eventsOf(state, "a", 0, 0))
}

// lookalike is no message, whatever its methods say.
type lookalike struct{ proto.Message }

func TestWhatIsNoMessage(t *testing.T) {
	state := newProvider(t, newStore(t)).GetState()
	var none *wrapperspb.StringValue
	for name, m := range map[string]proto.Message{
		"nil":           nil,
		"a nil pointer": none,
		"a lookalike":   &lookalike{},
		"invalid UTF-8": wrapperspb.String("\xff"),
	} {
		require.ErrorIs(t, failure(t, func() { state.PersistEvent("a", 0, m) }), persistence.InvalidMessageError, name)
		require.ErrorIs(t, failure(t, func() { state.PersistSnapshot("a", 0, m) }), persistence.InvalidMessageError, name)
	}
	require.Empty(t, eventsOf(state, "a", 0, 0))
}

// foreign is a message type that no program has registered.
func foreign(t *testing.T) *dynamicpb.Message {
	file, err := protodesc.NewFile(&descriptorpb.FileDescriptorProto{
		Name: proto.String("bank.proto"), Package: proto.String("bank"), Syntax: proto.String("proto3"),
		MessageType: []*descriptorpb.DescriptorProto{{Name: proto.String("Deposited"), Field: []*descriptorpb.FieldDescriptorProto{
			{Name: proto.String("amount"), Number: proto.Int32(1), Type: descriptorpb.FieldDescriptorProto_TYPE_INT64.Enum(), Label: descriptorpb.FieldDescriptorProto_LABEL_OPTIONAL.Enum()}}}},
	}, nil)
	require.NoError(t, err)
	return dynamicpb.NewMessage(file.Messages().ByName("Deposited"))
}

func TestUnregisteredTypes(t *testing.T) {
	store := newStore(t)
	deposited := foreign(t)
	var unregistered *persistence.UnregisteredTypeError

	// At writing: it could never be read.
	require.ErrorAs(t, failure(t, func() { newProvider(t, store).GetState().PersistEvent("a", 0, deposited) }), &unregistered)
	require.Equal(t, "bank.Deposited", unregistered.Type)

	// At reading: the program that wrote it knew it.
	types := new(protoregistry.Types)
	require.NoError(t, types.RegisterMessage(deposited.Type()))
	knowing := newProvider(t, store, persistence.WithTypes(types)).GetState()
	knowing.PersistEvent("a", 0, deposited)
	knowing.PersistSnapshot("b", 0, deposited)
	knowing.GetEvents("a", 0, 0, func(e any) { require.True(t, proto.Equal(deposited, e.(proto.Message))) })
	state := newProvider(t, store).GetState()
	for _, f := range []func(){func() { eventsOf(state, "a", 0, 0) }, func() { state.GetSnapshot("b") }} {
		require.ErrorAs(t, failure(t, f), &unregistered)
		require.Equal(t, persistence.UnregisteredTypeError{Type: "bank.Deposited"}, *unregistered)
		require.Contains(t, unregistered.Error(), "import the Go package that is generated from its .proto file")
	}

	// Of generated code the store knows what to import.
	persist(state, "c", 0, 1)
	empty := newProvider(t, store, persistence.WithTypes(new(protoregistry.Types))).GetState()
	require.ErrorAs(t, failure(t, func() { eventsOf(empty, "c", 0, 0) }), &unregistered)
	require.Equal(t, persistence.UnregisteredTypeError{Type: "google.protobuf.StringValue",
		Package: "google.golang.org/protobuf/types/known/wrapperspb"}, *unregistered)
	require.Contains(t, unregistered.Error(), `import _ "google.golang.org/protobuf/types/known/wrapperspb"`)
}

// Equal messages are equal rows, whatever the order of their maps.
func TestRowsAreDeterministic(t *testing.T) {
	rows := map[string]bool{}
	for range 20 {
		fields := map[string]any{}
		for i := range 40 {
			fields[fmt.Sprint("field ", i)] = float64(i)
		}
		m, err := structpb.NewStruct(fields)
		require.NoError(t, err)
		store := newStore(t)
		newProvider(t, store).GetState().PersistEvent("a", 0, m)
		value, err := store.Get("actors/a", "e0000000000000000")
		require.NoError(t, err)
		rows[value] = true
	}
	require.Len(t, rows, 1)
}

func TestErrorsAreNamed(t *testing.T) {
	for _, err := range []error{persistence.FencedError, persistence.DuplicateIndexError, persistence.InvalidIndexError,
		persistence.InvalidMessageError, persistence.DamagedRowError, persistence.NewerFormatError} {
		wrapped := &persistence.Error{Operation: "GetEvents", Actor: strings.Repeat("n", 1000), Index: persistence.NoIndex, Err: err}
		require.ErrorIs(t, wrapped, err)
		require.Less(t, len(wrapped.Error()), 300)
		require.NotContains(t, wrapped.Error(), "index -1")
	}
	require.False(t, errors.Is(persistence.FencedError, persistence.DuplicateIndexError))
}
