package certmagicstore_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"time"

	"forge.lthn.ai/core/go-store/api"
	certmagicstore "forge.lthn.ai/core/go-store/contrib/certmagic"
	"forge.lthn.ai/core/go-store/storetest"
)

// The second caller waits for the first one's Unlock, of which the store tells it: nothing polls.
func ExampleStorage_Lock() {
	store, storage := certificates()
	defer store.Close()
	ctx := context.Background()
	if err := storage.Lock(ctx, "issue example.com"); err != nil {
		log.Fatal(err)
	}
	second := make(chan error)
	go func() { second <- storage.Lock(ctx, "issue example.com") }()
	fmt.Println("first: issued")
	fmt.Println("first:", storage.Unlock(ctx, "issue example.com"))

	fmt.Println("second:", <-second)
	fmt.Println("second:", storage.Unlock(ctx, "issue example.com"))
	// Output:
	// first: issued
	// first: <nil>
	// second: <nil>
	// second: <nil>
}

// A task that one process of several does, while the others go on.
func ExampleStorage_TryLock() {
	store, first := certificates()
	defer store.Close()
	second := certmagicstore.New(store, certmagicstore.Options{})
	ctx := context.Background()
	fmt.Println(first.TryLock(ctx, "clean up"))
	fmt.Println(second.TryLock(ctx, "clean up"))
	fmt.Println(first.Unlock(ctx, "clean up"))
	// Output:
	// true <nil>
	// false <nil>
	// <nil>
}

// certmagic renews before each attempt, for as long as that may take; the lease has the length of
// the options, and goes on being renewed.
func ExampleStorage_RenewLockLease() {
	clock := storetest.NewClock()
	store, err := api.New(":memory:", api.WithClock(clock))
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	storage := certmagicstore.New(store, certmagicstore.Options{Lease: 15 * time.Second})
	ctx := context.Background()
	fmt.Println(storage.RenewLockLease(ctx, "issue", time.Hour)) // not held yet
	fmt.Println(storage.Lock(ctx, "issue"))
	clock.Advance(10 * time.Second)
	fmt.Println(storage.RenewLockLease(ctx, "issue", time.Hour))
	lock, err := store.Entry("certmagic:locks", "issue")
	fmt.Println(lock.ExpiresAt.Sub(clock.Now()), err)
	fmt.Println(storage.Unlock(ctx, "issue"))
	// Output:
	// certmagicstore.RenewLockLease: issue: the lock is not held, or its lease has run out
	// <nil>
	// <nil>
	// 15s <nil>
	// <nil>
}

// A holder that was away for longer than its lease learns from Unlock that it was not alone.
func ExampleStorage_Unlock() {
	clock := storetest.NewClock()
	store, err := api.New(":memory:", api.WithClock(clock))
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	options := certmagicstore.Options{Lease: time.Minute}
	asleep, awake := certmagicstore.New(store, options), certmagicstore.New(store, options)
	ctx := context.Background()
	fmt.Println(asleep.TryLock(ctx, "issue"))
	clock.Advance(time.Minute) // nothing is renewed meanwhile
	fmt.Println(awake.TryLock(ctx, "issue"))

	fmt.Println("lost:", errors.Is(asleep.Unlock(ctx, "issue"), certmagicstore.LostError))
	fmt.Println(awake.Unlock(ctx, "issue"))
	// Output:
	// true <nil>
	// true <nil>
	// lost: true
	// <nil>
}
