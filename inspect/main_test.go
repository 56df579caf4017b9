package inspect_test

import (
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"forge.lthn.ai/core/go-store/api"
	"forge.lthn.ai/core/go-store/inspect"
	"forge.lthn.ai/core/go-store/internal/testkit"
)

// answered are the statuses that tests have seen of each method and route.
var answered = struct {
	sync.Mutex
	seen map[string]bool // "GET v1/{} 200"
}{seen: make(map[string]bool)}

// observed notes the statuses of a handler's answers.
func observed(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		o := &observer{ResponseWriter: w}
		h.ServeHTTP(o, r)
		answered.Lock()
		defer answered.Unlock()
		answered.seen[fmt.Sprintf("%s %s %d", r.Method, inspect.RouteOf(strings.TrimPrefix(r.URL.EscapedPath(), "/")), o.status)] = true
	})
}

type observer struct {
	http.ResponseWriter
	status int
}

func (o *observer) Unwrap() http.ResponseWriter { return o.ResponseWriter }

func (o *observer) WriteHeader(status int) {
	o.status = status
	o.ResponseWriter.WriteHeader(status)
}

func (o *observer) Write(text []byte) (int, error) {
	if o.status == 0 {
		o.status = http.StatusOK
	}
	return o.ResponseWriter.Write(text)
}

// TestMain has a run of all tests see every status that openapi.yaml promises.
func TestMain(m *testing.M) {
	testkit.InMemory()
	testkit.SameDraws()
	goleak.VerifyTestMain(checked{m})
}

type checked struct{ m *testing.M }

func (c checked) Run() int {
	code := c.m.Run()
	http.DefaultTransport.(*http.Transport).CloseIdleConnections()
	if whole := flag.Lookup("test.run").Value.String() == "" && flag.Lookup("test.skip").Value.String() == ""; whole {
		for _, promised := range promises() {
			if !answered.seen[promised] {
				fmt.Fprintln(os.Stderr, "openapi.yaml promises what no test has seen:", promised)
				code = 1
			}
		}
	}
	return code
}

func open(t testing.TB, options ...api.Option) *api.Store {
	t.Helper()
	store, err := api.New(":memory:", options...)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, store.Close()) })
	return store
}

// site is a handler that is served.
type site struct {
	t   testing.TB
	url string // of the handler, with a slash at the end
}

// serve serves a handler under a prefix, behind a ServeMux, as a program would.
func serve(t testing.TB, store api.Storer, options ...inspect.Option) site {
	t.Helper()
	return serveHandler(t, inspect.Handler(store, options...))
}

func serveHandler(t testing.TB, h http.Handler) site {
	t.Helper()
	mux := http.NewServeMux()
	mux.Handle("/some/where/", http.StripPrefix("/some/where", observed(h)))
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return site{t, server.URL + "/some/where/"}
}

// answer is what came back.
type answer struct {
	status int
	header http.Header
	body   string
}

// do sends a request; headers are pairs. The path is sent as it is.
func (s site) do(method, path, body string, headers ...string) answer {
	s.t.Helper()
	var reader io.Reader
	if body != "" || method == http.MethodPut {
		reader = strings.NewReader(body)
	}
	r, err := http.NewRequestWithContext(s.t.Context(), method, s.url+path, reader)
	require.NoError(s.t, err)
	for i := 0; i < len(headers); i += 2 {
		if headers[i] == "Host" {
			r.Host = headers[i+1]
			continue
		}
		r.Header.Add(headers[i], headers[i+1])
	}
	response, err := http.DefaultTransport.RoundTrip(r) // follows no redirect
	require.NoError(s.t, err)
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	require.NoError(s.t, err)
	return answer{response.StatusCode, response.Header, string(text)}
}

func (s site) get(path string, headers ...string) answer {
	s.t.Helper()
	return s.do(http.MethodGet, path, "", headers...)
}

// want checks the status of an answer.
func (s site) want(status int, a answer) answer {
	s.t.Helper()
	require.Equal(s.t, status, a.status, "%s", a.body)
	return a
}

// problem checks that an answer is one, with this code.
func (s site) problem(status int, code string, a answer) {
	s.t.Helper()
	require.Equal(s.t, status, a.status, "%s", a.body)
	require.Equal(s.t, "application/problem+json", a.header.Get("Content-Type"))
	require.Contains(s.t, a.body, `"code":"`+code+`"`)
	require.Contains(s.t, a.body, `"detail":"`)
}
