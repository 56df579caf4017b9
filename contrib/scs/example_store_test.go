package scsstore_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"strings"
	"time"

	"github.com/alexedwards/scs/v2"

	"forge.lthn.ai/core/go-store/api"
	scsstore "forge.lthn.ai/core/go-store/contrib/scs"
	"forge.lthn.ai/core/go-store/storetest"
)

// twoSessions are one that ends after a minute, and one that does after an hour.
func twoSessions() (*api.Store, *scsstore.Store, *storetest.Clock) {
	clock := storetest.NewClock()
	store, err := api.New(":memory:", api.WithClock(clock))
	if err != nil {
		log.Fatal(err)
	}
	sessions := scsstore.New(store, "sessions")
	if err := errors.Join(
		sessions.Commit("short", []byte("ada"), clock.Now().Add(time.Minute)),
		sessions.Commit("long", []byte("bob"), clock.Now().Add(time.Hour)),
	); err != nil {
		log.Fatal(err)
	}
	return store, sessions, clock
}

// The quota of a namespace bounds what one tenant's visitors can fill the disk with.
func ExampleNew() {
	store, err := api.New(":memory:")
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	tenant, err := api.NewScopedWithQuota(store, "tenant", api.QuotaConfig{MaxKeys: 1})
	if err != nil {
		log.Fatal(err)
	}
	sessions := scsstore.New(tenant, "sessions")
	tomorrow := time.Now().Add(24 * time.Hour)
	fmt.Println(sessions.Commit("token-1", []byte("ada"), tomorrow))
	err = sessions.Commit("token-2", []byte("bob"), tomorrow)
	fmt.Println(errors.Is(err, api.QuotaExceededError))
	// Output:
	// <nil>
	// true
}

// A session that has expired is not found from that moment on, removed or not.
func ExampleStore_Find() {
	store, sessions, clock := twoSessions()
	defer store.Close()
	clock.Advance(time.Minute)
	for _, token := range []string{"short", "long", "no such token"} {
		data, found, err := sessions.Find(token)
		fmt.Printf("%q %v %v\n", data, found, err)
	}
	// Output:
	// "" false <nil>
	// "bob" true <nil>
	// "" false <nil>
}

// A request that has ended reads nothing more. Errors are logged, so that none shows a token.
func ExampleStore_FindCtx() {
	store, sessions, _ := twoSessions()
	defer store.Close()
	ctx, cancel := context.WithCancel(context.Background())
	data, found, err := sessions.FindCtx(ctx, "long")
	fmt.Println(string(data), found, err)

	cancel()
	_, found, err = sessions.FindCtx(ctx, "long")
	fmt.Println(found, errors.Is(err, context.Canceled), strings.Contains(err.Error(), "long"))
	// Output:
	// bob true <nil>
	// false true false
}

// A session is written whole, with its end: what is committed anew lives on.
func ExampleStore_Commit() {
	store, sessions, clock := twoSessions()
	defer store.Close()
	fmt.Println(sessions.Commit("short", []byte("ada, still there"), clock.Now().Add(2*time.Minute)))
	clock.Advance(time.Minute)
	data, found, err := sessions.Find("short")
	fmt.Println(string(data), found, err)

	fmt.Println(sessions.Commit("long", []byte("bob"), clock.Now())) // which is over
	fmt.Println(store.Exists("sessions", "long"))
	// Output:
	// <nil>
	// ada, still there true <nil>
	// <nil>
	// false <nil>
}

// A context that ends before its turn has come leaves the session as it was.
func ExampleStore_CommitCtx() {
	store, sessions, clock := twoSessions()
	defer store.Close()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	err := sessions.CommitCtx(ctx, "long", []byte("eve"), clock.Now().Add(time.Hour))
	fmt.Println(errors.Is(err, context.Canceled))
	fmt.Println(store.Get("sessions", "long"))
	// Output:
	// true
	// bob <nil>
}

// A watcher of the group learns of a logout once that is durable; of one that ended no session
// there is no event.
func ExampleStore_Delete() {
	store, sessions, _ := twoSessions()
	defer store.Close()
	watcher := store.Watch("sessions", "*")
	fmt.Println(sessions.Delete("long"), sessions.Delete("no such token"))
	event := <-watcher.Events
	fmt.Println(event.Type, event.Key)
	// Output:
	// <nil> <nil>
	// delete long
}

// A logout that is to happen even if the browser has gone away takes no end from the request.
func ExampleStore_DeleteCtx() {
	store, sessions, _ := twoSessions()
	defer store.Close()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	fmt.Println(errors.Is(sessions.DeleteCtx(ctx, "long"), context.Canceled))
	fmt.Println(sessions.DeleteCtx(context.WithoutCancel(ctx), "long"))
	fmt.Println(store.Exists("sessions", "long"))
	// Output:
	// true
	// <nil>
	// false <nil>
}

// Expired sessions are not among them, and the data of all the others is of one moment.
func ExampleStore_All() {
	store, sessions, clock := twoSessions()
	defer store.Close()
	all, err := sessions.All()
	fmt.Println(len(all), err)

	clock.Advance(time.Minute)
	all, err = sessions.All()
	fmt.Printf("%s %v\n", all, err)
	// Output:
	// 2 <nil>
	// map[long:bob] <nil>
}

// The session manager's Iterate goes by AllCtx: here it ends all sessions.
func ExampleStore_AllCtx() {
	store, err := api.New(":memory:")
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	sessions, manager := scsstore.New(store, "sessions"), scs.New()
	manager.Store = sessions
	ctx, _ := manager.Load(context.Background(), "")
	manager.Put(ctx, "user", "ada")
	if _, _, err := manager.Commit(ctx); err != nil {
		log.Fatal(err)
	}

	all, err := sessions.AllCtx(ctx)
	fmt.Println(len(all), err)
	fmt.Println(manager.Iterate(ctx, func(session context.Context) error {
		fmt.Println(manager.GetString(session, "user"))
		return manager.Destroy(session)
	}))
	fmt.Println(store.Count("sessions"))
	// Output:
	// 1 <nil>
	// ada
	// <nil>
	// 0 <nil>
}
