package protocol_test

import (
	"errors"
	"fmt"
	"log"
	"time"

	"forge.lthn.ai/core/go-store/api"
	"forge.lthn.ai/core/go-store/protocol"
)

// A goroutine may ask too, and wait for the answer. Every request has one of its name; all
// say by Failure why they were not done.
func ExampleRequest() {
	store, system, pid := open()
	defer store.Close()
	ask := func(request protocol.Request) any {
		answer, err := system.Root.RequestFuture(pid, request, time.Minute).Result()
		if err != nil {
			log.Fatal(err)
		}
		if reply, ok := answer.(protocol.Reply); ok && reply.Failure() != nil {
			fmt.Println("failed:", reply.Failure())
		}
		return answer
	}
	written := ask(protocol.Set{Group: "users", Key: "ada", Value: "admin"}).(protocol.SetDone)
	fmt.Println("set at revision", written.Revision)
	fmt.Println(ask(protocol.Get{Group: "users", Key: "ada"}).(protocol.GetDone).Value)
	fmt.Println(ask(protocol.GetMany{Group: "users", Keys: []string{"ada", "bob"}}).(protocol.GetManyDone).Values)
	swapped := ask(protocol.CompareAndSet{Group: "users", Key: "ada", Value: "guest", Revision: written.Revision})
	fmt.Println("swapped at", swapped.(protocol.CompareAndSetDone).Revision)
	fmt.Println(ask(protocol.Increment{Group: "visits", Key: "/", Delta: 2}).(protocol.IncrementDone).Number)
	batch := new(api.Batch).Set("users", "bob", "guest").Set("users", "eve", "guest")
	fmt.Println("batch at", ask(protocol.Batch{Writes: batch.Writes()}).(protocol.BatchDone).Revision)
	expiring := protocol.SetWithTTL{Group: "sessions", Key: "ada", Value: "token", TimeToLive: time.Hour}
	fmt.Println("expires, set at", ask(expiring).(protocol.SetWithTTLDone).Revision)
	fmt.Println("told at", ask(protocol.Tell{Address: "mailer", Message: "welcome"}).(protocol.TellDone).Revision)
	fmt.Println("deleted at", ask(protocol.Delete{Group: "users", Key: "eve"}).(protocol.DeleteDone).Revision)
	fmt.Println("deleted at", ask(protocol.DeleteGroup{Group: "users"}).(protocol.DeleteGroupDone).Revision)
	ask(protocol.Get{Group: "users", Key: "ada"})
	// Output:
	// set at revision 1
	// admin
	// map[ada:admin]
	// swapped at 2
	// 2
	// batch at 4
	// expires, set at 5
	// told at 6
	// deleted at 7
	// deleted at 8
	// failed: store.Get: users/ada: not found
}

// An actor of a namespace is handed to those that are to have nothing else.
func ExampleOpenNamespace() {
	store, system, pid := open()
	defer store.Close()
	answer, err := system.Root.RequestFuture(pid, protocol.OpenNamespace{Name: "tenant-a", Quota: api.QuotaConfig{MaxKeys: 10}}, time.Minute).Result()
	if err != nil {
		log.Fatal(err)
	}
	opened := answer.(protocol.NamespaceOpened)
	if opened.Err != nil {
		log.Fatal(opened.Err)
	}
	for _, request := range []any{
		protocol.Set{Group: "users", Key: "ada", Value: "admin"},
		protocol.Usage{},
		protocol.Usage{Namespace: "tenant-b"},
	} {
		answer, err := system.Root.RequestFuture(opened.PID, request, time.Minute).Result()
		if err != nil {
			log.Fatal(err)
		}
		switch m := answer.(type) {
		case protocol.SetDone:
			fmt.Println("set", m.Err)
		case protocol.UsageDone:
			fmt.Println(m.Usage.Keys, "keys; not permitted:", errors.Is(m.Err, api.NotPermittedError))
		}
	}
	fmt.Println(store.Groups(""))
	// Output:
	// set <nil>
	// 1 keys; not permitted: false
	// 0 keys; not permitted: true
	// [tenant-a:users] <nil>
}

// What is no request, or comes too early or too often, is answered all the same.
func ExampleFailed() {
	store, system, pid := open()
	defer store.Close()
	for _, message := range []any{"not of the protocol", protocol.Credit{ID: 1, N: 1}} {
		answer, err := system.Root.RequestFuture(pid, message, time.Minute).Result()
		if err != nil {
			log.Fatal(err)
		}
		switch m := answer.(type) {
		case protocol.Failed:
			fmt.Println(m.Type, errors.Is(m.Err, api.UnknownMessageError), errors.Is(m.Err, api.NotSubscribedError))
		case protocol.Busy:
			fmt.Println("later:", m.RetryAfter)
		}
	}
	// Output:
	// string true false
	// protocol.Credit false true
}

// What a page of a Scan holds at most, and how many events may be asked for in advance.
func ExampleDefaultPage() {
	fmt.Println(protocol.DefaultPage, "entries, or as many as Limit says, up to", protocol.MaxPage)
	fmt.Println(protocol.MaxPageBytes>>20, "MiB")
	fmt.Println(protocol.MaxCredits, "credits")
	// Output:
	// 1000 entries, or as many as Limit says, up to 10000
	// 4 MiB
	// 1048576 credits
}
