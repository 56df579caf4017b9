package inspect_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"

	"forge.lthn.ai/core/go-store/api"
	"forge.lthn.ai/core/go-store/inspect"
)

// ask sends a request and prints what came back.
func ask(method, url, body string, headers ...string) {
	request, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		log.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		log.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		log.Fatal(err)
	}
	answer := fmt.Sprintln(method, response.StatusCode, response.Header.Get("ETag"), string(text))
	fmt.Println(strings.TrimSpace(answer))
}

func ExampleHandler() {
	store, err := api.New(":memory:")
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	if err := store.Set("config", "theme", "dark"); err != nil {
		log.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle("/inspect/", http.StripPrefix("/inspect", inspect.Handler(store)))
	server := httptest.NewServer(mux) // in a program: http.ListenAndServe("localhost:8080", mux)
	defer server.Close()

	ask("GET", server.URL+"/inspect/v1/config/theme", "")
	ask("GET", server.URL+"/inspect/v1/config", "")
	// Output:
	// GET 200 "1" dark
	// GET 200  {"group":"config","segment":"config","keys":[{"key":"theme","segment":"theme","revision":1}]}
}

// A handler of a namespace: names are within it, and its quota holds.
func ExampleHandler_namespace() {
	store, err := api.New(":memory:")
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	tenant, err := api.NewScopedWithQuota(store, "tenant-1", api.QuotaConfig{MaxKeys: 1})
	if err != nil {
		log.Fatal(err)
	}
	server := httptest.NewServer(inspect.Handler(tenant, inspect.WithWrites()))
	defer server.Close()

	ask("PUT", server.URL+"/v1/users/ada", "admin")
	ask("GET", server.URL+"/v1/", "")
	// Output:
	// PUT 201 "1"
	// GET 200  {"groups":[{"group":"users","segment":"users"}]}
}

// Streams end with the server's base context, so that Shutdown does not wait for them.
func ExampleHandler_shutdown() {
	store, err := api.New(":memory:")
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	streams, end := context.WithCancel(context.Background())
	defer end()
	listener, err := net.Listen("tcp", "localhost:0")
	if err != nil {
		log.Fatal(err)
	}
	server := &http.Server{Handler: inspect.Handler(store), BaseContext: func(net.Listener) context.Context { return streams }}
	server.RegisterOnShutdown(end)
	served := make(chan error)
	go func() { served <- server.Serve(listener) }()

	response, err := http.Get("http://" + listener.Addr().String() + "/v1/watch")
	if err != nil {
		log.Fatal(err)
	}
	defer response.Body.Close()
	fmt.Println(server.Shutdown(context.Background()), <-served)
	// Output: <nil> http: Server closed
}

func ExampleWithWrites() {
	store, err := api.New(":memory:")
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	server := httptest.NewServer(inspect.Handler(store, inspect.WithWrites()))
	defer server.Close()

	at := server.URL + "/v1/config/theme"
	ask("PUT", at+"?ttl=1h", "dark", "If-None-Match", "*") // only if it is not there
	ask("PUT", at, "light", "If-Match", `"1"`)             // only if it was not changed
	ask("DELETE", at, "", "If-Match", `"1"`)               // it was
	// Output:
	// PUT 201 "1"
	// PUT 204 "2"
	// DELETE 412 "2" {"title":"Precondition Failed","status":412,"code":"revision_mismatch","detail":"the key has revision 2: read it again and decide anew","revision":2}
}

func ExampleWithToken() {
	store, err := api.New(":memory:")
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	token := rand.Text() // printed once, for the page: http://localhost:8080/#token=…
	server := httptest.NewServer(inspect.Handler(store, inspect.WithToken(token)))
	defer server.Close()

	ask("GET", server.URL+"/v1/", "", "Authorization", "Bearer "+token)
	// Output: GET 200  {"groups":[]}
}

func ExampleWithHosts() {
	store, err := api.New(":memory:")
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	handler := inspect.Handler(store, inspect.WithToken(rand.Text()), inspect.WithHosts("admin.example.com"))
	for _, host := range []string{"admin.example.com", "attacker.example"} {
		request := httptest.NewRequest("GET", "https://"+host+"/", nil)
		response := httptest.NewRecorder()
		handler.ServeHTTP(response, request)
		fmt.Println(host, response.Code)
	}
	// Output:
	// admin.example.com 200
	// attacker.example 421
}

// A program that authenticates callers by itself.
func ExampleWithRemote() {
	store, err := api.New(":memory:")
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	handler := inspect.Handler(store, inspect.WithRemote(), inspect.WithHosts("admin.example.com"))
	guarded := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if user, password, _ := r.BasicAuth(); user != "ada" || password != "…" {
			http.Error(w, "who is it?", http.StatusUnauthorized)
			return
		}
		handler.ServeHTTP(w, r)
	})
	request := httptest.NewRequest("GET", "https://admin.example.com/v1/", nil)
	request.SetBasicAuth("ada", "…")
	response := httptest.NewRecorder()
	guarded.ServeHTTP(response, request)
	fmt.Println(response.Code)
	// Output: 200
}

func ExampleWithMaxBody() {
	store, err := api.New(":memory:")
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	server := httptest.NewServer(inspect.Handler(store, inspect.WithWrites(), inspect.WithMaxBody(1<<10))) // instead of DefaultMaxBody
	defer server.Close()
	fmt.Println(inspect.DefaultMaxBody)
	ask("PUT", server.URL+"/v1/config/theme", strings.Repeat("x", 2<<10))
	// Output:
	// 16777216
	// PUT 413  {"title":"Request Entity Too Large","status":413,"code":"too_large","detail":"the body has more than the 1024 bytes that are accepted"}
}

func ExampleOption() {
	store, err := api.New(":memory:")
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	// The variable that the token was to come from is not set: nothing is open by mistake.
	server := httptest.NewServer(inspect.Handler(store, inspect.WithToken("")))
	defer server.Close()
	ask("GET", server.URL+"/v1/", "")
	// Output: GET 500  {"title":"Internal Server Error","status":500,"code":"misconfigured","detail":"inspect.Handler: WithToken: the token is empty; leave the option away, or look where it comes from"}
}
