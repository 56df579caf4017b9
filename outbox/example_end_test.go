package outbox_test

import (
	"errors"
	"fmt"
	"log"
	"log/slog"

	"forge.lthn.ai/core/go-store/api"
	"forge.lthn.ai/core/go-store/outbox"

	"github.com/asynkron/protoactor-go/actor"
)

// deliver is an outbox of a store in memory.
func deliver() (*api.Store, *outbox.Outbox, *actor.ActorSystem) {
	store, err := api.New(":memory:")
	if err != nil {
		log.Fatal(err)
	}
	system := actor.NewActorSystem(actor.WithLoggerFactory(func(*actor.ActorSystem) *slog.Logger {
		return slog.New(slog.DiscardHandler)
	}))
	delivery, err := outbox.Start(store, system, outbox.Options{})
	if err != nil {
		log.Fatal(err)
	}
	return store, delivery, system
}

// What was not acknowledged when the outbox is stopped is delivered by the next one.
func ExampleOutbox_Stop() {
	store, delivery, system := deliver()
	defer store.Close()
	defer system.Shutdown()
	delivery.Stop()
	fmt.Println(delivery.Err())
	fmt.Println(store.Tell("mailer", "a letter")) // waits
	// Output:
	// <nil>
	// <nil>
}

// An outbox ends with its store, and says so.
func ExampleOutbox_Done() {
	store, delivery, system := deliver()
	defer system.Shutdown()
	if err := store.Close(); err != nil {
		log.Fatal(err)
	}
	<-delivery.Done()
	fmt.Println("ended")
	// Output: ended
}

func ExampleOutbox_Err() {
	store, delivery, system := deliver()
	defer system.Shutdown()
	if err := store.Close(); err != nil {
		log.Fatal(err)
	}
	<-delivery.Done()
	fmt.Println(errors.Is(delivery.Err(), api.ClosedError))
	// Output: true
}

// Acknowledgements of what is not on its way are counted: late ones, mostly.
func ExampleOutbox_Unknown() {
	store, delivery, system := deliver()
	defer store.Close()
	defer system.Shutdown()
	defer delivery.Stop()
	fmt.Println(delivery.Unknown())
	// Output: 0
}

// A payload may be another program's: of a type that this one doesn't have, or no proto
// message at all.
func ExampleMessage_Proto() {
	for _, payload := range []string{"shop.Order\x00\x08\x07", "plain text"} {
		_, err := outbox.Message{Payload: payload}.Proto()
		fmt.Println(errors.Is(err, outbox.UnregisteredTypeError), errors.Is(err, outbox.PayloadError))
	}
	// Output:
	// true false
	// false true
}
