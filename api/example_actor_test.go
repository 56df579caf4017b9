package api_test

import (
	"errors"
	"fmt"
	"log"
	"log/slog"
	"time"

	"forge.lthn.ai/core/go-store/api"
	"forge.lthn.ai/core/go-store/outbox"
	"forge.lthn.ai/core/go-store/protocol"

	"github.com/asynkron/protoactor-go/actor"
)

// exampleSystem is an actor system that writes no log.
func exampleSystem() *actor.ActorSystem {
	return actor.NewActorSystem(actor.WithLoggerFactory(
		func(*actor.ActorSystem) *slog.Logger { return slog.New(slog.DiscardHandler) }))
}

// visits counts the visits of a page. It asks the store and goes on; the answers come as
// messages.
type visits struct {
	store *actor.PID
	done  chan int64
}

func (v *visits) Receive(c actor.Context) {
	switch m := c.Message().(type) {
	case string:
		c.Request(v.store, protocol.Increment{ID: 1, Group: "visits", Key: m, Delta: 1})
	case protocol.IncrementDone:
		if m.Err != nil {
			log.Print(m.Err)
		}
		v.done <- m.Number
	case protocol.Busy: // nothing was done: try again after m.RetryAfter
	}
}

func ExampleStore_PID() {
	system := exampleSystem()
	store, err := api.New(":memory:", api.WithActorSystem(system))
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	pid, err := store.PID()
	if err != nil {
		log.Fatal(err)
	}

	done := make(chan int64)
	counter := system.Root.Spawn(actor.PropsFromProducer(func() actor.Actor { return &visits{pid, done} }))
	for range 3 {
		system.Root.Send(counter, "/index")
		fmt.Println("visit", <-done)
	}

	// A goroutine can ask too, and wait.
	answer, err := system.Root.RequestFuture(pid, protocol.Get{Group: "visits", Key: "/about"}, time.Second).Result()
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(answer.(protocol.GetDone).Err)
	// Output:
	// visit 1
	// visit 2
	// visit 3
	// store.Get: visits//about: not found
}

func ExampleScopedStore_PID() {
	system := exampleSystem()
	store, err := api.New(":memory:", api.WithActorSystem(system))
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	tenant, err := api.NewScopedWithQuota(store, "tenant-7", api.QuotaConfig{MaxKeys: 1})
	if err != nil {
		log.Fatal(err)
	}
	pid, err := tenant.PID() // for an actor that is to have this namespace, and nothing else
	if err != nil {
		log.Fatal(err)
	}
	for _, key := range []string{"theme", "language"} {
		answer, err := system.Root.RequestFuture(pid, protocol.Set{Group: "config", Key: key, Value: "…"}, time.Second).Result()
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(key, errors.Is(answer.(protocol.SetDone).Err, api.QuotaExceededError))
	}
	// Output:
	// theme false
	// language true
}

// service is an actor whose child is a store: it is opened with it, stops with it, and
// is supervised by it.
type service struct {
	store *actor.PID
	said  chan string
}

func (s *service) Receive(c actor.Context) {
	switch m := c.Message().(type) {
	case *actor.Started:
		s.store = c.Spawn(api.Props(":memory:"))
		// Two events in advance; each that was dealt with is worth one more.
		c.Request(s.store, protocol.Subscribe{ID: 1, Credits: 2, Options: api.SubscribeOptions{
			Filters: []api.Filter{{Group: api.Exactly("config")}}}})
	case protocol.Subscribed:
		for _, theme := range []string{"dark", "light", "grey"} {
			c.Request(s.store, protocol.Set{Group: "config", Key: "theme", Value: theme})
		}
	case protocol.Event:
		s.said <- fmt.Sprintln("theme is", m.Event.Value)
		c.Request(s.store, protocol.Credit{ID: m.ID, N: 1})
	case protocol.SubscriptionEnded:
		s.said <- fmt.Sprintln(m.Err)
	}
}

func ExampleProps() {
	system := exampleSystem()
	said := make(chan string, 3)
	pid := system.Root.Spawn(actor.PropsFromProducer(func() actor.Actor { return &service{said: said} }))
	for range 3 {
		fmt.Print(<-said)
	}
	if err := system.Root.StopFuture(pid).Wait(); err != nil { // the store with it
		log.Fatal(err)
	}
	// Output:
	// theme is dark
	// theme is light
	// theme is grey
}

// A store that is a child, and an outbox for it.
func ExampleWithOpened() {
	system := exampleSystem()
	told := make(chan string)
	mailer := func(c actor.Context) {
		if m, ok := c.Message().(outbox.Message); ok {
			c.Respond(m.Ack())
			told <- m.Payload
		}
	}
	if _, err := system.Root.SpawnNamed(actor.PropsFromFunc(mailer), "mailer"); err != nil {
		log.Fatal(err)
	}
	deliver := api.WithOpened(func(store *api.Store) {
		if _, err := outbox.Start(store, system, outbox.Options{}); err != nil { // it ends with the store
			log.Print(err)
		}
	})
	store := system.Root.Spawn(api.Props(":memory:", deliver))
	answer, err := system.Root.RequestFuture(store, protocol.Tell{Address: "mailer", Message: "welcome"}, time.Second).Result()
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(<-told, answer.(protocol.TellDone).Err)
	if err := system.Root.StopFuture(store).Wait(); err != nil {
		log.Fatal(err)
	}
	// Output: welcome <nil>
}

func ExampleBatch_Writes() {
	system := exampleSystem()
	store, err := api.New(":memory:", api.WithActorSystem(system))
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	pid, err := store.PID()
	if err != nil {
		log.Fatal(err)
	}
	batch := new(api.Batch).Increment("accounts", "alice", -30).Increment("accounts", "bob", 30)
	answer, err := system.Root.RequestFuture(pid, protocol.Batch{Writes: batch.Writes()}, time.Second).Result()
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(answer.(protocol.BatchDone).Revision)
	// Output: 1
}
