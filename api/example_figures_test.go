package api_test

import (
	"errors"
	"fmt"
	"log"

	"forge.lthn.ai/core/go-store/api"
)

// Close answers every call that is under way, and may be called any number of times.
func ExampleStore_Close() {
	store, err := api.New(":memory:")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(store.Close(), store.Close())
	_, err = store.Get("users", "ada")
	fmt.Println(errors.Is(err, api.ClosedError))
	// Output:
	// <nil> <nil>
	// true
}

// A transaction whose reads others have changed runs again, and that is counted.
func ExampleStore_Conflicts() {
	store, err := api.New(":memory:")
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	attempts := 0
	err = store.Transaction(func(tx *api.Transaction) error {
		if _, err := tx.Exists("users", "ada"); err != nil {
			return err
		}
		if attempts++; attempts == 1 { // another caller is faster
			if err := store.Set("users", "ada", "admin"); err != nil {
				return err
			}
		}
		return tx.Set("users", "ada", "guest")
	})
	fmt.Println(attempts, store.Conflicts(), err)
	// Output: 2 1 <nil>
}

// Requests that were admitted and are not answered: of 4,096 more wait (WithMaxInFlight).
func ExampleStore_InFlight() {
	store, err := api.New(":memory:")
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	fmt.Println(store.InFlight())
	// Output: 0
}

// Callbacks for changes that no goroutine has asked for run on one of the store's own. What
// it has no room for is counted.
func ExampleStore_CallbackOverflow() {
	store, err := api.New(":memory:")
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	store.OnChange(func(event api.Event) { fmt.Println(event.Type) })
	if err := store.Set("users", "ada", "admin"); err != nil { // runs it in this goroutine
		log.Fatal(err)
	}
	fmt.Println(store.CallbackOverflow())
	// Output:
	// set
	// 0
}

// What actors have sent to a store's address and the store could not answer.
func ExampleStore_DroppedMessages() {
	system := exampleSystem()
	store, err := api.New(":memory:", api.WithActorSystem(system))
	if err != nil {
		log.Fatal(err)
	}
	pid, err := store.PID()
	if err != nil {
		log.Fatal(err)
	}
	system.Root.Send(pid, "not of the protocol, and without a sender")
	if err := store.Close(); err != nil { // has worked off what it was sent
		log.Fatal(err)
	}
	dropped := store.DroppedMessages()
	fmt.Println(dropped.Unknown+dropped.Unsent, "messages")
	// Output: 1 messages
}

// A value as bytes: a slice of the caller's own.
func ExampleStore_GetBytes() {
	store, err := api.New(":memory:")
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	if err := store.SetBytes("blobs", "a", []byte{0, 1, 0xff}); err != nil {
		log.Fatal(err)
	}
	value, err := store.GetBytes("blobs", "a")
	fmt.Printf("%x %v\n", value, err)
	// Output: 0001ff <nil>
}

// A group exists while it has a key that has not expired.
func ExampleStore_GroupExists() {
	store, err := api.New(":memory:")
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	fmt.Println(store.GroupExists("users"))
	if err := store.Set("users", "ada", "admin"); err != nil {
		log.Fatal(err)
	}
	fmt.Println(store.GroupExists("users"))
	// Output:
	// false <nil>
	// true <nil>
}
