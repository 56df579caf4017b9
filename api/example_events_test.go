package api_test

import (
	"errors"
	"fmt"
	"log"

	"forge.lthn.ai/core/go-store/api"

	"github.com/asynkron/protoactor-go/actor"
)

func ExampleStore_Watch() {
	store, err := api.New(":memory:")
	if err != nil {
		log.Fatal(err)
	}
	theme := store.Watch("config", "theme")
	all := store.Watch("*", "*")
	if err := errors.Join(
		store.Set("config", "theme", "dark"),
		store.Set("users", "ada", "admin"),
		store.Delete("config", "theme"),
		store.DeleteGroup("users"),
		store.Close(), // closes the channels
	); err != nil {
		log.Fatal(err)
	}
	for event := range theme.Events {
		fmt.Printf("theme: %v %q\n", event.Type, event.Value)
	}
	for event := range all.Events {
		fmt.Printf("%v %s/%s\n", event.Type, event.Group, event.Key)
	}
	// Output:
	// theme: set "dark"
	// theme: delete ""
	// set config/theme
	// set users/ada
	// delete config/theme
	// delete_group users/
}

func ExampleStore_Unwatch() {
	store, err := api.New(":memory:")
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	watcher := store.Watch("config", "*")
	if err := store.Set("config", "theme", "dark"); err != nil {
		log.Fatal(err)
	}
	store.Unwatch(watcher)
	if err := store.Set("config", "theme", "light"); err != nil {
		log.Fatal(err)
	}
	for event := range watcher.Events { // what came before, then the end
		fmt.Println(event.Value)
	}
	// Output: dark
}

// A watcher that does not keep up never delays a write: it is told how much it
// missed, and can read what it needs.
func ExampleWatcher_Dropped() {
	store, err := api.New(":memory:")
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	watcher := store.Watch("counter", "n")
	for i := range 20 {
		if err := store.Set("counter", "n", fmt.Sprint(i)); err != nil {
			log.Fatal(err)
		}
	}
	fmt.Println("waiting:", len(watcher.Events), "dropped:", watcher.Dropped())
	fmt.Println(store.Get("counter", "n"))
	// Output:
	// waiting: 16 dropped: 4
	// 19 <nil>
}

// A callback runs before the call that made the change returns. It may use the
// store.
func ExampleStore_OnChange() {
	store, err := api.New(":memory:")
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	unregister := store.OnChange(func(event api.Event) {
		if event.Group != "audit" {
			err := store.Set("audit", event.Group+"/"+event.Key, event.Type.String())
			if err != nil {
				log.Print(err)
			}
		}
	})
	if err := errors.Join(store.Set("config", "theme", "dark"), store.Delete("config", "theme"),
		store.Set("config", "font", "serif")); err != nil {
		log.Fatal(err)
	}
	unregister()
	if err := store.Set("config", "size", "12"); err != nil {
		log.Fatal(err)
	}
	fmt.Println(store.GetAll("audit"))
	// Output: map[config/font:set config/theme:delete] <nil>
}

// An actor that is told of changes as messages.
func ExampleStore_WatchActor() {
	system := actor.NewActorSystem(actor.WithLoggerFactory(silent))
	defer system.Shutdown()
	store, err := api.New(":memory:", api.WithActorSystem(system))
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()

	listener := system.Root.Spawn(actor.PropsFromFunc(func(c actor.Context) {
		if changed, ok := c.Message().(api.Changed); ok {
			fmt.Println(changed.Event.Type, changed.Event.Key, changed.Event.Value)
		}
	}))
	store.WatchActor(listener, "config", "*")
	if err := errors.Join(store.Set("config", "theme", "dark"), store.Delete("config", "theme")); err != nil {
		log.Fatal(err)
	}
	if err := system.Root.PoisonFuture(listener).Wait(); err != nil { // once it has handled both
		log.Fatal(err)
	}
	// Output:
	// set theme dark
	// delete theme
}
