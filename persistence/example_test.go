package persistence_test

import (
	"errors"
	"fmt"
	"log"
	"log/slog"
	"time"

	"forge.lthn.ai/core/go-store/api"
	"forge.lthn.ai/core/go-store/persistence"

	"github.com/asynkron/protoactor-go/actor"
	library "github.com/asynkron/protoactor-go/persistence"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// counter is an actor that adds up, and never forgets.
type counter struct {
	library.Mixin
	sum  int64
	trim func(name string) error
}

func (c *counter) Receive(ctx actor.Context) {
	sender := ctx.Sender() // before PersistReceive
	switch m := ctx.Message().(type) {
	case int:
		event := wrapperspb.Int64(int64(m))
		c.PersistReceive(event) // first it is on disk,
		c.sum += event.Value    // then it counts
		ctx.Send(sender, c.sum)
	case *wrapperspb.Int64Value: // replayed
		c.sum += m.Value
	case *library.RequestSnapshot:
		c.PersistSnapshot(wrapperspb.String(fmt.Sprint(c.sum)))
		if err := c.trim(c.Name()); err != nil {
			panic(err)
		}
	case *wrapperspb.StringValue: // the snapshot
		_, _ = fmt.Sscan(m.Value, &c.sum)
	}
}

func quietSystem() *actor.ActorSystem {
	return actor.NewActorSystem(actor.WithLoggerFactory(
		func(*actor.ActorSystem) *slog.Logger { return slog.New(slog.DiscardHandler) }))
}

// An actor adds numbers, is stopped, and is as before when it is spawned again.
func Example() {
	store, err := api.New(":memory:") // or a file
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	provider, err := persistence.New(store, persistence.WithSnapshotInterval(3))
	if err != nil {
		log.Fatal(err)
	}
	system := quietSystem()
	defer system.Shutdown()
	props := actor.PropsFromProducer(func() actor.Actor { return &counter{trim: provider.Trim} },
		actor.WithReceiverMiddleware(library.Using(provider)))

	for _, numbers := range [][]int{{1, 2, 3, 4}, {5}} {
		pid, err := system.Root.SpawnNamed(props, "counter-1")
		if err != nil {
			log.Fatal(err)
		}
		for _, n := range numbers {
			sum, err := system.Root.RequestFuture(pid, n, time.Minute).Result()
			if err != nil {
				log.Fatal(err)
			}
			fmt.Println("plus", n, "is", sum)
		}
		if err := system.Root.PoisonFuture(pid).Wait(); err != nil {
			log.Fatal(err)
		}
	}
	// Output:
	// plus 1 is 1
	// plus 2 is 3
	// plus 3 is 6
	// plus 4 is 10
	// plus 5 is 15
}

// The library's methods panic; for an actor's supervisor, or other code that calls them, the
// reason is an error.
func ExampleError() {
	store, err := api.New(":memory:")
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	provider, err := persistence.New(store)
	if err != nil {
		log.Fatal(err)
	}
	defer func() {
		var failed *persistence.Error
		if err, _ := recover().(error); errors.As(err, &failed) {
			fmt.Println(failed.Operation, failed.Actor, failed.Index, errors.Is(err, persistence.DuplicateIndexError))
		}
	}()
	provider.GetState().PersistEvent("a", 0, wrapperspb.String("of one"))
	provider.GetState().PersistEvent("a", 0, wrapperspb.String("of another"))
	// Output: PersistEvent a 0 true
}

// Trim and Erase make room: behind a snapshot, and altogether.
func ExampleProvider_Trim() {
	store, err := api.New(":memory:")
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	provider, err := persistence.New(store, persistence.WithGroup("accounts"))
	if err != nil {
		log.Fatal(err)
	}
	state := provider.GetState()
	for i := range 10 {
		state.PersistEvent("ada", i, wrapperspb.Int64(1))
	}
	state.PersistSnapshot("ada", 8, wrapperspb.Int64(8)) // events 0 to 7
	if err := provider.Trim("ada"); err != nil {
		log.Fatal(err)
	}
	state.GetEvents("ada", 8, 0, func(event any) { fmt.Println("left:", event.(*wrapperspb.Int64Value).Value) })
	if err := provider.Erase("ada"); err != nil {
		log.Fatal(err)
	}
	groups, err := store.Groups("accounts/")
	fmt.Println(groups, err)
	// Output:
	// left: 1
	// left: 1
	// [] <nil>
}

// The actors of a tenant are kept in a namespace, under its quota. An interval of 0 is off.
func ExampleNew() {
	store, err := api.New(":memory:")
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	tenant, err := api.NewScopedWithQuota(store, "tenant-1", api.QuotaConfig{MaxKeys: 100_000, MaxGroups: 1000})
	if err != nil {
		log.Fatal(err)
	}
	provider, err := persistence.New(tenant, persistence.WithSnapshotInterval(0), persistence.WithPage(1000))
	if err != nil {
		log.Fatal(err)
	}
	provider.GetState().PersistEvent("ada", 0, wrapperspb.Int64(1))
	groups, err := store.Groups("")
	fmt.Println(groups, err)
	// Output: [tenant-1:actors tenant-1:actors/ada] <nil>
}
