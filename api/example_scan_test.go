package api_test

import (
	"errors"
	"fmt"
	"log"

	"forge.lthn.ai/core/go-store/api"
)

func fruit() *api.Store {
	store, err := api.New(":memory:")
	if err != nil {
		log.Fatal(err)
	}
	for _, name := range []string{"apple", "banana", "cherry", "damson"} {
		if err := store.Set("fruit", name, fmt.Sprint(len(name))); err != nil {
			log.Fatal(err)
		}
	}
	return store
}

func ExampleStore_Scan() {
	store := fruit()
	defer store.Close()
	for entry, err := range store.Scan(api.ScanOptions{Groups: api.Exactly("fruit"), From: "b", To: "d", Reverse: true}) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(entry.Group, entry.Key, entry.Value)
	}
	// Output:
	// fruit cherry 6
	// fruit banana 6
}

// Pages of a large group, each a call of its own: what a web page asks for, say.
func ExampleScanEntry_Cursor() {
	store := fruit()
	defer store.Close()
	cursor := ""
	for page := 1; ; page++ {
		last := ""
		for entry, err := range store.Scan(api.ScanOptions{Groups: api.Exactly("fruit"), Limit: 3, KeysOnly: true, Cursor: cursor}) {
			if err != nil {
				log.Fatal(err)
			}
			fmt.Println("page", page, entry.Key)
			last = entry.Cursor()
		}
		if last == "" {
			break
		}
		cursor = last
	}
	// Output:
	// page 1 apple
	// page 1 banana
	// page 1 cherry
	// page 2 damson
}

func ExampleStore_Snapshot() {
	store := fruit()
	defer store.Close()
	snapshot, err := store.Snapshot()
	if err != nil {
		log.Fatal(err)
	}
	defer snapshot.Close()
	if err := store.DeleteGroup("fruit"); err != nil {
		log.Fatal(err)
	}
	fmt.Println(snapshot.Count("fruit"))
	fmt.Println(snapshot.Get("fruit", "apple"))
	fmt.Println(store.Count("fruit"))
	// Output:
	// 4 <nil>
	// 5 <nil>
	// 0 <nil>
}

func ExampleStore_GetMany() {
	store := fruit()
	defer store.Close()
	fmt.Println(store.GetMany("fruit", "apple", "durian", "cherry"))
	// Output: map[apple:5 cherry:6] <nil>
}

func ExampleStore_AppendValue() {
	store := fruit()
	defer store.Close()
	buffer := make([]byte, 0, 64)
	for _, name := range []string{"apple", "banana"} {
		var err error
		if buffer, err = store.AppendValue(buffer, "fruit", name); err != nil {
			log.Fatal(err)
		}
	}
	fmt.Printf("%s\n", buffer)
	// Output: 56
}

// A store whose reads are all of different keys has no use for a cache.
func ExampleWithReadCache() {
	store, err := api.New(":memory:", api.WithReadCache(0))
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	_, err = api.New(":memory:", api.WithReadCache(-1))
	fmt.Println(errors.Is(err, api.InvalidOptionError))
	// Output: true
}
