package api_test

import (
	"fmt"
	"log"
	"time"

	"forge.lthn.ai/core/go-store/api"
)

// What a transaction tells is in the outbox when it is committed, and not before.
func ExampleTransaction_Tell() {
	store, err := api.New(":memory:")
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	if err := store.Transaction(func(tx *api.Transaction) error {
		if err := tx.Set("orders", "7", "a book"); err != nil {
			return err
		}
		return tx.Tell("mailer", "order 7 was placed")
	}); err != nil {
		log.Fatal(err)
	}
	page, err := store.OutboxPage("mailer", "", 10)
	if err != nil {
		log.Fatal(err)
	}
	for _, message := range page {
		fmt.Println(message.Address, message.Payload)
	}
	// Output: mailer order 7 was placed
}

// A key's last value goes to an address when it expires. Package outbox delivers it.
func ExampleNotifyOnExpiry() {
	store, err := api.New(":memory:")
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	if err := store.SetWithTTL("sessions", "ada", "3 pages seen", -1*time.Second, api.NotifyOnExpiry("closer")); err != nil {
		log.Fatal(err)
	}
	if _, err := store.PurgeExpired(); err != nil {
		log.Fatal(err)
	}
	page, err := store.OutboxPage("closer", "", 10)
	if err != nil {
		log.Fatal(err)
	}
	for _, message := range page {
		fmt.Println(message.Expired.Group, message.Expired.Key, message.Expired.Value)
	}
	// Output: sessions ada 3 pages seen
}

// A look at an outbox finds the addresses, and what waits for each; what will never be
// taken is given up with a reason, and may be taken back.
func ExampleStore_OutboxAddresses() {
	store, err := api.New(":memory:")
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	for _, address := range []string{"mailer", "printer"} {
		if err := store.Tell(address, "a letter"); err != nil {
			log.Fatal(err)
		}
	}
	for address, err := range store.OutboxAddresses("") {
		if err != nil {
			log.Fatal(err)
		}
		page, err := store.OutboxPage(address, "", 100)
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(address, len(page), page[0].Payload)
		if address == "printer" {
			err = store.Bury(page[0], "it has been sold", 1)
		}
		if err != nil {
			log.Fatal(err)
		}
	}
	dead, err := store.DeadPage("printer", "", 100)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("dead:", dead[0].Address, dead[0].Reason)
	if err := store.Revive(dead[0]); err != nil { // under the ID that it had
		log.Fatal(err)
	}
	// Output:
	// mailer 1 a letter
	// printer 1 a letter
	// dead: printer it has been sold
}

// All messages to an address that is no more are given up page by page, each in one commit.
func ExampleStore_BuryAll() {
	store, err := api.New(":memory:")
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	batch := new(api.Batch)
	for i := range 5 {
		batch.Tell("printer", fmt.Sprint("page ", i))
	}
	if _, err := store.Batch(batch); err != nil {
		log.Fatal(err)
	}
	for {
		page, err := store.OutboxPage("printer", "", 2)
		if err != nil {
			log.Fatal(err)
		}
		if len(page) == 0 {
			break
		}
		if err := store.BuryAll(page, "it has been sold", 0); err != nil {
			log.Fatal(err)
		}
		fmt.Println(len(page), "given up")
	}
	// Output:
	// 2 given up
	// 2 given up
	// 1 given up
}
