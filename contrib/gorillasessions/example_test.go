package gorillasessions_test

import (
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"

	"forge.lthn.ai/core/go-store/api"
	"forge.lthn.ai/core/go-store/contrib/gorillasessions"
)

func Example() {
	store, err := api.New(":memory:")
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()

	sessions := gorillasessions.New(store, "sessions", []byte("32 bytes or 64 that nobody knows"))
	count := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		session, err := sessions.Get(r, "visits")
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		visits, _ := session.Values["visits"].(int)
		session.Values["visits"] = visits + 1
		if err := session.Save(r, w); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		fmt.Fprintln(w, visits+1)
	})
	request := httptest.NewRequest(http.MethodGet, "/", nil)
	for range 2 {
		response := httptest.NewRecorder()
		count.ServeHTTP(response, request)
		fmt.Print(response.Body)
		request = httptest.NewRequest(http.MethodGet, "/", nil)
		request.Header.Set("Cookie", response.Header().Get("Set-Cookie"))
	}
	fmt.Println(store.Count("sessions"))
	// Output:
	// 1
	// 2
	// 1 <nil>
}
