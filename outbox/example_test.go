package outbox_test

import (
	"fmt"
	"log"
	"log/slog"
	"time"

	"forge.lthn.ai/core/go-store/api"
	"forge.lthn.ai/core/go-store/outbox"

	"github.com/asynkron/protoactor-go/actor"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// An order and the message about it are committed together; a session tells of its end.
func ExampleStart() {
	store, err := api.New(":memory:", api.WithPurgeInterval(time.Millisecond))
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	system := actor.NewActorSystem(actor.WithLoggerFactory(func(*actor.ActorSystem) *slog.Logger {
		return slog.New(slog.DiscardHandler)
	}))
	defer system.Shutdown()

	done := make(chan string)
	mailer := actor.PropsFromFunc(func(ctx actor.Context) {
		m, ok := ctx.Message().(outbox.Message)
		if !ok {
			return
		}
		if m.Expired != nil {
			done <- fmt.Sprintf("%s of %s has expired: %s", m.Expired.Group, m.Expired.Key, m.Expired.Value)
		} else {
			done <- m.Payload
		}
		ctx.Respond(m.Ack())
	})
	if _, err := system.Root.SpawnNamed(mailer, "mailer"); err != nil {
		log.Fatal(err)
	}
	delivery, err := outbox.Start(store, system, outbox.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer delivery.Stop()

	if err := store.Transaction(func(tx *api.Transaction) error {
		if err := tx.Set("orders", "7", "a book"); err != nil {
			return err
		}
		return tx.Tell("mailer", "order 7 was placed")
	}); err != nil {
		log.Fatal(err)
	}
	fmt.Println(<-done)

	if err := store.SetWithTTL("session", "ada", "3 pages seen", time.Millisecond, api.NotifyOnExpiry("mailer")); err != nil {
		log.Fatal(err)
	}
	fmt.Println(<-done)
	// Output:
	// order 7 was placed
	// session of ada has expired: 3 pages seen
}

// What a receiver will never take it rejects: that goes to the dead letters at once, with the
// reason, and does not come again.
func ExampleMessage_Reject() {
	store, err := api.New(":memory:")
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	system := actor.NewActorSystem(actor.WithLoggerFactory(func(*actor.ActorSystem) *slog.Logger {
		return slog.New(slog.DiscardHandler)
	}))
	defer system.Shutdown()

	printer := actor.PropsFromFunc(func(ctx actor.Context) {
		m, ok := ctx.Message().(outbox.Message)
		switch {
		case !ok:
		case m.Payload == "":
			ctx.Respond(m.Reject("an empty page"))
		default:
			ctx.Respond(m.Ack())
		}
	})
	if _, err := system.Root.SpawnNamed(printer, "printer"); err != nil {
		log.Fatal(err)
	}
	given := store.Watch(api.DeadPrefix+"printer", "*")
	delivery, err := outbox.Start(store, system, outbox.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer delivery.Stop()
	if err := store.Tell("printer", ""); err != nil {
		log.Fatal(err)
	}
	<-given.Events
	dead, err := store.DeadPage("printer", "", 10)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(dead[0].Reason)
	// Output: rejected: an empty page
}

// A proto message is told as a payload that says its type.
func ExampleEncode() {
	payload, err := outbox.Encode(wrapperspb.String("a page"))
	if err != nil {
		log.Fatal(err)
	}
	received := outbox.Message{Payload: payload} // as its receiver has it
	message, err := received.Proto()
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(message.(*wrapperspb.StringValue).GetValue())
	// Output: a page
}
