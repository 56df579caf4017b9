package api_test

import (
	"fmt"
	"log"

	"forge.lthn.ai/core/go-store/api"
)

// A message waits in the store until a program delivers it: package outbox does.
func ExampleStore_Tell() {
	store, err := api.New(":memory:")
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	fmt.Println(store.Tell("mailer", "welcome, ada"))
	page, err := store.OutboxPage("mailer", "", 10)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(page[0].Payload)
	// Output:
	// <nil>
	// welcome, ada
}

// Messages are read in pages: the next begins behind the last one's ID.
func ExampleStore_OutboxPage() {
	store, err := api.New(":memory:")
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	for i := range 5 {
		if err := store.Tell("mailer", fmt.Sprint("letter ", i)); err != nil {
			log.Fatal(err)
		}
	}
	from := ""
	for {
		page, err := store.OutboxPage("mailer", from, 2)
		if err != nil {
			log.Fatal(err)
		}
		if len(page) == 0 {
			break
		}
		for _, message := range page {
			fmt.Println(message.Payload)
			from = message.ID + "\x00"
		}
		fmt.Println("a page of", len(page), "and small:", page[0].Size()*len(page) < api.OutboxPageBytes)
	}
	// Output:
	// letter 0
	// letter 1
	// a page of 2 and small: true
	// letter 2
	// letter 3
	// a page of 2 and small: true
	// letter 4
	// a page of 1 and small: true
}

// A message that no receiver will take is given up, with a reason that can be read later.
func ExampleStore_Bury() {
	store, page := letter()
	defer store.Close()
	fmt.Println(store.Bury(page[0], "no such mailer", 3))
	fmt.Println(store.CountAll(api.OutboxPrefix))
	fmt.Println(store.CountAll(api.DeadPrefix))
	fmt.Println(store.CountAll(api.TimersPrefix)) // none was made by NotifyOnExpiry
	// Output:
	// <nil>
	// 0 <nil>
	// 1 <nil>
	// 0 <nil>
}

func ExampleStore_DeadPage() {
	store, page := letter()
	defer store.Close()
	if err := store.Bury(page[0], "no such mailer", 3); err != nil {
		log.Fatal(err)
	}
	dead, err := store.DeadPage("mailer", "", 10)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(dead[0].Payload, "/", dead[0].Reason, "/", dead[0].Attempts, "attempts")
	// Output: a letter / no such mailer / 3 attempts
}

// What was given up may be delivered after all.
func ExampleStore_Revive() {
	store, page := letter()
	defer store.Close()
	if err := store.Bury(page[0], "no such mailer", 3); err != nil {
		log.Fatal(err)
	}
	dead, err := store.DeadPage("mailer", "", 10)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(store.Revive(dead[0]))
	again, err := store.OutboxPage("mailer", "", 10)
	fmt.Println(again[0].ID == page[0].ID, err)
	// Output:
	// <nil>
	// true <nil>
}

// letter is a store with a message in its outbox.
func letter() (*api.Store, []api.OutboxMessage) {
	store, err := api.New(":memory:")
	if err != nil {
		log.Fatal(err)
	}
	if err := store.Tell("mailer", "a letter"); err != nil {
		log.Fatal(err)
	}
	page, err := store.OutboxPage("mailer", "", 10)
	if err != nil {
		log.Fatal(err)
	}
	return store, page
}
