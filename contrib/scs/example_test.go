package scsstore_test

import (
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"

	"github.com/alexedwards/scs/v2"

	"forge.lthn.ai/core/go-store/api"
	scsstore "forge.lthn.ai/core/go-store/contrib/scs"
)

func Example() {
	store, err := api.New(":memory:")
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()

	sessions := scs.New()
	sessions.Store = scsstore.New(store, "sessions")

	count := sessions.LoadAndSave(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		visits := sessions.GetInt(r.Context(), "visits") + 1
		sessions.Put(r.Context(), "visits", visits)
		fmt.Fprintln(w, visits)
	}))
	var cookies []*http.Cookie
	for range 2 {
		request, response := httptest.NewRequest(http.MethodGet, "/", nil), httptest.NewRecorder()
		for _, cookie := range cookies {
			request.AddCookie(cookie)
		}
		count.ServeHTTP(response, request)
		cookies = response.Result().Cookies()
		fmt.Print(response.Body)
	}
	fmt.Println(store.Count("sessions"))
	// Output:
	// 1
	// 2
	// 1 <nil>
}
