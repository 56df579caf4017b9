package api_test

import (
	"context"
	"errors"
	"fmt"
	"log"

	"forge.lthn.ai/core/go-store/api"
)

// The body of the loop may do anything, write to the store included: the loop
// goes on over what there was when it began.
func ExampleStore_All() {
	store, err := api.New(":memory:")
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	if err := errors.Join(store.Set("todo", "1", "tea"), store.Set("todo", "2", "toast")); err != nil {
		log.Fatal(err)
	}

	for entry, err := range store.All("todo") {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(entry.Key, entry.Value)
		if err := errors.Join(store.Set("done", entry.Key, entry.Value), store.Delete("todo", entry.Key)); err != nil {
			log.Fatal(err)
		}
	}
	fmt.Println(store.Count("todo"))
	// Output:
	// 1 tea
	// 2 toast
	// 0 <nil>
}

func ExampleStore_GetAll() {
	store, err := api.New(":memory:")
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	if err := errors.Join(store.Set("config", "theme", "dark"), store.Set("config", "font", "serif")); err != nil {
		log.Fatal(err)
	}
	fmt.Println(store.GetAll("config"))
	fmt.Println(store.GetAll("nothing"))
	// Output:
	// map[font:serif theme:dark] <nil>
	// map[] <nil>
}

func ExampleStore_Stats() {
	store, err := api.New(":memory:")
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	if err := errors.Join(store.Set("config", "theme", "dark"), store.Set("todo", "1", "tea")); err != nil {
		log.Fatal(err)
	}
	stats, err := store.Stats()
	fmt.Println(stats.Keys, stats.Groups, stats.Revision, err)
	// Output: 2 2 2 <nil>
}

func ExampleStore_GetPage() {
	store, err := api.New(":memory:")
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	for i := range 7 {
		if err := store.Set("log", fmt.Sprintf("%04d", i), "…"); err != nil {
			log.Fatal(err)
		}
	}

	const size = 3
	for offset := 0; ; offset += size {
		page, err := store.GetPage("log", offset, size)
		if err != nil {
			log.Fatal(err)
		}
		if len(page) == 0 {
			break
		}
		fmt.Println("from", page[0].Key, "to", page[len(page)-1].Key)
	}
	// Output:
	// from 0000 to 0002
	// from 0003 to 0005
	// from 0006 to 0006
}

func ExampleStore_Count() {
	store, err := api.New(":memory:")
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	if err := errors.Join(store.Set("users", "ada", ""), store.Set("users", "bob", "")); err != nil {
		log.Fatal(err)
	}
	fmt.Println(store.Count("users"))
	// Output: 2 <nil>
}

func ExampleStore_CountAll() {
	store, err := api.New(":memory:")
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	if err := errors.Join(
		store.Set("users/admins", "ada", ""), store.Set("users/guests", "bob", ""), store.Set("pets", "rex", ""),
	); err != nil {
		log.Fatal(err)
	}
	fmt.Println(store.CountAll("users/"))
	fmt.Println(store.CountAll(""))
	// Output:
	// 2 <nil>
	// 3 <nil>
}

func ExampleStore_Groups() {
	store, err := api.New(":memory:")
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	if err := errors.Join(
		store.Set("users/admins", "ada", ""), store.Set("users/guests", "bob", ""), store.Set("pets", "rex", ""),
	); err != nil {
		log.Fatal(err)
	}
	fmt.Println(store.Groups("users/"))
	fmt.Println(store.Groups(""))
	// Output:
	// [users/admins users/guests] <nil>
	// [pets users/admins users/guests] <nil>
}

func ExampleStore_GroupsSeq() {
	store, err := api.New(":memory:")
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	if err := errors.Join(store.Set("a", "k", "1"), store.Set("b", "k", "2"), store.Set("c", "k", "3")); err != nil {
		log.Fatal(err)
	}
	for group, err := range store.GroupsSeq("") {
		if err != nil {
			log.Fatal(err)
		}
		if group == "c" {
			break
		}
		fmt.Println(store.Get(group, "k"))
	}
	// Output:
	// 1 <nil>
	// 2 <nil>
}

func ExampleStore_GetSplit() {
	store, err := api.New(":memory:")
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	if err := store.Set("network", "hosts", "alpha,beta,gamma"); err != nil {
		log.Fatal(err)
	}
	hosts, err := store.GetSplit("network", "hosts", ",")
	if err != nil {
		log.Fatal(err)
	}
	for host := range hosts {
		fmt.Println(host)
	}
	// Output:
	// alpha
	// beta
	// gamma
}

func ExampleStore_GetFields() {
	store, err := api.New(":memory:")
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	if err := store.Set("build", "flags", "  -race\t-count=1\n"); err != nil {
		log.Fatal(err)
	}
	flags, err := store.GetFields("build", "flags")
	if err != nil {
		log.Fatal(err)
	}
	for flag := range flags {
		fmt.Println(flag)
	}
	// Output:
	// -race
	// -count=1
}

func ExampleStore_Render() {
	store, err := api.New(":memory:")
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	if err := errors.Join(store.Set("user", "name", "Ada"), store.Set("user", "city", "London")); err != nil {
		log.Fatal(err)
	}
	fmt.Println(store.Render("{{ .name }} lives in {{ .city }}.", "user"))
	_, err = store.Render("{{ .name", "user")
	fmt.Println(err)
	// Output:
	// Ada lives in London. <nil>
	// store.Render: parse template: template: render:1: unclosed action
}

// A context bounds how long a call waits. It never interrupts a commit.
func ExampleStore_WithContext() {
	store, err := api.New(":memory:")
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()

	ctx, cancel := context.WithCancel(context.Background())
	limited := store.WithContext(ctx)
	fmt.Println(limited.Set("g", "k", "v"))
	cancel()
	err = limited.Set("g", "k", "w")
	fmt.Println(err, errors.Is(err, api.UnknownOutcomeError))
	fmt.Println(store.Get("g", "k"))
	// Output:
	// <nil>
	// store.Set: context canceled false
	// v <nil>
}
