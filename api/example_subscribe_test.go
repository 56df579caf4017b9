package api_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"time"

	"forge.lthn.ai/core/go-store/api"
)

// A subscriber notes the revision that it has dealt with and resumes behind it,
// in a later run of the program too.
func ExampleStore_Subscribe() {
	folder, err := os.MkdirTemp("", "example")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(folder)
	path := filepath.Join(folder, "app.db")
	done := uint64(0) // kept where the subscriber keeps its own state
	for run := range 2 {
		store, err := api.New(path)
		if err != nil {
			log.Fatal(err)
		}
		if err := errors.Join(
			store.Set("orders", fmt.Sprintf("%d1", run), "placed"),
			store.Set("orders", fmt.Sprintf("%d2", run), "placed"),
		); err != nil {
			log.Fatal(err)
		}
		for event, err := range store.Subscribe(context.Background(), api.SubscribeOptions{From: done + 1}) {
			if err != nil {
				log.Fatal(err)
			}
			fmt.Println(event.Revision, event.Type, event.Key)
			done = event.Revision
			if done == 1 || done == 4 { // by itself it would wait for more
				break
			}
		}
		if err := store.Close(); err != nil {
			log.Fatal(err)
		}
	}
	// Output:
	// 1 set 01
	// 2 set 02
	// 3 set 11
	// 4 set 12
}

// State has a subscriber begin with what there is: a copy that is kept up to
// date.
func ExampleStore_Subscribe_state() {
	store, err := api.New(":memory:")
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	if err := errors.Join(
		store.Set("config", "theme", "dark"),
		store.Set("config", "lang", "en"),
		store.Set("config", "lang", "fr"),
	); err != nil {
		log.Fatal(err)
	}
	config := map[string]string{}
	for event, err := range store.Subscribe(context.Background(), api.SubscribeOptions{
		State:   true,
		Filters: []api.Filter{{Group: api.Exactly("config")}},
	}) {
		if err != nil {
			log.Fatal(err)
		}
		switch event.Type {
		case api.EventSet:
			config[event.Key] = event.Value
		case api.EventDelete, api.EventExpire:
			delete(config, event.Key)
		case api.EventDeleteGroup:
			clear(config)
		case api.EventSynced:
			fmt.Println("as of revision", event.Revision, config)
			if err := store.Delete("config", "lang"); err != nil {
				log.Fatal(err)
			}
			continue
		}
		if event.Type == api.EventDelete {
			fmt.Println("then", config)
			break
		}
	}
	// Output:
	// as of revision 3 map[lang:fr theme:dark]
	// then map[theme:dark]
}

// Filters choose by names, whole or by their beginning; one that fits is enough.
func ExampleStore_Subscribe_filters() {
	store, err := api.New(":memory:")
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	if err := errors.Join(
		store.Set("users", "admin-ada", "1"),
		store.Set("users", "bob", "2"),
		store.Set("sessions:eu", "x", "3"),
		store.Set("sessions:us", "y", "4"),
		store.Set("metrics", "z", "5"),
		store.DeleteGroup("users"), // concerns all its keys
	); err != nil {
		log.Fatal(err)
	}
	for event, err := range store.Subscribe(context.Background(), api.SubscribeOptions{
		From: 1,
		Filters: []api.Filter{
			{Group: api.Prefix("sessions:")},
			{Group: api.Exactly("users"), Key: api.Prefix("admin-")},
		},
	}) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(event.Type, event.Group, event.Key)
		if event.Type == api.EventDeleteGroup {
			break
		}
	}
	// Output:
	// set users admin-ada
	// set sessions:eu x
	// set sessions:us y
	// delete_group users
}

// With SlowSkip a subscriber that needs only what is recent is told which
// revisions it missed.
func ExampleStore_Subscribe_skip() {
	store, err := api.New(":memory:", api.WithHistory(api.Retention{Revisions: 2}))
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	for i := range 5 {
		if err := store.Set("sensor", "temperature", fmt.Sprint(20+i)); err != nil {
			log.Fatal(err)
		}
	}
	for event, err := range store.Subscribe(context.Background(), api.SubscribeOptions{From: 1, Slow: api.SlowSkip}) {
		if err != nil {
			log.Fatal(err) // with SlowCatchUp this would be a *CompactedError
		}
		if event.Type == api.EventGap {
			fmt.Printf("missed %d to %d\n", event.Gap.From, event.Gap.To)
			continue
		}
		fmt.Println(event.Revision, event.Value)
		if event.Revision == 5 {
			break
		}
	}
	// Output:
	// missed 1 to 3
	// 4 23
	// 5 24
}

// Progress tells a subscriber whose filters nothing fits how far it has come: it
// may resume from there, though the log forgets what came before.
func ExampleStore_Subscribe_progress() {
	store, err := api.New(":memory:")
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	feed := store.Subscribe(context.Background(), api.SubscribeOptions{
		Filters:  []api.Filter{{Group: api.Exactly("rare")}},
		Progress: time.Millisecond,
	})
	for i := range 1000 {
		if err := store.Set("frequent", "n", fmt.Sprint(i)); err != nil {
			log.Fatal(err)
		}
	}
	for event, err := range feed {
		if err != nil {
			log.Fatal(err)
		}
		if event.Type == api.EventProgress {
			fmt.Println(event.Type, event.Revision)
			break
		}
	}
	// Output: progress 1000
}

func ExampleStore_History() {
	store, err := api.New(":memory:")
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	if err := errors.Join(
		store.Set("config", "theme", "dark"),
		store.Set("config", "lang", "en"),
		store.Set("config", "theme", "light"),
		store.DeleteGroup("config"),
	); err != nil {
		log.Fatal(err)
	}
	for event, err := range store.History("config", "theme") {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("%d %v %q\n", event.Revision, event.Type, event.Value)
	}
	// Output:
	// 1 set "dark"
	// 3 set "light"
	// 4 delete_group ""
}

// A tenant's subscription is of its namespace; events carry full group names.
func ExampleScopedStore_Subscribe() {
	store, err := api.New(":memory:")
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	tenant, err := api.NewScoped(store, "tenant-a")
	if err != nil {
		log.Fatal(err)
	}
	feed := tenant.Subscribe(context.Background(), api.SubscribeOptions{})
	if err := errors.Join(
		store.Set("config", "theme", "somebody else's"),
		tenant.Set("config", "theme", "dark"),
	); err != nil {
		log.Fatal(err)
	}
	for event, err := range feed {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(event.Group, event.Key, event.Value)
		break
	}
	// Output: tenant-a:config theme dark
}

// A subscription with SlowEnd that has no room for an event ends, and says so.
func ExampleSlowPolicy() {
	store, err := api.New(":memory:")
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	feed := store.Subscribe(context.Background(), api.SubscribeOptions{Slow: api.SlowEnd, Buffer: 1, Progress: time.Millisecond,
		Filters: []api.Filter{{Group: api.Exactly("sensor")}}})
	if err := store.Set("another group", "begun", "true"); err != nil { // so that there is progress
		log.Fatal(err)
	}
	busy := false
	for event, err := range feed {
		if err != nil {
			fmt.Println(errors.Is(err, api.SlowConsumerError))
			break
		}
		if event.Type != api.EventProgress || busy {
			continue
		}
		for i := range 10 { // while this loop's body runs no goroutine takes an event
			if err := store.Set("sensor", "temperature", fmt.Sprint(20+i)); err != nil {
				log.Fatal(err)
			}
		}
		busy = true
	}
	// Output: true
}

// What the log has forgotten, and what has not happened yet, can't be had.
func ExampleCompactedError() {
	store, err := api.New(":memory:", api.WithHistory(api.Retention{Revisions: 2}))
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	for i := range 5 {
		if err := store.Set("sensor", "temperature", fmt.Sprint(20+i)); err != nil {
			log.Fatal(err)
		}
	}
	for _, from := range []uint64{1, 99} {
		for _, err := range store.Subscribe(context.Background(), api.SubscribeOptions{From: from, Slow: api.SlowCatchUp}) {
			var compacted *api.CompactedError
			var future *api.FutureRevisionError
			switch {
			case errors.As(err, &compacted):
				fmt.Println("asked for", compacted.Requested, "and the oldest is", compacted.Oldest)
			case errors.As(err, &future):
				fmt.Println("asked for", future.Requested, "and the newest is", future.Current)
			}
		}
	}
	// Output:
	// asked for 1 and the oldest is 4
	// asked for 99 and the newest is 5
}

// Matches of names, exact and by their begin.
func ExamplePrefix() {
	store, err := api.New(":memory:")
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	if err := errors.Join(store.Set("user:ada", "name", "Ada"), store.Set("users", "count", "1")); err != nil {
		log.Fatal(err)
	}
	for entry, err := range store.Scan(api.ScanOptions{Groups: api.Prefix("user:")}) {
		fmt.Println(entry.Group, entry.Key, entry.Value, err)
	}
	// Output: user:ada name Ada <nil>
}

func ExampleExactly() {
	store, err := api.New(":memory:")
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	if err := errors.Join(store.Set("user", "ada", "admin"), store.Set("users", "count", "1")); err != nil {
		log.Fatal(err)
	}
	for entry, err := range store.Scan(api.ScanOptions{Groups: api.Exactly("user")}) {
		fmt.Println(entry.Group, entry.Key, entry.Value, err)
	}
	// Output: user ada admin <nil>
}
