package koanfstore_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"strconv"

	"github.com/knadh/koanf/v2"

	"forge.lthn.ai/core/go-store/api"
	koanfstore "forge.lthn.ai/core/go-store/contrib/koanf"
)

// parser does what that of koanf's parsers/json does, which is a module of its own.
type parser struct{}

func (parser) Marshal(of map[string]any) ([]byte, error) { return json.Marshal(of) }
func (parser) Unmarshal(data []byte) (of map[string]any, err error) {
	return of, json.Unmarshal(data, &of)
}

// config is a store with two settings, which most of these examples read.
func config() *api.Store {
	store, err := api.New(":memory:")
	if err != nil {
		log.Fatal(err)
	}
	if err := errors.Join(store.Set("config", "db.host", "localhost"), store.Set("config", "db.port", "5432")); err != nil {
		log.Fatal(err)
	}
	return store
}

// Stored values are strings, of which koanf's Int makes a number. With Options.Value they are
// numbers for callers of koanf's Get and All too.
func ExampleProvider() {
	store := config()
	defer store.Close()
	k := koanf.New(".")
	err := k.Load(koanfstore.Provider(store, "config", koanfstore.Options{
		Delimiter: ".",
		Value: func(key, value string) (any, error) {
			if number, err := strconv.Atoi(value); err == nil {
				return number, nil
			}
			return value, nil
		},
	}), nil)
	fmt.Printf("%#v %#v %v\n", k.Get("db.host"), k.Get("db.port"), err)
	// Output: "localhost" 5432 <nil>
}

// A document that is written as a whole is one key: its settings never are of two versions.
func ExampleDocument() {
	store := config()
	defer store.Close()
	if err := store.Set("config", "app.json", `{"limits": {"users": 100}}`); err != nil {
		log.Fatal(err)
	}
	k := koanf.New(".")
	err := k.Load(koanfstore.Document(store, "config", "app.json"), parser{})
	fmt.Println(k.Int("limits.users"), err)
	// Output: 100 <nil>
}

// Keys that can't all be settings are told by name, and none is left out silently.
func ExampleStore_Read() {
	store := config()
	defer store.Close()
	settings := koanfstore.Provider(store, "config", koanfstore.Options{Delimiter: "."})
	fmt.Println(settings.Read())

	if err := store.Set("config", "db", "postgres"); err != nil {
		log.Fatal(err)
	}
	_, err := settings.Read()
	fmt.Println(errors.Is(err, koanfstore.AmbiguousError), err)
	// Output:
	// map[db:map[host:localhost port:5432]] <nil>
	// true koanfstore.Read: config/db.host: a key is both a setting and the beginning of others: rename one of them
}

// A document that is not there yet is an error, which can be told from others, and no empty one.
func ExampleStore_ReadBytes() {
	store := config()
	defer store.Close()
	document := koanfstore.Document(store, "config", "app.json")
	_, err := document.ReadBytes()
	fmt.Println(errors.Is(err, api.NotFoundError))

	if err := store.Set("config", "app.json", "{}"); err != nil {
		log.Fatal(err)
	}
	data, err := document.ReadBytes()
	fmt.Println(string(data), err)
	// Output:
	// true
	// {} <nil>
}

// Settings that belong together are written in one commit, of which the function is told once.
func ExampleStore_Watch() {
	store := config()
	defer store.Close()
	settings := koanfstore.Provider(store, "config", koanfstore.Options{Delimiter: "."})
	changes := make(chan string)
	changed := func(event any, err error) {
		if event, ok := event.(api.Event); ok {
			changes <- event.Type.String() + " " + event.Key
		}
	}
	fmt.Println(settings.Watch(changed), errors.Is(settings.Watch(changed), koanfstore.WatchedError))

	if _, err := store.Batch(new(api.Batch).Set("config", "db.host", "db1").Set("config", "db.port", "6432")); err != nil {
		log.Fatal(err)
	}
	fmt.Println(<-changes)
	fmt.Println(store.Delete("config", "db.port"), <-changes)
	// Output:
	// <nil> true
	// set db.host
	// <nil> delete db.port
}

// A function may end what calls it: here it waits for the first change alone.
func ExampleStore_Unwatch() {
	store := config()
	defer store.Close()
	settings := koanfstore.Provider(store, "config", koanfstore.Options{})
	done := make(chan error)
	err := settings.Watch(func(any, error) { done <- settings.Unwatch() })
	fmt.Println(err, store.Set("config", "maintenance", "on"), <-done)

	fmt.Println(store.Set("config", "maintenance", "off")) // no call
	fmt.Println(settings.Unwatch())                        // no error
	// Output:
	// <nil> <nil> <nil>
	// <nil>
	// <nil>
}
