package api_test

import (
	"errors"
	"fmt"
	"log"
	"time"

	"forge.lthn.ai/core/go-store/api"
)

// Money moves from one account to another, or stays where it is. The function
// runs again when another caller has changed an account that it has read, so it
// reads everything anew each time and does nothing else.
func ExampleStore_Transaction() {
	store, err := api.New(":memory:")
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	if err := store.SetAll([]api.Item{
		{Group: "accounts", Key: "ada", Value: "100"},
		{Group: "accounts", Key: "bob", Value: "0"},
	}); err != nil {
		log.Fatal(err)
	}

	errNoFunds := errors.New("insufficient funds")
	transfer := func(from, to string, amount int64) error {
		return store.Transaction(func(tx *api.Transaction) error {
			left, err := tx.Increment("accounts", from, -amount)
			if err != nil {
				return err
			}
			if left < 0 {
				return errNoFunds // nothing is written
			}
			_, err = tx.Increment("accounts", to, amount)
			return err
		})
	}
	fmt.Println(transfer("ada", "bob", 30))
	fmt.Println(transfer("ada", "bob", 80))
	fmt.Println(store.GetAll("accounts"))
	// Output:
	// <nil>
	// insufficient funds
	// map[ada:70 bob:30] <nil>
}

// A transaction that counts depends on what it has counted: of many that ask for
// the last seat at once one gets it.
func ExampleStore_Transaction_range() {
	store, err := api.New(":memory:")
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()

	const seats = 2
	errFull := errors.New("no seat is left")
	book := func(guest string) error {
		return store.Transaction(func(tx *api.Transaction) error {
			taken, err := tx.Count("flight")
			if err != nil {
				return err
			}
			if taken == seats {
				return errFull
			}
			return tx.Set("flight", guest, "booked")
		})
	}
	guests := []string{"ada", "bob", "cay", "dan"}
	outcomes := make(chan error)
	for _, guest := range guests {
		go func() { outcomes <- book(guest) }()
	}
	booked, full := 0, 0
	for range guests {
		switch err := <-outcomes; {
		case err == nil:
			booked++
		case errors.Is(err, errFull):
			full++
		default:
			log.Fatal(err)
		}
	}
	fmt.Println(booked, "booked,", full, "turned away")
	// Output: 2 booked, 2 turned away
}

// A transaction of a scoped store sees its namespace only, and keeps to the
// quota: what would exceed it fails the whole transaction.
func ExampleScopedStore_Transaction() {
	store, err := api.New(":memory:")
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	tenant, err := api.NewScopedWithQuota(store, "tenant-a", api.QuotaConfig{MaxKeys: 2})
	if err != nil {
		log.Fatal(err)
	}

	fmt.Println(tenant.Transaction(func(tx *api.Transaction) error {
		if err := tx.Set("users", "ada", "admin"); err != nil {
			return err
		}
		return tx.Set("users", "bob", "guest")
	}))
	err = tenant.Transaction(func(tx *api.Transaction) error {
		if err := tx.Set("users", "ada", "nobody"); err != nil {
			return err
		}
		return tx.Set("users", "cay", "guest")
	})
	fmt.Println(errors.Is(err, api.QuotaExceededError))
	fmt.Println(tenant.GetAll("users"))
	fmt.Println(store.Groups(""))
	// Output:
	// <nil>
	// true
	// map[ada:admin bob:guest] <nil>
	// [tenant-a:users] <nil>
}

// A transaction that others get ahead of each time gives up, with nothing of it
// written.
func ExampleConflictError() {
	store, err := api.New(":memory:")
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()

	err = store.Transaction(func(tx *api.Transaction) error {
		if _, err := tx.Increment("counters", "visits", 1); err != nil {
			return err
		}
		_, err := store.Increment("counters", "visits", 1) // another caller, each time
		return err
	})
	var conflict *api.ConflictError
	if errors.As(err, &conflict) {
		fmt.Println(conflict.Attempts, "attempts")
	}
	fmt.Println(store.Get("counters", "visits"))
	// Output:
	// 16 attempts
	// 16 <nil>
}

// Within a transaction all reads see one moment, and what it has written itself.
func ExampleTransaction() {
	store, err := api.New(":memory:")
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	if err := store.Set("users", "ada", "admin"); err != nil {
		log.Fatal(err)
	}
	err = store.Transaction(func(tx *api.Transaction) error {
		if err := errors.Join(
			tx.Set("users", "bob", "guest"),
			tx.SetWithTTL("sessions", "bob", "token", time.Hour),
			tx.Touch("sessions", "bob", 2*time.Hour),
			tx.Persist("sessions", "bob"),
		); err != nil {
			return err
		}
		fmt.Println(tx.Get("users", "bob"))
		fmt.Println(tx.GetAll("users"))
		fmt.Println(tx.GetPage("users", 0, 1))
		fmt.Println(tx.Exists("users", "eve"))
		fmt.Println(tx.Groups(""))
		fmt.Println(tx.GroupExists("sessions"))
		fmt.Println(tx.CountAll(""))
		for user, err := range tx.All("users") {
			fmt.Println(user.Key, err)
		}
		entry, err := tx.Entry("users", "ada")
		fmt.Println(entry.Revision, err)
		return errors.Join(tx.Delete("users", "bob"), tx.DeleteGroup("sessions"), tx.DeletePrefix("cache:"))
	})
	fmt.Println(err)
	fmt.Println(store.GetAll("users"))
	// Output:
	// guest <nil>
	// map[ada:admin bob:guest] <nil>
	// [{ada admin}] <nil>
	// false <nil>
	// [sessions users] <nil>
	// true <nil>
	// 3 <nil>
	// ada <nil>
	// bob <nil>
	// 1 <nil>
	// <nil>
	// map[ada:admin] <nil>
}

// There are no transactions within transactions, and none lives longer than its function.
func ExampleTransaction_Transaction() {
	store, err := api.New(":memory:")
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	var kept *api.Transaction
	err = store.Transaction(func(tx *api.Transaction) error {
		kept = tx
		return tx.Transaction(func(*api.Transaction) error { return nil })
	})
	fmt.Println(errors.Is(err, api.NestedTransactionError))
	fmt.Println(errors.Is(kept.Set("users", "ada", "admin"), api.TransactionEndedError))
	// Output:
	// true
	// true
}
