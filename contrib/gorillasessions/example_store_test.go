package gorillasessions_test

import (
	"errors"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	"forge.lthn.ai/core/go-store/api"
	"forge.lthn.ai/core/go-store/contrib/gorillasessions"
	"forge.lthn.ai/core/go-store/storetest"
)

// secret signs the cookies. A program has it from where it has its other secrets.
var secret = []byte("32 bytes or 64 that nobody knows")

// login is a request that has a session, as a browser sends it that was given the cookie.
func login(sessions *gorillasessions.Store) *http.Request {
	response, request := httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/", nil)
	session, err := sessions.New(request, "login")
	session.Values["user"] = "ada"
	if err := errors.Join(err, session.Save(request, response)); err != nil {
		log.Fatal(err)
	}
	return again(response.Header().Get("Set-Cookie"))
}

// again is the next request of a browser.
func again(cookie string) *http.Request {
	request := httptest.NewRequest(http.MethodGet, "/", nil)
	request.Header.Set("Cookie", cookie)
	return request
}

// The first key signs, and those after it still verify: a key is replaced while its cookies
// stay valid. Each nil stands for a key to encrypt with.
func ExampleNew() {
	store, err := api.New(":memory:")
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	request := login(gorillasessions.New(store, "sessions", secret))

	newSecret := []byte("another 32 bytes nobody may know")
	rotated := gorillasessions.New(store, "sessions", newSecret, nil, secret, nil)
	session, err := rotated.New(request, "login")
	fmt.Println(session.Values["user"], err)

	revoked := gorillasessions.New(store, "sessions", newSecret, nil)
	session, err = revoked.New(request, "login")
	fmt.Println(session.Values["user"], err != nil)
	// Output:
	// ada <nil>
	// <nil> true
}

// Within a request a session is one: middleware and handlers see each other's changes.
func ExampleStore_Get() {
	store, err := api.New(":memory:")
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	sessions := gorillasessions.New(store, "sessions", secret)
	request := login(sessions)

	inMiddleware, err := sessions.Get(request, "login")
	fmt.Println(inMiddleware.Values["user"], err)
	inMiddleware.Values["user"] = "bob"
	inHandler, err := sessions.Get(request, "login")
	fmt.Println(inHandler.Values["user"], err)
	// Output:
	// ada <nil>
	// bob <nil>
}

// With an error, too, there is a session, a new one: a cookie that was tampered with need not
// fail the request.
func ExampleStore_New() {
	store, err := api.New(":memory:")
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	sessions := gorillasessions.New(store, "sessions", secret)
	request := login(sessions)
	session, err := sessions.New(request, "login")
	fmt.Println(session.IsNew, session.Values["user"], err)

	forged := again(strings.Replace(request.Header.Get("Cookie"), "login=", "login=x", 1))
	session, err = sessions.New(forged, "login")
	fmt.Println(session.IsNew, session.Values["user"], err != nil)
	// Output:
	// false ada <nil>
	// true <nil> true
}

// A logout ends the session for requests that are under way too: what they save does not
// bring it back.
func ExampleStore_Save() {
	store, err := api.New(":memory:")
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	sessions := gorillasessions.New(store, "sessions", secret)
	request := login(sessions)
	slow, err := sessions.New(request, "login")
	if err != nil {
		log.Fatal(err)
	}

	logout, err := sessions.New(request, "login")
	logout.Options.MaxAge = -1
	fmt.Println(err, sessions.Save(request, httptest.NewRecorder(), logout))
	err = sessions.Save(request, httptest.NewRecorder(), slow)
	fmt.Println(errors.Is(err, gorillasessions.EndedError))
	// Output:
	// <nil> <nil>
	// true
}

// A session lasts an hour after it was last saved, by the store's clock.
func ExampleStore_MaxAge() {
	clock := storetest.NewClock()
	store, err := api.New(":memory:", api.WithClock(clock))
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	sessions := gorillasessions.New(store, "sessions", secret)
	sessions.MaxAge(60 * 60)
	request := login(sessions)
	for range 2 {
		clock.Advance(59 * time.Minute)
		session, err := sessions.New(request, "login")
		fmt.Println(session.Values["user"], err)
	}
	// Output:
	// ada <nil>
	// <nil> <nil>
}

// A limit finds early a session that has begun to grow.
func ExampleStore_MaxLength() {
	store, err := api.New(":memory:")
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	sessions := gorillasessions.New(store, "sessions", secret)
	sessions.MaxLength(1024)
	request := login(sessions)
	session, err := sessions.New(request, "login")
	if err != nil {
		log.Fatal(err)
	}
	session.Values["history"] = strings.Repeat("x", 1024)
	err = session.Save(request, httptest.NewRecorder())
	fmt.Println(errors.Is(err, gorillasessions.TooLongError))
	fmt.Println(store.Count("sessions")) // as it was
	// Output:
	// true
	// 1 <nil>
}
