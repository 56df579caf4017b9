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
