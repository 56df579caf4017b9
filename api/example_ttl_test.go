package api_test

import (
	"fmt"
	"log"
	"time"

	"forge.lthn.ai/core/go-store/api"
)

func ExampleStore_SetWithTTL() {
	clock := &handClock{now: time.Now()} // see the example of WithClock
	store, err := api.New(":memory:", api.WithClock(clock))
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()

	if err := store.SetWithTTL("sessions", "ada", "token-1", 30*time.Minute); err != nil {
		log.Fatal(err)
	}
	fmt.Println(store.Exists("sessions", "ada"))
	clock.Advance(30 * time.Minute)
	fmt.Println(store.Exists("sessions", "ada"))
	// Output:
	// true <nil>
	// false <nil>
}

// Expired keys are removed in the background. A caller that wants their space at
// once removes them itself.
func ExampleStore_PurgeExpired() {
	clock := &handClock{now: time.Now()} // see the example of WithClock
	store, err := api.New(":memory:", api.WithClock(clock))
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()

	for _, user := range []string{"ada", "bob"} {
		if err := store.SetWithTTL("sessions", user, "token", time.Minute); err != nil {
			log.Fatal(err)
		}
	}
	clock.Advance(time.Minute)
	fmt.Println(store.PurgeExpired())
	fmt.Println(store.PurgeExpired())
	// Output:
	// 2 <nil>
	// 0 <nil>
}

// A key that expires leaves an event with its last value behind, here a
// millisecond after its deadline.
func ExampleWithPurgeInterval() {
	store, err := api.New(":memory:", api.WithPurgeInterval(time.Millisecond))
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	watcher := store.Watch("sessions", "*")
	if err := store.SetWithTTL("sessions", "ada", "token-1", 10*time.Millisecond); err != nil {
		log.Fatal(err)
	}
	for range 2 {
		event := <-watcher.Events
		fmt.Println(event.Type, event.Key, event.Value)
	}
	// Output:
	// set ada token-1
	// expire ada token-1
}

// Entries that are copied to another store expire there when they would have
// expired here.
func ExampleBatch_SetUntil() {
	from, err := api.New(":memory:")
	if err != nil {
		log.Fatal(err)
	}
	defer from.Close()
	to, err := api.New(":memory:")
	if err != nil {
		log.Fatal(err)
	}
	defer to.Close()
	if err := from.SetWithTTL("sessions", "alice", "token-1", time.Hour); err != nil {
		log.Fatal(err)
	}

	entry, err := from.Entry("sessions", "alice")
	if err != nil {
		log.Fatal(err)
	}
	if _, err := to.Batch(new(api.Batch).SetUntil("sessions", "alice", entry.Value, entry.ExpiresAt)); err != nil {
		log.Fatal(err)
	}
	there, err := to.Entry("sessions", "alice")
	fmt.Println(there.Value, there.ExpiresAt.Equal(entry.ExpiresAt), err)
	// Output: token-1 true <nil>
}
