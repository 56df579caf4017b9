package protocol_test

import (
	"fmt"
	"log"
	"log/slog"
	"time"

	"forge.lthn.ai/core/go-store/api"
	"forge.lthn.ai/core/go-store/protocol"

	"github.com/asynkron/protoactor-go/actor"
)

// open is a store and the address of its actor.
func open() (store *api.Store, system *actor.ActorSystem, pid *actor.PID) {
	system = actor.NewActorSystem(actor.WithLoggerFactory(
		func(*actor.ActorSystem) *slog.Logger { return slog.New(slog.DiscardHandler) }))
	store, err := api.New(":memory:", api.WithActorSystem(system))
	if err != nil {
		log.Fatal(err)
	}
	if pid, err = store.PID(); err != nil {
		log.Fatal(err)
	}
	return store, system, pid
}

// An actor logs a user in, has itself told of the end of the session, and tells the mailer.
// Each answer says by its ID which request it is of.
func Example() {
	store, system, pid := open()
	defer store.Close()
	done := make(chan struct{})
	system.Root.Spawn(actor.PropsFromFunc(func(c actor.Context) {
		switch m := c.Message().(type) {
		case *actor.Started:
			c.Request(pid, protocol.SetWithTTL{ID: 1, Group: "sessions", Key: "ada", Value: "token-1",
				TimeToLive: time.Hour, NotifyOnExpiry: "closer"})
			c.Request(pid, protocol.Tell{ID: 2, Address: "mailer", Message: "ada is here"})
		case protocol.Busy: // nothing was done: once more, after m.RetryAfter
		case protocol.Reply:
			fmt.Printf("%T %d: %v\n", m, m.RequestID(), m.Failure())
			if m.RequestID() == 2 {
				close(done)
			}
		}
	}))
	<-done
	// Output:
	// protocol.SetWithTTLDone 1: <nil>
	// protocol.TellDone 2: <nil>
}

// A subscriber is sent no more events than it has given credits for.
func ExampleSubscribe() {
	store, system, pid := open()
	defer store.Close()
	if err := store.Set("config", "theme", "dark"); err != nil {
		log.Fatal(err)
	}
	done := make(chan struct{})
	system.Root.Spawn(actor.PropsFromFunc(func(c actor.Context) {
		switch m := c.Message().(type) {
		case *actor.Started:
			c.Request(pid, protocol.Subscribe{ID: 1, Credits: 1, Options: api.SubscribeOptions{State: true,
				Filters: []api.Filter{{Group: api.Exactly("config")}}}})
		case protocol.Subscribed:
			fmt.Println("subscribed", m.Err)
		case protocol.Event:
			fmt.Printf("%v %q %q\n", m.Event.Type, m.Event.Key, m.Event.Value)
			if m.Event.Type == api.EventSynced {
				c.Request(pid, protocol.Unsubscribe{ID: 1})
				return
			}
			c.Request(pid, protocol.Credit{ID: 1, N: 1}) // for the next one
		case protocol.SubscriptionEnded:
			fmt.Println("ended", m.Err)
			close(done)
		}
	}))
	<-done
	// Output:
	// subscribed <nil>
	// set "theme" "dark"
	// synced "" ""
	// ended <nil>
}

// A scan is asked for page by page; the cursor of one is in the request for the next.
func ExampleScan() {
	store, system, pid := open()
	defer store.Close()
	for _, key := range []string{"a", "b", "c"} {
		if err := store.Set("letters", key, key); err != nil {
			log.Fatal(err)
		}
	}
	done := make(chan struct{})
	system.Root.Spawn(actor.PropsFromFunc(func(c actor.Context) {
		scan := protocol.Scan{Groups: api.Exactly("letters"), Limit: 2}
		switch m := c.Message().(type) {
		case *actor.Started:
			c.Request(pid, scan)
		case protocol.ScanDone:
			for _, entry := range m.Entries {
				fmt.Println(entry.Key, entry.Value)
			}
			if scan.Cursor = m.Cursor; m.Err != nil || m.Cursor == "" {
				close(done)
				return
			}
			fmt.Println("next page")
			c.Request(pid, scan)
		}
	}))
	<-done
	// Output:
	// a a
	// b b
	// next page
	// c c
}
