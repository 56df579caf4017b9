package koanfstore_test

import (
	"errors"
	"fmt"
	"log"

	"github.com/knadh/koanf/v2"

	"forge.lthn.ai/core/go-store/api"
	koanfstore "forge.lthn.ai/core/go-store/contrib/koanf"
)

func Example() {
	store, err := api.New(":memory:")
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	if err := errors.Join(
		store.Set("config", "name", "app"),
		store.Set("config", "db.host", "localhost"),
		store.Set("config", "db.port", "5432"),
	); err != nil {
		log.Fatal(err)
	}

	settings, k := koanfstore.Provider(store, "config", koanfstore.Options{Delimiter: "."}), koanf.New(".")
	changed := make(chan struct{})
	if err := settings.Watch(func(event any, err error) {
		if err != nil {
			log.Print(err) // the store was closed
			return
		}
		changed <- struct{}{}
	}); err != nil {
		log.Fatal(err)
	}
	defer settings.Unwatch()
	if err := k.Load(settings, nil); err != nil {
		log.Fatal(err)
	}
	fmt.Println(k.String("name"), k.String("db.host"), k.Int("db.port"))

	if err := store.Set("config", "db.host", "db.example.com"); err != nil {
		log.Fatal(err)
	}
	<-changed
	if err := k.Load(settings, nil); err != nil {
		log.Fatal(err)
	}
	fmt.Println(k.String("db.host"))
	// Output:
	// app localhost 5432
	// db.example.com
}
