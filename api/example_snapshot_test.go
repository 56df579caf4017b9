package api_test

import (
	"errors"
	"fmt"
	"log"

	"forge.lthn.ai/core/go-store/api"
)

// Everything that a snapshot answers is of one moment, whatever is written meanwhile.
func ExampleSnapshot() {
	store, err := api.New(":memory:")
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	if err := errors.Join(store.Set("users", "ada", "admin"), store.Set("users", "bob", "guest")); err != nil {
		log.Fatal(err)
	}
	snapshot, err := store.Snapshot()
	if err != nil {
		log.Fatal(err)
	}
	if err := store.DeleteGroup("users"); err != nil {
		log.Fatal(err)
	}

	fmt.Println("of revision", snapshot.Revision())
	fmt.Println(snapshot.Get("users", "ada"))
	fmt.Println(snapshot.GetMany("users", "ada", "eve"))
	fmt.Println(snapshot.GetAll("users"))
	fmt.Println(snapshot.GetPage("users", 1, 10))
	fmt.Println(snapshot.Exists("users", "eve"))
	entry, err := snapshot.Entry("users", "bob")
	fmt.Println(entry.Value, entry.Revision, err)
	// Output:
	// of revision 2
	// admin <nil>
	// map[ada:admin] <nil>
	// map[ada:admin bob:guest] <nil>
	// [{bob guest}] <nil>
	// false <nil>
	// guest 2 <nil>
}

// A snapshot that is not needed any more is closed: it keeps what was deleted since.
func ExampleSnapshot_Close() {
	store, err := api.New(":memory:")
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	snapshot, err := store.Snapshot()
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(snapshot.Close())
	_, err = snapshot.Get("users", "ada")
	fmt.Println(errors.Is(err, api.SnapshotClosedError))
	// Output:
	// <nil>
	// true
}

// Groups, counts and loops of a snapshot agree with each other.
func ExampleSnapshot_Groups() {
	store, err := api.New(":memory:")
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	if err := store.SetAll([]api.Item{
		{Group: "config", Key: "theme", Value: "dark"},
		{Group: "users", Key: "ada", Value: "admin"}, {Group: "users", Key: "bob", Value: "guest"},
	}); err != nil {
		log.Fatal(err)
	}
	snapshot, err := store.Snapshot()
	if err != nil {
		log.Fatal(err)
	}
	defer snapshot.Close()

	fmt.Println(snapshot.Groups(""))
	fmt.Println(snapshot.GroupExists("sessions"))
	fmt.Println(snapshot.CountAll(""))
	for group, err := range snapshot.GroupsSeq("u") {
		if err != nil {
			log.Fatal(err)
		}
		count, err := snapshot.Count(group)
		fmt.Println(group, count, err)
		for user, err := range snapshot.All(group) {
			fmt.Println(user.Key, user.Value, err)
		}
	}
	for entry, err := range snapshot.Scan(api.ScanOptions{Groups: api.Prefix("c")}) {
		fmt.Println(entry.Group, entry.Key, entry.Value, err)
	}
	// Output:
	// [config users] <nil>
	// false <nil>
	// 3 <nil>
	// users 2 <nil>
	// ada admin <nil>
	// bob guest <nil>
	// config theme dark <nil>
}
