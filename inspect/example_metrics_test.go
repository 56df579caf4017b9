package inspect_test

import (
	"expvar"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"

	"forge.lthn.ai/core/go-store/api"
	"forge.lthn.ai/core/go-store/inspect"
)

// lines prints those lines of an answer that begin with something.
func lines(handler http.Handler, prefix string) {
	response := httptest.NewRecorder()
	handler.ServeHTTP(response, httptest.NewRequest("GET", "/", nil))
	for line := range strings.Lines(response.Body.String()) {
		if strings.HasPrefix(line, prefix) {
			fmt.Print(line)
		}
	}
}

func ExampleMetricsHandler() {
	store, err := api.New(":memory:", api.WithMetrics())
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	if err := store.Set("config", "theme", "dark"); err != nil {
		log.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle("/", inspect.MetricsHandler(store, api.Label{Name: "store", Value: "app"})) // "/metrics", in a program
	lines(mux, "gostore_requests_total")
	// Output: gostore_requests_total{store="app",kind="set",result="ok"} 1
}

func ExampleWritePrometheus() {
	store, err := api.New(":memory:")
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	var text strings.Builder
	if err := inspect.WritePrometheus(&text, store.Metrics()); err != nil {
		log.Fatal(err)
	}
	fmt.Println(strings.Contains(text.String(), "gostore_healthy 1"))
	// Output: true
}

func ExampleVars() {
	store, err := api.New(":memory:")
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	var meter inspect.Meter = store // or a view of a namespace
	all := new(expvar.Map).Init()
	all.Set("gostore", inspect.Vars(meter)) // expvar.Publish, in a program
	fmt.Println(strings.Contains(all.String(), `"gostore.healthy":1`))
	// Output: true
}

func ExampleVarsHandler() {
	store, err := api.New(":memory:")
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	response := httptest.NewRecorder()
	inspect.VarsHandler(store).ServeHTTP(response, httptest.NewRequest("GET", "/debug/vars", nil))
	fmt.Println(strings.HasPrefix(response.Body.String(), `{"gostore":{`))
	// Output: true
}

func ExampleWithName() {
	store, err := api.New(":memory:")
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	server := httptest.NewServer(inspect.Handler(store, inspect.WithName("app.db")))
	defer server.Close()
	response, err := http.Get(server.URL + "/ui/info")
	if err != nil {
		log.Fatal(err)
	}
	defer response.Body.Close()
	fmt.Println(response.StatusCode)
	// Output: 200
}
