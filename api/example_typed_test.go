package api_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	"forge.lthn.ai/core/go-store/api"
)

// Account is what the examples of typed values keep.
type Account struct {
	Owner   string `json:"owner"`
	Balance int    `json:"balance"`
}

// A group whose values are of one type.
func ExampleOf() {
	store, err := api.New(":memory:")
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()

	accounts := api.Of(store, "accounts", api.JSON[Account]())
	if err := accounts.Set("1", Account{Owner: "Ada", Balance: 10}); err != nil {
		log.Fatal(err)
	}
	account, err := accounts.Get("1")
	fmt.Println(account.Owner, account.Balance, err)
	fmt.Println(store.Get("accounts", "1"))
	// Output:
	// Ada 10 <nil>
	// {"owner":"Ada","balance":10} <nil>
}

// The value that is there becomes the new one, whatever other callers write meanwhile.
func ExampleTyped_Update() {
	store, err := api.New(":memory:")
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	accounts := api.Of(store, "accounts", api.JSON[Account]())

	deposit := func(account Account, found bool) (Account, error) {
		if !found {
			account.Owner = "Ada"
		}
		account.Balance += 5
		return account, nil
	}
	for range 2 {
		revision, err := accounts.Update("1", deposit)
		fmt.Println(revision, err)
	}
	fmt.Println(accounts.Get("1"))
	// Output:
	// 1 <nil>
	// 2 <nil>
	// {Ada 10} <nil>
}

func ExampleTyped_CompareAndSet() {
	store, err := api.New(":memory:")
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	accounts := api.Of(store, "accounts", api.Gob[Account]())

	if _, err := accounts.SetIfAbsent("1", Account{"Ada", 10}); err != nil {
		log.Fatal(err)
	}
	seen, err := accounts.Entry("1")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(accounts.CompareAndSet("1", Account{"Ada", 15}, seen.Revision))
	_, err = accounts.CompareAndSet("1", Account{"Ada", 20}, seen.Revision)
	fmt.Println(err)
	// Output:
	// 2 <nil>
	// store.CompareAndSet: accounts/1: revision 2, expected revision 1; read it again and decide anew
}

// A value that can't be decoded is told by name, and the loop goes on.
func ExampleTyped_All() {
	store, err := api.New(":memory:")
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	accounts := api.Of(store, "accounts", api.JSON[Account]())
	if err := errors.Join(
		accounts.Set("1", Account{"Ada", 10}),
		store.Set("accounts", "2", "Bob, 20"), // by an older program
		accounts.Set("3", Account{"Eve", 30}),
	); err != nil {
		log.Fatal(err)
	}
	for account, err := range accounts.All() {
		var codec *api.CodecError
		switch {
		case errors.As(err, &codec):
			fmt.Println(codec.Group, codec.Key, "can't be read")
		case err != nil:
			log.Fatal(err)
		default:
			fmt.Println(account.Value.Owner, account.Value.Balance)
		}
	}
	// Output:
	// Ada 10
	// accounts 2 can't be read
	// Eve 30
}

// What there is, and then each change, with values.
func ExampleTyped_Subscribe() {
	store, err := api.New(":memory:")
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	accounts := api.Of(store, "accounts", api.JSON[Account]())
	if err := accounts.Set("1", Account{"Ada", 10}); err != nil {
		log.Fatal(err)
	}
	for event, err := range accounts.Subscribe(context.Background(), api.SubscribeOptions{State: true}) {
		if err != nil {
			log.Fatal(err)
		}
		switch event.Type {
		case api.EventSet:
			fmt.Println(event.Key, event.Value.Balance)
		case api.EventSynced:
			if err := accounts.Delete("1"); err != nil {
				log.Fatal(err)
			}
		}
		if event.Type == api.EventDelete {
			fmt.Println(event.Key, "is gone")
			break
		}
	}
	// Output:
	// 1 10
	// 1 is gone
}

// In transactions and batches the text is what is read and written.
func ExampleTyped_Encode() {
	store, err := api.New(":memory:")
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	accounts := api.Of(store, "accounts", api.JSON[Account]())
	if err := accounts.Set("1", Account{"Ada", 10}); err != nil {
		log.Fatal(err)
	}
	err = store.Transaction(func(tx *api.Transaction) error {
		text, err := tx.Get(accounts.Group(), "1")
		if err != nil {
			return err
		}
		account, err := accounts.Decode("1", text)
		if err != nil {
			return err
		}
		account.Balance -= 3
		if text, err = accounts.Encode("1", account); err != nil {
			return err
		}
		return errors.Join(tx.Set(accounts.Group(), "1", text), tx.Set("log", "1", "-3"))
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(accounts.Get("1"))
	// Output:
	// {Ada 7} <nil>
}

func ExampleProto() {
	store, err := api.New(":memory:")
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()

	limits := api.Of(store, "limits", api.Proto[*durationpb.Duration]())
	if err := limits.Set("login", durationpb.New(time.Minute)); err != nil {
		log.Fatal(err)
	}
	limit, err := limits.Get("login")
	fmt.Println(limit.AsDuration(), err)
	// Output:
	// 1m0s <nil>
}

// Any two functions are a codec.
func ExampleNewCodec() {
	store, err := api.New(":memory:")
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()

	lists := api.Of(store, "lists", api.NewCodec(
		func(words []string) ([]byte, error) { return []byte(strings.Join(words, ",")), nil },
		func(data []byte) ([]string, error) { return strings.Split(string(data), ","), nil },
	))
	if err := lists.Set("guests", []string{"ada", "bob"}); err != nil {
		log.Fatal(err)
	}
	guests, err := lists.Get("guests")
	fmt.Println(len(guests), guests, err)
	// Output:
	// 2 [ada bob] <nil>
}

func ExampleStore_SetBytes() {
	store, err := api.New(":memory:")
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()

	data := []byte{0, 1, 255}
	if err := store.SetBytes("blobs", "b", data); err != nil {
		log.Fatal(err)
	}
	data[0] = 9 // the store has its own copy
	fmt.Println(store.GetBytes("blobs", "b"))
	// Output:
	// [0 1 255] <nil>
}

// Code that takes a Storer works with a whole store and with a namespace.
func ExampleInContext() {
	store, err := api.New(":memory:")
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	tenant, err := api.NewScoped(store, "tenant")
	if err != nil {
		log.Fatal(err)
	}
	visit := func(ctx context.Context, to api.Storer) (int64, error) {
		return api.InContext(ctx, to).Increment("visits", "home", 1)
	}
	fmt.Println(visit(context.Background(), store))
	fmt.Println(visit(context.Background(), tenant))
	fmt.Println(store.Groups(""))
	// Output:
	// 1 <nil>
	// 1 <nil>
	// [tenant:visits visits] <nil>
}

// Strings and bytes as they are: what a Typed adds is the name of the group.
func ExampleText() {
	store, err := api.New(":memory:")
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()

	names := api.Of(store, "names", api.Text())
	photos := api.Of(store, "photos", api.Bytes())
	if err := errors.Join(names.Set("1", "Ada"), photos.Set("1", []byte{0xFF, 0xD8})); err != nil {
		log.Fatal(err)
	}
	fmt.Println(names.Get("1"))
	fmt.Println(photos.Get("1"))
	// Output:
	// Ada <nil>
	// [255 216] <nil>
}

// JSON has what other programs understand; what it can't read it names.
func ExampleJSON() {
	store, err := api.New(":memory:")
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()

	accounts := api.Of(store, "accounts", api.JSON[Account]())
	if err := store.Set("accounts", "1", `{"owner":"Ada","balance":"ten"}`); err != nil {
		log.Fatal(err)
	}
	_, err = accounts.Get("1")
	var codec *api.CodecError
	fmt.Println(errors.As(err, &codec), codec.Group, codec.Key, codec.Decoding)
	// Output:
	// true accounts 1 true
}

// Gob keeps what Go has, such as maps with keys that are no strings.
func ExampleGob() {
	store, err := api.New(":memory:")
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()

	boards := api.Of(store, "boards", api.Gob[map[[2]int]string]())
	if err := boards.Set("1", map[[2]int]string{{0, 4}: "king"}); err != nil {
		log.Fatal(err)
	}
	fmt.Println(boards.Get("1"))
	// Output:
	// map[[0 4]:king] <nil>
}

// Bytes are the caller's own slices on both sides.
func ExampleBytes() {
	store, err := api.New(":memory:")
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()

	photos := api.Of(store, "photos", api.Bytes())
	photo := []byte{0xFF, 0xD8}
	if err := photos.Set("1", photo); err != nil {
		log.Fatal(err)
	}
	photo[0] = 0
	fmt.Println(photos.Get("1"))
	// Output:
	// [255 216] <nil>
}
