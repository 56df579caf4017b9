package api_test

import (
	"errors"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"time"

	"forge.lthn.ai/core/go-store/api"
)

// A store in a file, a key that expires, and a watcher of what changes.
func Example() {
	folder, err := os.MkdirTemp("", "go-store")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(folder)

	store, err := api.New(filepath.Join(folder, "app.db"))
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()

	watcher := store.Watch("sessions", "*")
	if err := store.SetWithTTL("sessions", "ada", "token-1", time.Hour); err != nil {
		log.Fatal(err)
	}
	token, err := store.Get("sessions", "ada")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("token:", token)

	event := <-watcher.Events
	fmt.Println("event:", event.Type, event.Group, event.Key, event.Value)

	_, err = store.Get("sessions", "bob")
	fmt.Println(errors.Is(err, api.NotFoundError), err)
	// Output:
	// token: token-1
	// event: set sessions ada token-1
	// true store.Get: sessions/bob: not found
}

func ExampleNew() {
	store, err := api.New(":memory:") // or a path
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	fmt.Println(store.Set("greetings", "en", "hello"))
	fmt.Println(store.Get("greetings", "en"))
	// Output:
	// <nil>
	// hello <nil>
}

// One store owns a file. The error says which process has it.
func ExampleNew_locked() {
	folder, err := os.MkdirTemp("", "go-store")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(folder)
	path := filepath.Join(folder, "app.db")
	owner, err := api.New(path)
	if err != nil {
		log.Fatal(err)
	}
	defer owner.Close()

	_, err = api.New(path)
	var locked *api.LockedError
	if errors.As(err, &locked) {
		fmt.Println("this process has it:", locked.PID == os.Getpid())
	}
	// Output: this process has it: true
}

func ExampleStore_Set() {
	store, err := api.New(":memory:")
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()

	if err := errors.Join(
		store.Set("config", "theme", "light"),
		store.Set("config", "theme", "dark"), // overwrites
		store.Set("config", "\x00 any\xff bytes", ""),
	); err != nil {
		log.Fatal(err)
	}
	fmt.Println(store.Get("config", "theme"))
	fmt.Println(store.Count("config"))
	// Output:
	// dark <nil>
	// 2 <nil>
}

func ExampleStore_Get() {
	store, err := api.New(":memory:")
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()

	theme, err := store.Get("config", "theme")
	if errors.Is(err, api.NotFoundError) {
		theme = "light"
	} else if err != nil {
		log.Fatal(err)
	}
	fmt.Println(theme)
	// Output: light
}

// All items, or none of them, and one commit for all.
func ExampleStore_SetAll() {
	store, err := api.New(":memory:")
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()

	err = store.SetAll([]api.Item{
		{Group: "accounts", Key: "ada", Value: "90"},
		{Group: "accounts", Key: "bob", Value: "110"},
		{Group: "journal", Key: "0001", Value: "ada pays bob 10"},
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(store.GetAll("accounts"))
	// Output: map[ada:90 bob:110] <nil>
}

func ExampleStore_Exists() {
	store, err := api.New(":memory:")
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	if err := store.Set("config", "theme", ""); err != nil {
		log.Fatal(err)
	}
	fmt.Println(store.Exists("config", "theme"))
	fmt.Println(store.Exists("config", "font"))
	fmt.Println(store.GroupExists("config"))
	// Output:
	// true <nil>
	// false <nil>
	// true <nil>
}

func ExampleStore_Delete() {
	store, err := api.New(":memory:")
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	if err := errors.Join(
		store.Set("config", "theme", "dark"),
		store.Set("config", "font", "serif"),
		store.Delete("config", "theme"),
		store.Delete("config", "theme"), // not there: no error
	); err != nil {
		log.Fatal(err)
	}
	fmt.Println(store.GetAll("config"))
	// Output: map[font:serif] <nil>
}

func ExampleStore_DeleteGroup() {
	store, err := api.New(":memory:")
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	if err := errors.Join(
		store.Set("config", "theme", "dark"),
		store.Set("config", "font", "serif"),
		store.DeleteGroup("config"),
	); err != nil {
		log.Fatal(err)
	}
	fmt.Println(store.Count("config"))
	// Output: 0 <nil>
}

func ExampleStore_DeletePrefix() {
	store, err := api.New(":memory:")
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	if err := errors.Join(
		store.Set("cache/pages", "/", "…"),
		store.Set("cache/images", "logo", "…"),
		store.Set("Cache", "case", "matters"),
		store.DeletePrefix("cache/"),
	); err != nil {
		log.Fatal(err)
	}
	fmt.Println(store.Groups(""))
	// Output: [Cache] <nil>
}
