package api_test

import (
	"errors"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"forge.lthn.ai/core/go-store/api"
)

// Money moves from one account to another, or stays where it is: both writes
// are done or none, and only if neither balance has changed since it was read.
func ExampleStore_Batch() {
	store, err := api.New(":memory:")
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	if err := store.SetAll([]api.Item{
		{Group: "accounts", Key: "ada", Value: "100"}, {Group: "accounts", Key: "bob", Value: "20"},
	}); err != nil {
		log.Fatal(err)
	}

	transfer := func(from, to string, amount int) error {
		for {
			payer, err := store.Entry("accounts", from)
			if err != nil {
				return err
			}
			balance, err := strconv.Atoi(payer.Value)
			if err != nil {
				return err
			}
			if balance < amount {
				return errors.New(from + " has not got that much")
			}
			_, err = store.Batch(new(api.Batch).
				IfRevision("accounts", from, payer.Revision).
				IfPresent("accounts", to).
				Set("accounts", from, strconv.Itoa(balance-amount)).
				Increment("accounts", to, int64(amount)))
			var changed *api.RevisionMismatchError
			if errors.As(err, &changed) && changed.Key == from {
				continue // another caller was faster: look again
			}
			return err
		}
	}
	fmt.Println(transfer("ada", "bob", 30))
	fmt.Println(transfer("ada", "bob", 80))
	fmt.Println(transfer("bob", "eve", 10))
	fmt.Println(store.GetAll("accounts"))
	// Output:
	// <nil>
	// ada has not got that much
	// store.Batch: accounts/eve: absent, expected present; read it again and decide anew
	// map[ada:70 bob:50] <nil>
}

// A lock that no owner can keep for ever: it expires unless its owner renews it.
func ExampleStore_Batch_lock() {
	clock := &handClock{now: time.Date(2026, time.February, 19, 12, 0, 0, 0, time.UTC)}
	store, err := api.New(":memory:", api.WithClock(clock))
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()

	lock := func(owner string) (revision uint64, err error) {
		return store.Batch(new(api.Batch).IfAbsent("locks", "report").SetWithTTL("locks", "report", owner, time.Minute))
	}
	adas, err := lock("ada")
	fmt.Println("ada:", err)
	_, err = lock("bob")
	fmt.Println("bob:", err)

	clock.Advance(time.Minute) // ada has crashed
	bobs, err := lock("bob")
	fmt.Println("bob:", err)

	// The lock's revision tells its owners apart: ada, back again, can't
	// unlock what is bob's.
	fmt.Println("ada:", store.CompareAndDelete("locks", "report", adas))
	fmt.Println("bob:", store.CompareAndDelete("locks", "report", bobs))
	// Output:
	// ada: <nil>
	// bob: store.Batch: locks/report: revision 1, expected absent; read it again and decide anew
	// bob: <nil>
	// ada: store.CompareAndDelete: locks/report: revision 2, expected revision 1; read it again and decide anew
	// bob: <nil>
}

// A batch of a scoped store is confined to the namespace and its quota.
func ExampleScopedStore_Batch() {
	store, err := api.New(":memory:")
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	tenant, err := api.NewScopedWithQuota(store, "tenant-a", api.QuotaConfig{MaxKeys: 2})
	if err != nil {
		log.Fatal(err)
	}

	_, err = tenant.Batch(new(api.Batch).Set("config", "theme", "dark").Set("config", "language", "en"))
	fmt.Println(err)
	_, err = tenant.Batch(new(api.Batch).Set("config", "theme", "light").Set("config", "font", "serif"))
	fmt.Println(errors.Is(err, api.QuotaExceededError))
	fmt.Println(store.GetAll("tenant-a:config"))
	// Output:
	// <nil>
	// true
	// map[language:en theme:dark] <nil>
}

// A log that keeps a week, if that fits into 256 MiB of the file.
func ExampleWithHistory() {
	store, err := api.New(":memory:", api.WithHistory(api.Retention{
		Revisions: 1_000_000_000, Bytes: 256 << 20, Age: 7 * 24 * time.Hour}))
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()

	for _, theme := range []string{"dark", "light"} {
		if err := store.Set("config", "theme", theme); err != nil {
			log.Fatal(err)
		}
	}
	for event, err := range store.History("config", "theme") {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(event.Revision, event.Type, event.Value)
	}
	// Output:
	// 1 set dark
	// 2 set light
}

// Where a part of the log can't be read any more, the store opens without it:
// with all its entries, and revisions that go on.
func ExampleWithDiscardedLog() {
	folder, err := os.MkdirTemp("", "go-store")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(folder)
	path := filepath.Join(folder, "app.db")

	open := func(options ...api.Option) *api.Store {
		store, err := api.New(path, options...)
		var corrupt *api.CorruptLogError
		if errors.As(err, &corrupt) { // better restored from a backup, if there is one
			store, err = api.New(path, append(options, api.WithDiscardedLog())...)
		}
		if err != nil {
			log.Fatal(err)
		}
		return store
	}
	store := open()
	if err := store.Set("config", "theme", "dark"); err != nil {
		log.Fatal(err)
	}
	if err := store.Close(); err != nil {
		log.Fatal(err)
	}

	store = open(api.WithDiscardedLog())
	defer store.Close()
	fmt.Println(store.Entry("config", "theme"))
	fmt.Println(store.Revision())
	for range store.History("config", "theme") {
		fmt.Println("never reached: the log is empty")
	}
	// Output:
	// {dark 1 0001-01-01 00:00:00 +0000 UTC} <nil>
	// 1 <nil>
}

// A batch is built by calls, and can be used anew.
func ExampleBatch() {
	store, err := api.New(":memory:")
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	batch := new(api.Batch).
		Set("users", "ada", "admin").
		SetWithTTL("sessions", "ada", "token", time.Hour).
		Touch("sessions", "ada", 2*time.Hour).
		Persist("sessions", "ada").
		Set("cache:pages", "/", "<html>")
	fmt.Println(batch.Len(), "operations")
	fmt.Println(store.Batch(batch))

	batch.Reset().Delete("users", "ada").DeleteGroup("sessions").DeletePrefix("cache:")
	fmt.Println(store.Batch(batch))
	fmt.Println(store.CountAll(""))
	// Output:
	// 5 operations
	// 1 <nil>
	// 2 <nil>
	// 0 <nil>
}
