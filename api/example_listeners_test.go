package api_test

import (
	"errors"
	"fmt"
	"log"
	"strings"

	"forge.lthn.ai/core/go-store/api"
)

func ExampleStore_Listeners() {
	store, err := api.New(":memory:", api.WithWatchBuffer(2))
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	store.Watch("config", "*") // and no goroutine receives
	for _, key := range []string{"theme", "language", "size"} {
		if err := store.Set("config", key, "…"); err != nil {
			log.Fatal(err)
		}
	}
	listeners, _, err := store.Listeners(100)
	if err != nil {
		log.Fatal(err)
	}
	for _, l := range listeners {
		switch l.Kind {
		case api.ListenerWatcher, api.ListenerActor:
			fmt.Printf("%v: %d of %d wait, %d lost\n", l.Kind, l.Waiting, l.Capacity, l.Dropped)
		case api.ListenerSubscriber:
			fmt.Printf("%v: %d wait, reads the log: %v\n", l.Kind, l.Waiting, l.Behind)
		}
		switch group := l.Filters[0].Group; group.Kind() {
		case api.MatchAny:
			fmt.Println("of every group")
		case api.MatchExactly, api.MatchPrefix:
			fmt.Printf("of group %q\n", group.Text())
		}
	}
	// Output:
	// watcher: 2 of 2 wait, 1 lost
	// of group "config"
}

func ExampleStore_Callbacks() {
	store, err := api.New(":memory:")
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	unregister := store.OnChange(func(api.Event) {})
	fmt.Println(store.Callbacks())
	unregister()
	fmt.Println(store.Callbacks())
	// Output:
	// 1
	// 0
}

func ExampleStore_Namespaces() {
	store, err := api.New(":memory:")
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	tenant, err := api.NewScopedWithQuota(store, "tenant-1", api.QuotaConfig{MaxKeys: 100})
	if err != nil {
		log.Fatal(err)
	}
	if err := tenant.Set("sessions", "ada", "…"); err != nil {
		log.Fatal(err)
	}
	if _, err := tenant.Usage(); err != nil { // behind it the figures are there
		log.Fatal(err)
	}
	namespaces, err := store.Namespaces()
	if err != nil {
		log.Fatal(err)
	}
	for _, n := range namespaces {
		fmt.Printf("%s: %d of %d keys\n", n.Namespace, n.Usage.Keys, n.Quota.MaxKeys)
	}
	// Output: tenant-1: 1 of 100 keys
}

func ExampleScopedStore_Quota() {
	store, err := api.New(":memory:")
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	tenant, err := api.NewScopedWithQuota(store, "tenant-1", api.QuotaConfig{MaxKeys: 100})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(tenant.Quota().MaxKeys)
	// Output: 100
}

func ExampleStore_GroupsFrom() {
	store, err := api.New(":memory:")
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	if err := errors.Join(
		store.Set("eu:orders", "1", "…"),
		store.Set("eu:users", "ada", "…"),
		store.Set("us:orders", "2", "…"),
	); err != nil {
		log.Fatal(err)
	}
	// What stands before the colon, each once: what has been seen is passed over.
	for from, more := "", true; more; {
		more = false
		for group, err := range store.GroupsFrom("", from) {
			if err != nil {
				log.Fatal(err)
			}
			region, _, _ := strings.Cut(group, ":")
			fmt.Println(region)
			from, more = region+";", true // behind every name that begins with "eu:"
			break
		}
	}
	// Output:
	// eu
	// us
}

func ExampleScopedStore_GroupsFrom() {
	store, err := api.New(":memory:")
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	tenant, err := api.NewScoped(store, "tenant-1")
	if err != nil {
		log.Fatal(err)
	}
	for _, group := range []string{"orders", "sessions", "users"} {
		if err := tenant.Set(group, "k", "…"); err != nil {
			log.Fatal(err)
		}
	}
	for group, err := range tenant.GroupsFrom("", "p") {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(group)
	}
	// Output:
	// sessions
	// users
}
