package api_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"time"

	"forge.lthn.ai/core/go-store/api"
)

// accounts is a store with Ada's account.
func accounts() (*api.Store, *api.Typed[Account]) {
	store, err := api.New(":memory:")
	if err != nil {
		log.Fatal(err)
	}
	accounts := api.Of(store, "accounts", api.JSON[Account]())
	if err := accounts.Set("1", Account{"Ada", 10}); err != nil {
		log.Fatal(err)
	}
	return store, accounts
}

func ExampleTyped_Get() {
	store, accounts := accounts()
	defer store.Close()
	account, err := accounts.Get("1")
	fmt.Println(account.Owner, account.Balance, err)
	_, err = accounts.Get("2")
	fmt.Println(errors.Is(err, api.NotFoundError))
	// Output:
	// Ada 10 <nil>
	// true
}

func ExampleTyped_Set() {
	store, accounts := accounts()
	defer store.Close()
	fmt.Println(accounts.Set("2", Account{Owner: "Bob"}))
	fmt.Println(store.Get("accounts", "2"))
	// Output:
	// <nil>
	// {"owner":"Bob","balance":0} <nil>
}

func ExampleTyped_SetWithTTL() {
	store, accounts := accounts()
	defer store.Close()
	fmt.Println(accounts.SetWithTTL("1", Account{Owner: "Ada"}, time.Hour))
	entry, err := accounts.Entry("1")
	fmt.Println(entry.Value.Owner, "for", time.Until(entry.ExpiresAt).Round(time.Minute), err)
	// Output:
	// <nil>
	// Ada for 1h0m0s <nil>
}

func ExampleTyped_SetIfAbsent() {
	store, accounts := accounts()
	defer store.Close()
	_, err := accounts.SetIfAbsent("1", Account{Owner: "Eve"})
	var there *api.RevisionMismatchError
	fmt.Println(errors.As(err, &there))
	fmt.Println(accounts.SetIfAbsent("2", Account{Owner: "Eve"}))
	// Output:
	// true
	// 2 <nil>
}

func ExampleTyped_Entry() {
	store, accounts := accounts()
	defer store.Close()
	entry, err := accounts.Entry("1")
	fmt.Println(entry.Key, entry.Value, entry.Revision, entry.ExpiresAt.IsZero(), err)
	// Output: 1 {Ada 10} 1 true <nil>
}

func ExampleTyped_Exists() {
	store, accounts := accounts()
	defer store.Close()
	fmt.Println(accounts.Exists("1"))
	// Output: true <nil>
}

func ExampleTyped_Delete() {
	store, accounts := accounts()
	defer store.Close()
	fmt.Println(accounts.Delete("1"), accounts.Delete("1"))
	// Output: <nil> <nil>
}

// An account is closed as it was seen, or not at all.
func ExampleTyped_CompareAndDelete() {
	store, accounts := accounts()
	defer store.Close()
	seen, err := accounts.Entry("1")
	if err != nil {
		log.Fatal(err)
	}
	if err := accounts.Set("1", Account{"Ada", 500}); err != nil {
		log.Fatal(err)
	}
	fmt.Println(accounts.CompareAndDelete("1", seen.Revision))
	// Output: store.CompareAndDelete: accounts/1: revision 2, expected revision 1; read it again and decide anew
}

// A snapshot has texts; Decode makes values of them.
func ExampleTyped_Decode() {
	store, accounts := accounts()
	defer store.Close()
	snapshot, err := store.Snapshot()
	if err != nil {
		log.Fatal(err)
	}
	defer snapshot.Close()
	text, err := snapshot.Get(accounts.Group(), "1")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(accounts.Decode("1", text))
	// Output: {Ada 10} <nil>
}

func ExampleTyped_Group() {
	store, accounts := accounts()
	defer store.Close()
	fmt.Println(accounts.Group())
	// Output: accounts
}

func ExampleTyped_WithContext() {
	store, accounts := accounts()
	defer store.Close()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err := accounts.WithContext(ctx).Get("1")
	fmt.Println(errors.Is(err, context.Canceled))
	// Output: true
}

// celsius is stored as a decimal number, by a codec of one's own.
type celsius struct{}

func (celsius) Append(buffer []byte, degrees float64) ([]byte, error) {
	return fmt.Appendf(buffer, "%.1f", degrees), nil
}

func (celsius) Decode(data []byte) (degrees float64, err error) {
	_, err = fmt.Sscanf(string(data), "%f", &degrees)
	return degrees, err
}

// A codec appends the bytes of a value, and makes a value of them.
func ExampleCodec() {
	store, err := api.New(":memory:")
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	var codec api.Codec[float64] = celsius{}
	text, err := codec.Append(nil, 21.46)
	fmt.Println(string(text), err)
	fmt.Println(codec.Decode(text))

	rooms := api.Of(store, "rooms", codec)
	fmt.Println(rooms.Set("kitchen", 21.46))
	fmt.Println(rooms.Get("kitchen"))
	// Output:
	// 21.5 <nil>
	// 21.5 <nil>
	// <nil>
	// 21.5 <nil>
}
