package api_test

import (
	"errors"
	"fmt"
	"log"
	"time"

	"forge.lthn.ai/core/go-store/api"
)

func ExampleStore_Entry() {
	clock := &handClock{now: time.Date(2026, time.February, 19, 12, 0, 0, 0, time.UTC)}
	store, err := api.New(":memory:", api.WithClock(clock))
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()

	if err := store.SetWithTTL("sessions", "ada", "token-1", time.Hour); err != nil {
		log.Fatal(err)
	}
	entry, err := store.Entry("sessions", "ada")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(entry.Value, entry.Revision, entry.ExpiresAt.UTC().Format(time.TimeOnly))

	_, err = store.Entry("sessions", "bob")
	fmt.Println(errors.Is(err, api.NotFoundError))
	// Output:
	// token-1 1 13:00:00
	// true
}

func ExampleStore_Revision() {
	store, err := api.New(":memory:")
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()

	fmt.Println(store.Revision())
	if err := store.Set("config", "theme", "dark"); err != nil {
		log.Fatal(err)
	}
	if err := store.Delete("config", "nothing of that name"); err != nil { // changes nothing
		log.Fatal(err)
	}
	fmt.Println(store.Revision())
	// Output:
	// 0 <nil>
	// 1 <nil>
}

// The first caller has the job.
func ExampleStore_SetIfAbsent() {
	store, err := api.New(":memory:")
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()

	for _, worker := range []string{"ada", "bob"} {
		_, err := store.SetIfAbsent("jobs", "nightly", worker)
		var taken *api.RevisionMismatchError
		switch {
		case err == nil:
			fmt.Println(worker, "has it")
		case errors.As(err, &taken):
			fmt.Println(worker, "comes late: taken at revision", taken.Current)
		default:
			log.Fatal(err)
		}
	}
	// Output:
	// ada has it
	// bob comes late: taken at revision 1
}

// A value that several callers may change at once: read it, make the new one of it, and
// write that only if no other was faster. Otherwise begin again.
func ExampleStore_CompareAndSet() {
	store, err := api.New(":memory:")
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()

	appendTo := func(group, key, text string) error {
		for {
			entry, err := store.Entry(group, key)
			if err != nil && !errors.Is(err, api.NotFoundError) {
				return err
			} // a key that is not there has revision 0
			_, err = store.CompareAndSet(group, key, entry.Value+text, entry.Revision)
			var changed *api.RevisionMismatchError
			if !errors.As(err, &changed) {
				return err
			}
		}
	}
	for _, guest := range []string{"ada ", "bob ", "eve "} {
		if err := appendTo("lists", "guests", guest); err != nil {
			log.Fatal(err)
		}
	}
	fmt.Println(store.Get("lists", "guests"))
	// Output:
	// ada bob eve  <nil>
}

// What is removed is what was looked at, and nothing newer.
func ExampleStore_CompareAndDelete() {
	store, err := api.New(":memory:")
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()

	draft, err := store.SetIfAbsent("drafts", "letter", "Dear Bob")
	if err != nil {
		log.Fatal(err)
	}
	if err := store.Set("drafts", "letter", "Dear Eve"); err != nil { // meanwhile
		log.Fatal(err)
	}
	err = store.CompareAndDelete("drafts", "letter", draft)
	fmt.Println(err)
	var changed *api.RevisionMismatchError
	if errors.As(err, &changed) {
		fmt.Println(store.CompareAndDelete("drafts", "letter", changed.Current))
	}
	// Output:
	// store.CompareAndDelete: drafts/letter: revision 2, expected revision 1; read it again and decide anew
	// <nil>
}

// A session that is used lives longer; nothing else of it is written.
func ExampleStore_Touch() {
	clock := &handClock{now: time.Date(2026, time.February, 19, 12, 0, 0, 0, time.UTC)}
	store, err := api.New(":memory:", api.WithClock(clock))
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()

	if err := store.SetWithTTL("sessions", "ada", "token-1", time.Hour); err != nil {
		log.Fatal(err)
	}
	clock.Advance(50 * time.Minute)
	if err := store.Touch("sessions", "ada", time.Hour); err != nil {
		log.Fatal(err)
	}
	clock.Advance(50 * time.Minute)
	fmt.Println(store.Get("sessions", "ada"))
	fmt.Println(store.Touch("sessions", "bob", time.Hour))
	// Output:
	// token-1 <nil>
	// store.Touch: sessions/bob: not found
}

func ExampleStore_Persist() {
	clock := &handClock{now: time.Date(2026, time.February, 19, 12, 0, 0, 0, time.UTC)}
	store, err := api.New(":memory:", api.WithClock(clock))
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()

	if err := store.SetWithTTL("orders", "7", "two books", time.Hour); err != nil { // not paid yet
		log.Fatal(err)
	}
	if err := store.Persist("orders", "7"); err != nil { // paid
		log.Fatal(err)
	}
	clock.Advance(24 * time.Hour)
	fmt.Println(store.Get("orders", "7"))
	// Output:
	// two books <nil>
}

// A counter of many goroutines needs no loop.
func ExampleStore_Increment() {
	store, err := api.New(":memory:")
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()

	fmt.Println(store.Increment("visits", "home", 1)) // a key that is not there counts as 0
	fmt.Println(store.Increment("visits", "home", 41))
	fmt.Println(store.Get("visits", "home"))

	if err := store.Set("visits", "about", "many"); err != nil {
		log.Fatal(err)
	}
	_, err = store.Increment("visits", "about", 1)
	fmt.Println(errors.Is(err, api.NotANumberError))
	// Output:
	// 1 <nil>
	// 42 <nil>
	// 42 <nil>
	// true
}
