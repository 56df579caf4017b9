package api_test

import (
	"errors"
	"fmt"
	"log"

	"forge.lthn.ai/core/go-store/api"
)

func ExampleNewScoped() {
	store, err := api.New(":memory:")
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	ada, err := api.NewScoped(store, "tenant-ada")
	if err != nil {
		log.Fatal(err)
	}
	bob, err := api.NewScoped(store, "tenant-bob")
	if err != nil {
		log.Fatal(err)
	}
	if err := errors.Join(ada.Set("config", "theme", "dark"), bob.Set("config", "theme", "light")); err != nil {
		log.Fatal(err)
	}
	fmt.Println(ada.Get("config", "theme"))
	fmt.Println(bob.Groups(""))
	fmt.Println(store.Groups(""))
	_, err = api.NewScoped(store, "not a namespace")
	fmt.Println(errors.Is(err, api.InvalidNamespaceError))
	// Output:
	// dark <nil>
	// [config] <nil>
	// [tenant-ada:config tenant-bob:config] <nil>
	// true
}

func ExampleNewScopedWithQuota() {
	store, err := api.New(":memory:")
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	tenant, err := api.NewScopedWithQuota(store, "tenant", api.QuotaConfig{MaxKeys: 2, MaxGroups: 1})
	if err != nil {
		log.Fatal(err)
	}
	if err := errors.Join(tenant.Set("config", "theme", "dark"), tenant.Set("config", "font", "serif")); err != nil {
		log.Fatal(err)
	}
	err = tenant.Set("config", "size", "12")
	fmt.Println(errors.Is(err, api.QuotaExceededError), err)
	fmt.Println(tenant.Set("config", "theme", "light")) // overwriting never counts
	fmt.Println(tenant.Delete("config", "font"), tenant.Set("config", "size", "12"))
	// Output:
	// true store.Set: namespace "tenant": key limit (2): quota exceeded
	// <nil>
	// <nil> <nil>
}

func ExampleStore_Usage() {
	store, err := api.New(":memory:")
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	if err := errors.Join(
		store.Set("tenant:config", "theme", "dark"), // "tenant" is the namespace
		store.Set("tenant:config", "font", "serif"),
		store.Set("tenant:users", "ada", "admin"),
	); err != nil {
		log.Fatal(err)
	}
	usage, err := store.Usage("tenant")
	fmt.Println(usage.Keys, "keys in", usage.Groups, "groups", err)
	// Output: 3 keys in 2 groups <nil>
}

// A view's watcher sees its namespace only; events carry full names.
func ExampleScopedStore_Watch() {
	store, err := api.New(":memory:")
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	tenant, err := api.NewScoped(store, "tenant")
	if err != nil {
		log.Fatal(err)
	}
	watcher := tenant.Watch("*", "*")
	if err := errors.Join(tenant.Set("config", "theme", "dark"), store.Set("config", "theme", "light")); err != nil {
		log.Fatal(err)
	}
	tenant.Unwatch(watcher)
	for event := range watcher.Events {
		fmt.Println(event.Group, event.Key, event.Value)
	}
	// Output: tenant:config theme dark
}
