package persistence_test

import (
	"errors"
	"fmt"
	"log"

	"forge.lthn.ai/core/go-store/api"
	"forge.lthn.ai/core/go-store/persistence"

	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// onStore is a provider on a store in memory.
func onStore(options ...persistence.Option) (*api.Store, *persistence.Provider) {
	store, err := api.New(":memory:")
	if err != nil {
		log.Fatal(err)
	}
	provider, err := persistence.New(store, options...)
	if err != nil {
		log.Fatal(err)
	}
	return store, provider
}

// A provider takes a store, or a namespace of one.
func ExampleStore() {
	store, err := api.New(":memory:")
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	tenant, err := api.NewScoped(store, "tenant-a")
	if err != nil {
		log.Fatal(err)
	}
	for _, keep := range []persistence.Store{store, tenant} {
		provider, err := persistence.New(keep)
		fmt.Println(provider != nil, err)
	}
	// Output:
	// true <nil>
	// true <nil>
}

// The actors of one provider know nothing of those of another group.
func ExampleWithGroup() {
	store, provider := onStore(persistence.WithGroup("accounts"))
	defer store.Close()
	provider.GetState().PersistEvent("ada", 0, wrapperspb.Int64(1))
	fmt.Println(store.GroupExists("accounts/ada"))
	fmt.Println(store.GroupExists(persistence.DefaultGroup + "/ada"))
	// Output:
	// true <nil>
	// false <nil>
}

// A replay reads some events at a time, and holds nothing of the store in between.
func ExampleWithPage() {
	store, provider := onStore(persistence.WithPage(persistence.DefaultPage * 4))
	defer store.Close()
	state := provider.GetState()
	for i := range 3 {
		state.PersistEvent("ada", i, wrapperspb.Int64(int64(i)))
	}
	state.GetEvents("ada", 0, 0, func(event any) { fmt.Println(event.(*wrapperspb.Int64Value).Value) })
	// Output:
	// 0
	// 1
	// 2
}

// An actor is asked for a snapshot at each event whose index is a multiple of the interval.
func ExampleWithSnapshotInterval() {
	store, provider := onStore(persistence.WithSnapshotInterval(100))
	defer store.Close()
	fmt.Println(provider.GetState().GetSnapshotInterval())
	// Output: 100
}

// Messages whose types are in a registry of one's own.
func ExampleWithTypes() {
	types := new(protoregistry.Types)
	if err := types.RegisterMessage(new(wrapperspb.Int64Value).ProtoReflect().Type()); err != nil {
		log.Fatal(err)
	}
	store, provider := onStore(persistence.WithTypes(types))
	defer store.Close()
	provider.GetState().PersistEvent("ada", 0, wrapperspb.Int64(7))
	defer func() {
		var unknown *persistence.UnregisteredTypeError
		if err, _ := recover().(error); errors.As(err, &unknown) {
			fmt.Println(unknown.Type)
		}
	}()
	provider.GetState().PersistEvent("ada", 1, wrapperspb.String("not in it"))
	// Output: google.protobuf.StringValue
}

// What the library's actors write to, and tests of theirs may read.
func ExampleProvider_GetState() {
	store, provider := onStore()
	defer store.Close()
	state := provider.GetState()
	state.PersistEvent("ada", 0, wrapperspb.Int64(1))
	state.PersistSnapshot("ada", 1, wrapperspb.Int64(1))
	snapshot, index, found := state.GetSnapshot("ada")
	fmt.Println(snapshot.(*wrapperspb.Int64Value).Value, index, found)
	// Output: 1 1 true
}

// Of an actor that was erased nothing is left.
func ExampleProvider_Erase() {
	store, provider := onStore()
	defer store.Close()
	provider.GetState().PersistEvent("ada", 0, wrapperspb.Int64(1))
	fmt.Println(provider.Erase("ada"))
	fmt.Println(store.GroupExists(persistence.DefaultGroup + "/ada"))
	// Output:
	// <nil>
	// false <nil>
}

// A supervisor tells by the reason of a failure what to do about the actor.
func Example_errors() {
	store, provider := onStore()
	defer store.Close()
	decide := func(reason any) string {
		err, _ := reason.(error)
		var failed *persistence.Error
		var gap *persistence.GapError
		switch {
		case errors.Is(err, persistence.FencedError):
			return "another incarnation has gone on: stop this one"
		case errors.Is(err, persistence.InvalidIndexError), errors.Is(err, persistence.InvalidMessageError):
			return "mend the program"
		case errors.Is(err, persistence.NewerFormatError):
			return "use a newer program"
		case errors.Is(err, persistence.DamagedRowError), errors.As(err, &gap):
			return "restore a backup, or erase the actor"
		case errors.As(err, &failed) && failed.Index == persistence.NoIndex:
			return "of no event: restart it"
		}
		return "restart it"
	}
	for _, index := range []int{0, 0, -1} {
		func() {
			defer func() {
				if reason := recover(); reason != nil {
					fmt.Println(decide(reason))
				}
			}()
			provider.GetState().PersistEvent("ada", index, wrapperspb.Int64(1))
		}()
		provider = again(store)
	}
	// Output:
	// another incarnation has gone on: stop this one
	// mend the program
}

func again(store *api.Store) *persistence.Provider {
	provider, err := persistence.New(store)
	if err != nil {
		log.Fatal(err)
	}
	return provider
}
