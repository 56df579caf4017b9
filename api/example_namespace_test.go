package api_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"slices"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"forge.lthn.ai/core/go-store/api"
)

// A namespace writes as a store does, and reaches nothing but what is its own.
func ExampleScopedStore() {
	store, err := api.New(":memory:")
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	tenant, err := api.NewScoped(store, "tenant-a")
	if err != nil {
		log.Fatal(err)
	}
	if err := errors.Join(
		store.Set("users", "root", "not the tenant's"),
		tenant.Set("users", "ada", "admin"),
		tenant.SetBytes("users", "bob", []byte("guest")),
		tenant.SetAll([]api.Item{{Group: "config", Key: "theme", Value: "dark"}}),
		tenant.SetWithTTL("sessions", "ada", "token", time.Hour),
		tenant.Touch("sessions", "ada", 2*time.Hour),
		tenant.Persist("sessions", "ada"),
	); err != nil {
		log.Fatal(err)
	}
	fmt.Println(tenant.Namespace())
	fmt.Println(tenant.Increment("visits", "/", 1))
	fmt.Println(tenant.Groups(""))
	fmt.Println(store.Groups(""))
	fmt.Println(tenant.Usage())
	if err := errors.Join(
		tenant.Delete("users", "bob"),
		tenant.DeleteGroup("sessions"),
		tenant.DeletePrefix(""), // everything of the namespace
	); err != nil {
		log.Fatal(err)
	}
	fmt.Println(tenant.CountAll(""))
	fmt.Println(store.CountAll(""))
	// Output:
	// tenant-a
	// 1 <nil>
	// [config sessions users visits] <nil>
	// [tenant-a:config tenant-a:sessions tenant-a:users tenant-a:visits users] <nil>
	// {5 4} <nil>
	// 0 <nil>
	// 1 <nil>
}

// It reads as a store does. Groups are named as within the namespace.
func ExampleScopedStore_reads() {
	store, err := api.New(":memory:")
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	tenant, err := api.NewScoped(store, "tenant-a")
	if err != nil {
		log.Fatal(err)
	}
	if err := errors.Join(tenant.Set("users", "ada", "admin"), tenant.Set("users", "bob", "guest")); err != nil {
		log.Fatal(err)
	}
	fmt.Println(tenant.Get("users", "ada"))
	value, err := tenant.GetBytes("users", "ada")
	fmt.Printf("%s %v\n", value, err)
	value, err = tenant.AppendValue([]byte("ada is "), "users", "ada")
	fmt.Printf("%s %v\n", value, err)
	fmt.Println(tenant.GetMany("users", "ada", "eve"))
	fmt.Println(tenant.GetAll("users"))
	fmt.Println(tenant.GetPage("users", 0, 1))
	fmt.Println(tenant.Exists("users", "eve"))
	fmt.Println(tenant.GroupExists("users"))
	fmt.Println(tenant.Count("users"))
	entry, err := tenant.Entry("users", "bob")
	fmt.Println(entry.Revision, err)
	for user, err := range tenant.All("users") {
		fmt.Println(user.Key, err)
	}
	for group, err := range tenant.GroupsSeq("") {
		fmt.Println(group, err)
	}
	for entry, err := range tenant.Scan(api.ScanOptions{From: "b"}) {
		fmt.Println(entry.Group, entry.Key, err)
	}
	snapshot, err := tenant.Snapshot()
	if err != nil {
		log.Fatal(err)
	}
	defer snapshot.Close()
	fmt.Println(snapshot.Count("users"))
	// Output:
	// admin <nil>
	// admin <nil>
	// ada is admin <nil>
	// map[ada:admin] <nil>
	// map[ada:admin bob:guest] <nil>
	// [{ada admin}] <nil>
	// false <nil>
	// true <nil>
	// 2 <nil>
	// 2 <nil>
	// ada <nil>
	// bob <nil>
	// users <nil>
	// users bob <nil>
	// 2 <nil>
}

// Values that are lists, and templates.
func ExampleScopedStore_Render() {
	store, err := api.New(":memory:")
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	tenant, err := api.NewScoped(store, "tenant-a")
	if err != nil {
		log.Fatal(err)
	}
	if err := errors.Join(
		tenant.Set("page", "title", "News"), tenant.Set("page", "tags", "go,store"), tenant.Set("page", "text", "two words"),
	); err != nil {
		log.Fatal(err)
	}
	fmt.Println(tenant.Render("<h1>{{ .title }}</h1>", "page"))
	_, err = tenant.RenderStrict("{{ .author }}", "page")
	fmt.Println(err != nil)
	tags, err := tenant.GetSplit("page", "tags", ",")
	fmt.Println(slices.Collect(tags), err)
	words, err := tenant.GetFields("page", "text")
	fmt.Println(len(slices.Collect(words)), err)
	// Output:
	// <h1>News</h1> <nil>
	// true
	// [go store] <nil>
	// 2 <nil>
}

// Conditional writes within the namespace.
func ExampleScopedStore_CompareAndSet() {
	store, err := api.New(":memory:")
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	tenant, err := api.NewScoped(store, "tenant-a")
	if err != nil {
		log.Fatal(err)
	}
	first, err := tenant.SetIfAbsent("config", "theme", "dark")
	fmt.Println(first, err)
	second, err := tenant.CompareAndSet("config", "theme", "light", first)
	fmt.Println(second, err)
	var changed *api.RevisionMismatchError
	fmt.Println(errors.As(tenant.CompareAndDelete("config", "theme", first), &changed))
	fmt.Println(tenant.CompareAndDelete("config", "theme", second))
	fmt.Println(tenant.Revision()) // the whole store's
	for event, err := range tenant.History("config", "theme") {
		fmt.Println(event.Revision, event.Type, err)
	}
	// Output:
	// 1 <nil>
	// 2 <nil>
	// true
	// <nil>
	// 3 <nil>
	// 1 set <nil>
	// 2 set <nil>
	// 3 delete <nil>
}

// A namespace's callbacks and actors are told of its own changes only.
func ExampleScopedStore_OnChange() {
	system := exampleSystem()
	store, err := api.New(":memory:", api.WithActorSystem(system))
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	tenant, err := api.NewScoped(store, "tenant-a")
	if err != nil {
		log.Fatal(err)
	}
	told := make(chan string, 2)
	listener := system.Root.Spawn(actor.PropsFromFunc(func(c actor.Context) {
		if changed, ok := c.Message().(api.Changed); ok {
			told <- "the actor: " + changed.Event.Value
		}
	}))
	watcher := tenant.WatchActor(listener, "config", "theme")
	unregister := tenant.OnChange(func(event api.Event) { fmt.Println("the callback:", event.Group, event.Value) })
	if err := errors.Join(store.Set("config", "theme", "grey"), tenant.Set("config", "theme", "dark")); err != nil {
		log.Fatal(err)
	}
	fmt.Println(<-told)
	unregister()
	tenant.Unwatch(watcher)
	// Output:
	// the callback: tenant-a:config dark
	// the actor: dark
}

// Its messages go to addresses of the namespace.
func ExampleScopedStore_Tell() {
	store, err := api.New(":memory:")
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	tenant, err := api.NewScoped(store, "tenant-a")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(tenant.Tell("mailer", "a letter"))
	page, err := store.OutboxPage("tenant-a:mailer", "", 10)
	fmt.Println(len(page), err)
	// Output:
	// <nil>
	// 1 <nil>
}

// What can be said of the store, and of all its namespaces, from each of them.
func ExampleScopedStore_WithContext() {
	store, err := api.New(":memory:")
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	tenant, err := api.NewScoped(store, "tenant-a")
	if err != nil {
		log.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	fmt.Println(errors.Is(tenant.WithContext(ctx).Set("config", "theme", "dark"), context.Canceled))
	fmt.Println(tenant.PurgeExpired())
	fmt.Println(map[string]uint64{
		"requests in flight": uint64(tenant.InFlight()),
		"conflicts":          tenant.Conflicts(),
		"callbacks lost":     tenant.CallbackOverflow(),
		"unknown messages":   tenant.DroppedMessages().Unknown,
	})
	// Output:
	// true
	// 0 <nil>
	// map[callbacks lost:0 conflicts:0 requests in flight:0 unknown messages:0]
}
