package inspect_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"forge.lthn.ai/core/go-store/api"
	"forge.lthn.ai/core/go-store/inspect"
)

// direct calls a handler without a server, as a caller somewhere else.
func direct(h http.Handler, method, target, host, remote string, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, target, http.NoBody)
	r.Host, r.RemoteAddr = host, remote
	for i := 0; i < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	observed(h).ServeHTTP(w, r)
	return w
}

// TestHosts: a name that is not the machine's own, or was not allowed, gets nothing, the
// page included, whichever caller asks.
func TestHosts(t *testing.T) {
	store := open(t)
	usual := inspect.Handler(store)
	named := inspect.Handler(store, inspect.WithHosts("Admin.Example.com", "10.0.0.7:8080"), inspect.WithHosts("[2001:db8::1]"))
	any := inspect.Handler(store, inspect.WithHosts("*"))
	for host, allowed := range map[string][3]bool{
		"localhost": {true, true, true}, "LOCALHOST:8080": {true, true, true}, "localhost.": {true, true, true},
		"app.localhost:1": {true, true, true}, "127.0.0.1": {true, true, true}, "127.9.9.9:80": {true, true, true},
		"[::1]": {true, true, true}, "[::1]:443": {true, true, true}, "[::ffff:127.0.0.1]:443": {true, true, true},
		"admin.example.com": {false, true, true}, "ADMIN.example.com.:8443": {false, true, true},
		"10.0.0.7": {false, true, true}, "10.0.0.7:9": {false, true, true}, "[2001:0db8:0::1]:80": {false, true, true},
		"evil.example": {false, false, true}, "localhost.evil.example": {false, false, true}, "evillocalhost": {false, false, true},
		"127.0.0.1.evil.example": {false, false, true}, "0.0.0.0": {false, false, true}, "192.168.0.1": {false, false, true},
		"[::2]": {false, false, true}, "[fe80::1%25lo]": {false, false, false}, "": {false, false, false},
		"localhost:80:80": {false, false, false}, "localhost:x": {false, false, false}, "a b": {false, false, false},
		"localhost@evil.example": {false, false, false}, "[::1": {false, false, false}, "[::1]x": {false, false, false},
		"localhost/": {false, false, false}, "[]": {false, false, false}, ".": {false, false, false}, "[127.0.0.1]": {false, false, false},
	} {
		for i, h := range []http.Handler{usual, named, any} {
			for _, target := range []string{"/", "/v1/", "/openapi.yaml"} {
				want := http.StatusMisdirectedRequest
				if allowed[i] {
					want = http.StatusOK
				}
				require.Equal(t, want, direct(h, "GET", target, host, "127.0.0.1:9").Code, "%q of %d", host, i)
			}
		}
	}
}

// TestRemote: without a token only this machine is answered, and no proxy on it hands
// others in.
func TestRemote(t *testing.T) {
	store := open(t)
	usual, remote := inspect.Handler(store), inspect.Handler(store, inspect.WithRemote())
	token := inspect.Handler(store, inspect.WithToken("secret"))
	for from, local := range map[string]bool{
		"127.0.0.1:5": true, "127.3.4.5:5": true, "[::1]:5": true, "[::ffff:127.0.0.1]:5": true, "@": true, "": true, "/run/app.sock": true,
		"192.0.2.1:5": false, "10.0.0.1:5": false, "[2001:db8::1]:5": false, "[fe80::1%eth0]:5": false, "nonsense": false, "localhost:5": false,
	} {
		want := http.StatusForbidden
		if local {
			want = http.StatusOK
		}
		require.Equal(t, want, direct(usual, "GET", "/v1/", "localhost", from).Code, from)
		require.Equal(t, want, direct(usual, "GET", "/", "localhost", from).Code, from)
		require.Equal(t, http.StatusOK, direct(remote, "GET", "/v1/", "localhost", from).Code, from)
		require.Equal(t, http.StatusOK, direct(token, "GET", "/v1/", "localhost", from, "Authorization", "Bearer secret").Code, from)
		require.Equal(t, http.StatusUnauthorized, direct(token, "GET", "/v1/", "localhost", from).Code, from)
	}
	for _, header := range []string{"Forwarded", "X-Forwarded-For", "X-Real-IP", "Via"} {
		require.Equal(t, http.StatusForbidden, direct(usual, "GET", "/v1/", "localhost", "127.0.0.1:5", header, "192.0.2.1").Code, header)
		require.Equal(t, http.StatusOK, direct(remote, "GET", "/v1/", "localhost", "127.0.0.1:5", header, "192.0.2.1").Code, header)
	}
}

// TestTokens: the token, as it is, in its header, once.
func TestTokens(t *testing.T) {
	store := open(t)
	require.NoError(t, store.Set("g", "k", "v"))
	s := serve(t, store, inspect.WithToken("the-first"), inspect.WithToken("s3cret-Token"), inspect.WithWrites())
	for _, headers := range [][]string{
		{"Authorization", "Bearer s3cret-Token"}, {"Authorization", "bearer s3cret-Token"}, {"Authorization", "Bearer  s3cret-Token "},
	} {
		require.Equal(t, "v", s.want(http.StatusOK, s.get("v1/g/k", headers...)).body)
	}
	for _, headers := range [][]string{
		{}, {"Authorization", ""}, {"Authorization", "Bearer"}, {"Authorization", "Bearer "}, {"Authorization", "s3cret-Token"},
		{"Authorization", "Bearer the-first"}, {"Authorization", "Bearer s3cret-token"}, {"Authorization", "Bearer s3cret-Toke"},
		{"Authorization", "Bearer s3cret-Token-"}, {"Authorization", "Basic s3cret-Token"}, {"Authorization", "Bearer s3cret-Token s3cret-Token"},
		{"Authorization", "Bearer nothing", "Authorization", "Bearer s3cret-Token"},
		{"Cookie", "token=s3cret-Token"}, {"X-Token", "s3cret-Token"},
	} {
		for _, method := range []string{"GET", "PUT", "DELETE"} {
			a := s.do(method, "v1/g/k", "", headers...)
			s.problem(http.StatusUnauthorized, "unauthorized", a)
			require.Equal(t, `Bearer realm="go-store"`, a.header.Get("WWW-Authenticate"))
			require.NotContains(t, a.body, "s3cret")
		}
	}
	s.problem(http.StatusUnauthorized, "unauthorized", s.get("v1/g/k?token=s3cret-Token"))
	s.problem(http.StatusUnauthorized, "unauthorized", s.get("v1/a/b/c/d"))
	value, err := store.Get("g", "k")
	require.NoError(t, err)
	require.Equal(t, "v", value)
	// The page is no secret, and can't send a header before it is there.
	s.want(http.StatusOK, s.get(""))
	s.want(http.StatusOK, s.get("openapi.yaml"))
}

// TestOtherSites: what a browser says is another site's doing is refused, reads included.
func TestOtherSites(t *testing.T) {
	store := open(t)
	require.NoError(t, store.Set("g", "k", "v"))
	h := inspect.Handler(store, inspect.WithWrites())
	for _, c := range []struct {
		headers []string
		allowed bool
	}{
		{nil, true},
		{[]string{"Sec-Fetch-Site", "same-origin"}, true}, {[]string{"Sec-Fetch-Site", "none"}, true},
		{[]string{"Sec-Fetch-Site", "same-origin", "Origin", "http://localhost:80"}, true},
		{[]string{"Origin", "http://localhost:80"}, true},
		{[]string{"Sec-Fetch-Site", "cross-site"}, false}, {[]string{"Sec-Fetch-Site", "same-site"}, false},
		{[]string{"Sec-Fetch-Site", "whatever"}, false}, {[]string{"Origin", "null"}, false},
		{[]string{"Origin", "http://localhost:81"}, false}, {[]string{"Origin", "http://evil.example"}, false},
		{[]string{"Sec-Fetch-Site", "same-origin", "Origin", "http://evil.example"}, false},
		{[]string{"Origin", "http://localhost:80.evil.example"}, false},
	} {
		for method, status := range map[string]int{"GET": 200, "HEAD": 200, "PUT": 204, "PATCH": 204, "DELETE": 204} {
			require.NoError(t, store.Set("g", "k", "v"))
			before, err := store.Revision()
			require.NoError(t, err)
			w := direct(h, method, "/v1/g/k"+map[string]string{"PATCH": "?ttl=1h"}[method], "localhost:80", "127.0.0.1:5", c.headers...)
			if c.allowed {
				require.Equal(t, status, w.Code, "%s %v: %s", method, c.headers, w.Body)
				continue
			}
			require.Equal(t, http.StatusForbidden, w.Code, "%s %v", method, c.headers)
			after, err := store.Revision()
			require.NoError(t, err)
			require.Equal(t, before, after, "it wrote")
		}
		want := 403
		if c.allowed {
			want = 200
		}
		require.Equal(t, want, direct(h, "GET", "/ui/info", "localhost:80", "127.0.0.1:5", c.headers...).Code)
		require.Equal(t, 200, direct(h, "GET", "/", "localhost:80", "127.0.0.1:5", c.headers...).Code, "a link to the page")
	}
}

// TestEveryAnswerIsSecured, whatever it is.
func TestEveryAnswerIsSecured(t *testing.T) {
	store := open(t)
	require.NoError(t, store.Set("g", "k", "<script>alert(1)</script>"))
	s := serve(t, store)
	for path, status := range map[string]int{
		"": 200, "v1/": 200, "v1/g": 200, "v1/g/k": 200, "v1/g/none": 404, "v1/a/b/c": 404, "nothing": 404, "ui/info": 200,
		"ui/entry/g/k": 200, "v1/g?limit=0": 400, "ui/": 404, "ui": 404,
	} {
		a := s.want(status, s.get(path))
		require.Equal(t, "nosniff", a.header.Get("X-Content-Type-Options"), path)
		require.Equal(t, "no-referrer", a.header.Get("Referrer-Policy"), path)
		require.Equal(t, "same-origin", a.header.Get("Cross-Origin-Resource-Policy"), path)
		require.Equal(t, "same-origin", a.header.Get("Cross-Origin-Opener-Policy"), path)
		require.Equal(t, "DENY", a.header.Get("X-Frame-Options"), path)
		require.Empty(t, a.header.Values("Access-Control-Allow-Origin"), path)
		require.Empty(t, a.header.Values("Set-Cookie"), path)
		if path == "" {
			require.Equal(t, inspect.Policy, a.header.Get("Content-Security-Policy"))
			require.Equal(t, "no-cache", a.header.Get("Cache-Control"))
			require.Equal(t, "text/html; charset=utf-8", a.header.Get("Content-Type"))
			continue
		}
		require.Equal(t, inspect.DataPolicy, a.header.Get("Content-Security-Policy"), path)
		require.Equal(t, "no-store", a.header.Get("Cache-Control"), path)
		require.NotContains(t, a.header.Get("Content-Type"), "html", path)
	}
	require.Equal(t, "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "+
		"frame-ancestors 'none'; base-uri 'none'; form-action 'none'", inspect.Policy)
}

// TestThePageIsServedWhole: every asset under its type, nothing beside them.
func TestThePageIsServedWhole(t *testing.T) {
	s := serve(t, open(t))
	index := s.want(http.StatusOK, s.get("index.html"))
	require.Equal(t, index.body, s.get("").body)
	etag := index.header.Get("ETag")
	require.NotEmpty(t, etag)
	require.Empty(t, s.want(http.StatusNotModified, s.get("", "If-None-Match", `"other", W/`+etag)).body)
	s.want(http.StatusNotModified, s.get("openapi.yaml", "If-None-Match", "*"))
	require.Empty(t, s.want(http.StatusOK, s.do("HEAD", "", "")).body)
	for _, path := range []string{"page", "page/index.html", "index.htm", "%2e%2e/go.mod", "..%2fgo.mod", "doc.go", "index.html/", "openapi.yaml/", "%00"} {
		s.problem(http.StatusNotFound, "no_route", s.get(path))
	}
	for _, method := range []string{"POST", "PUT", "DELETE", "OPTIONS", "PATCH"} {
		a := s.do(method, "", "")
		s.problem(http.StatusMethodNotAllowed, "method_not_allowed", a)
		require.Equal(t, "GET, HEAD", a.header.Get("Allow"))
	}
}

// TestWithoutTheSlash: mounted as a ServeMux would not, the page is sent where its assets
// are found.
func TestWithoutTheSlash(t *testing.T) {
	h := http.StripPrefix("/deep/inspect", observed(inspect.Handler(open(t))))
	r := httptest.NewRequest("GET", "/deep/inspect?x=1", http.NoBody)
	r.Host, r.RemoteAddr = "localhost", "127.0.0.1:5"
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	require.Equal(t, http.StatusPermanentRedirect, w.Code)
	require.Equal(t, "./inspect/", w.Header().Get("Location"))
}

// TestOptionsThatCanNotBe close the handler instead of opening it.
func TestOptionsThatCanNotBe(t *testing.T) {
	store := open(t)
	for name, options := range map[string][]inspect.Option{
		"no token": {inspect.WithToken("")}, "a token with a space": {inspect.WithToken("a b")}, "a token with more than ASCII": {inspect.WithToken("tökén")},
		"a URL": {inspect.WithHosts("https://a.example")}, "no host": {inspect.WithHosts("")}, "no body": {inspect.WithMaxBody(0)},
		"one of two": {inspect.WithToken("good"), inspect.WithToken("")},
	} {
		h := inspect.Handler(store, options...)
		for _, target := range []string{"/", "/v1/", "/v1/g/k"} {
			w := direct(h, "GET", target, "localhost", "127.0.0.1:5")
			require.Equal(t, http.StatusInternalServerError, w.Code, name)
			require.Contains(t, w.Body.String(), `"misconfigured"`, name)
			require.Contains(t, w.Body.String(), "inspect.Handler: With", name)
		}
	}
	for _, none := range []api.Storer{nil, (*api.Store)(nil), (*api.ScopedStore)(nil)} {
		for _, target := range []string{"/", "/ui/metrics", "/ui/listeners", "/v1/", "/v1/g", "/v1/g/k", "/v1/watch", "/ui/info", "/ui/tree", "/ui/stats", "/ui/namespaces", "/ui/search?q=a", "/ui/count?group=g"} {
			w := direct(inspect.Handler(none), "GET", target, "localhost", "127.0.0.1:5")
			require.Equal(t, http.StatusInternalServerError, w.Code, target)
			require.Contains(t, w.Body.String(), `"misconfigured"`, target)
			require.Contains(t, w.Body.String(), "store instance is nil", target)
		}
	}
	require.Equal(t, 200, direct(inspect.Handler(store, nil), "GET", "/v1/", "localhost", "127.0.0.1:5").Code)
	require.False(t, strings.Contains(inspect.DataPolicy, "script"))
}
