package inspect_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"forge.lthn.ai/core/go-store/api"
	"forge.lthn.ai/core/go-store/inspect"
	"forge.lthn.ai/core/go-store/internal/testkit"
)

// TestValues: a value goes in and comes out byte for byte, as what no browser runs.
func TestValues(t *testing.T) {
	store := open(t)
	s := serve(t, store, inspect.WithWrites())
	for i, value := range []string{"", "text", "<html><script>alert(1)</script>", "\xFF\x00\xFE", "é日本", `{"a":1}`, "\uFEFFmark", "%PDF-1.7", "GIF89a", strings.Repeat("long ", 100_000)} {
		at := fmt.Sprintf("v1/g/%d", i)
		a := s.want(http.StatusCreated, s.do("PUT", at, value, "Content-Type", "text/html"))
		etag := a.header.Get("ETag")
		require.Equal(t, `"`+a.header.Get("Go-Store-Revision")+`"`, etag)
		a = s.want(http.StatusOK, s.get(at, "Accept", "text/html"))
		require.Equal(t, value, a.body)
		require.Equal(t, etag, a.header.Get("ETag"))
		require.Contains(t, []string{"text/plain; charset=utf-8", "application/octet-stream"}, a.header.Get("Content-Type"))
		require.True(t, strings.HasPrefix(a.header.Get("Content-Disposition"), "attachment; filename="))
		require.Equal(t, "nosniff", a.header.Get("X-Content-Type-Options"))
		require.Contains(t, a.header.Get("Content-Security-Policy"), "sandbox")
		require.Empty(t, a.header.Get("Go-Store-Expires-At"))
		head := s.want(http.StatusOK, s.do("HEAD", at, ""))
		require.Empty(t, head.body)
		require.Equal(t, fmt.Sprint(len(value)), head.header.Get("Content-Length"))
		s.want(http.StatusNoContent, s.do("PUT", at, value)) // it is there now
		require.NotEqual(t, etag, s.get(at).header.Get("ETag"))
	}
	s.problem(http.StatusNotFound, "not_found", s.get("v1/g/none"))
	s.want(http.StatusNoContent, s.do("DELETE", "v1/g/0", ""))
	a := s.want(http.StatusNoContent, s.do("DELETE", "v1/g/0", "")) // again: the same
	require.Empty(t, a.header.Get("Go-Store-Revision"))
	s.problem(http.StatusNotFound, "no_route", s.get("v1/a/b/c"))
	s.problem(http.StatusBadRequest, "bad_request", s.get("v1/g/1?ttl=1"))
}

// TestReadOnly: without WithWrites, and of a store that is read-only, nothing changes.
func TestReadOnly(t *testing.T) {
	store := open(t)
	require.NoError(t, store.Set("g", "k", "v"))
	revision, err := store.Revision()
	require.NoError(t, err)
	s := serve(t, store)
	for _, method := range []string{"PUT", "PATCH", "DELETE"} {
		s.problem(http.StatusForbidden, "read_only", s.do(method, "v1/g/k?ttl=1", "x"))
	}
	for _, method := range []string{"POST", "OPTIONS", "TRACE", "BREW"} {
		a := s.do(method, "v1/g/k", "")
		s.problem(http.StatusMethodNotAllowed, "method_not_allowed", a)
		require.Equal(t, "DELETE, GET, HEAD, PATCH, PUT", a.header.Get("Allow"))
	}
	after, err := store.Revision()
	require.NoError(t, err)
	require.Equal(t, revision, after)
}

// TestConditions: each write happens if and only if the key is as its caller says.
func TestConditions(t *testing.T) {
	store := open(t)
	s := serve(t, store, inspect.WithWrites())
	const at = "v1/g/k"
	missing := func(method string, headers ...string) {
		t.Helper()
		a := s.do(method, at+map[string]string{"PATCH": "?ttl=1h"}[method], "x", headers...)
		s.problem(http.StatusPreconditionFailed, "revision_mismatch", a)
		require.Contains(t, a.body, `"revision":0`)
		require.Empty(t, a.header.Get("ETag"))
		found, err := store.Exists("g", "k")
		require.NoError(t, err)
		require.False(t, found)
	}
	// Of a key that is not there.
	for _, method := range []string{"GET", "PUT", "DELETE", "PATCH"} {
		for _, tag := range []string{"*", `"1"`, `"0"`, `"18446744073709551615"`, `W/"1"`, `"x"`, `""`, `"1", "2"`, `"01"`, `" 1"`, `"-1"`} {
			missing(method, "If-Match", tag)
		}
	}
	s.want(http.StatusCreated, s.do("PUT", at, "first", "If-None-Match", "*"))
	entry, err := store.Entry("g", "k")
	require.NoError(t, err)
	etag := fmt.Sprintf(`"%d"`, entry.Revision)
	refused := func(method string, headers ...string) {
		t.Helper()
		a := s.do(method, at+map[string]string{"PATCH": "?ttl=1h"}[method], "x", headers...)
		s.problem(http.StatusPreconditionFailed, "revision_mismatch", a)
		require.Equal(t, etag, a.header.Get("ETag"))
		require.Contains(t, a.body, fmt.Sprintf(`"revision":%d`, entry.Revision))
		now, err := store.Entry("g", "k")
		require.NoError(t, err)
		require.Equal(t, entry, now, "it was changed")
	}
	refused("PUT", "If-None-Match", "*")
	for _, method := range []string{"GET", "PUT", "DELETE", "PATCH"} {
		for _, tag := range []string{`"0"`, `"18446744073709551615"`, `"999"`, `W/` + etag, `"x"`, `"0` + etag[1:], `"+` + etag[1:], `"7", "8"`} {
			refused(method, "If-Match", tag)
		}
	}
	for _, tag := range []string{etag, `"x", ` + etag, "W/" + etag, "*", etag + `,"y"`} {
		s.want(http.StatusNotModified, s.get(at, "If-None-Match", tag))
	}
	require.Equal(t, "first", s.want(http.StatusOK, s.get(at, "If-None-Match", `"999"`)).body)
	require.Equal(t, "first", s.want(http.StatusOK, s.get(at, "If-Match", etag)).body)
	// Written under each kind of condition that holds.
	a := s.want(http.StatusNoContent, s.do("PUT", at, "second", "If-Match", `"77", W/"3", `+etag))
	second := a.header.Get("ETag")
	require.NotEqual(t, etag, second)
	a = s.want(http.StatusNoContent, s.do("PATCH", at+"?ttl=1h", "", "If-Match", second))
	third := a.header.Get("ETag")
	s.problem(http.StatusPreconditionFailed, "revision_mismatch", s.do("DELETE", at, "", "If-Match", second))
	a = s.want(http.StatusNoContent, s.do("DELETE", at, "", "If-Match", third))
	require.NotEmpty(t, a.header.Get("Go-Store-Revision"))
	require.NoError(t, store.Set("g", "k", "v"))
	s.want(http.StatusNoContent, s.do("PUT", at, "any", "If-Match", "*"))
	s.want(http.StatusNoContent, s.do("DELETE", at, "", "If-Match", "*"))
	// What is no condition.
	for _, tag := range []string{"", "1", `"1`, `"1" "2"`, `*, "1"`, "w/\"1\"", ",", `"1",, x`, "**"} {
		for _, method := range []string{"PUT", "DELETE", "PATCH", "GET"} {
			s.problem(http.StatusBadRequest, "bad_request", s.do(method, at+map[string]string{"PATCH": "?ttl=1h"}[method], "x", "If-Match", tag))
		}
		s.problem(http.StatusBadRequest, "bad_request", s.do("PUT", at, "x", "If-None-Match", tag))
	}
	s.problem(http.StatusBadRequest, "bad_request", s.do("PUT", at, "x", "If-None-Match", `"1"`))
	s.problem(http.StatusBadRequest, "bad_request", s.do("PUT", at, "x", "If-None-Match", "*", "If-Match", "*"))
	s.problem(http.StatusBadRequest, "bad_request", s.do("DELETE", at, "", "If-None-Match", "*"))
	s.problem(http.StatusBadRequest, "bad_request", s.do("PATCH", at+"?ttl=1h", "", "If-None-Match", "*"))
	found, err := store.Exists("g", "k")
	require.NoError(t, err)
	require.False(t, found)
}

// TestCreatedIsTold exactly, also while others write and delete: of all that say that they
// created the key, each was the first after a deletion.
func TestCreatedIsTold(t *testing.T) {
	store := open(t)
	h := inspect.Handler(store, inspect.WithWrites())
	var mu sync.Mutex
	created, deleted := 0, 0
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for range 50 {
				w := direct(h, "PUT", "/v1/g/k", "localhost", "127.0.0.1:5")
				mu.Lock()
				if w.Code == http.StatusCreated {
					created++
				}
				mu.Unlock()
				w = direct(h, "DELETE", "/v1/g/k", "localhost", "127.0.0.1:5")
				mu.Lock()
				if w.Header().Get("Go-Store-Revision") != "" {
					deleted++
				}
				mu.Unlock()
			}
		})
	}
	all.Wait()
	left := 0
	if found, err := store.Exists("g", "k"); err == nil && found {
		left = 1
	}
	require.Equal(t, created, deleted+left)
}

// TestDeadlines: by parameter or header, as time or moment; what is none writes nothing.
func TestDeadlines(t *testing.T) {
	clock := testkit.NewClock()
	store := open(t, api.WithClock(clock))
	s := serve(t, store, inspect.WithWrites())
	for ttl, want := range map[string]time.Duration{
		"90": 90 * time.Second, "0.5": 500 * time.Millisecond, "1h30m": 90 * time.Minute, "1ms": time.Millisecond, "500ms": 500 * time.Millisecond,
		"0.001": time.Millisecond, "never": 0, "86400000": 86400000 * time.Second,
	} {
		for _, headers := range [][]string{nil, {"Go-Store-TTL", ttl}} {
			at := "v1/g/k"
			if headers == nil {
				at += "?ttl=" + ttl
			}
			for _, method := range []string{"PUT", "PATCH"} {
				require.NoError(t, store.Set("g", "k", "old"))
				a := s.do(method, at, "v", headers...)
				require.Equal(t, http.StatusNoContent, a.status, a.body)
				entry, err := store.Entry("g", "k")
				require.NoError(t, err)
				if want == 0 {
					require.True(t, entry.ExpiresAt.IsZero(), ttl)
					continue
				}
				require.WithinDuration(t, clock.Now().Add(want), entry.ExpiresAt, time.Millisecond, ttl)
				require.Equal(t, entry.ExpiresAt.UTC().Format("2006-01-02T15:04:05.000Z"), s.get("v1/g/k").header.Get("Go-Store-Expires-At"))
			}
		}
	}
	// A deadline that was read can be sent back as it is.
	require.NoError(t, store.SetWithTTL("g", "k", "v", 1234567*time.Millisecond))
	before, err := store.Entry("g", "k")
	require.NoError(t, err)
	at := s.get("v1/g/k").header.Get("Go-Store-Expires-At")
	s.want(http.StatusNoContent, s.do("PUT", "v1/g/k", "w", "Go-Store-Expires-At", at))
	after, err := store.Entry("g", "k")
	require.NoError(t, err)
	require.Equal(t, before.ExpiresAt, after.ExpiresAt)
	s.want(http.StatusNoContent, s.do("PUT", "v1/g/k?expires_at="+strings.Replace(at, "Z", "%2B00:00", 1), "x"))
	s.want(http.StatusNoContent, s.do("PUT", "v1/g/k", "plain"))
	entry, err := store.Entry("g", "k")
	require.NoError(t, err)
	require.True(t, entry.ExpiresAt.IsZero(), "a plain PUT clears it, as Set does")
	// What is none.
	for _, ttl := range []string{"", "0", "0s", "-1", "-1s", "1", "x", "1d", "NaN", "Inf", "1e3", "0x10", "1_000", "0.0001", "9223372037", "99999999999999999999", "1h-2h", " 5", "5 ", "Never"} {
		if ttl == "1" {
			continue
		}
		for _, method := range []string{"PUT", "PATCH"} {
			a := s.do(method, "v1/g/k?ttl="+strings.ReplaceAll(ttl, " ", "+"), "y")
			require.Equal(t, http.StatusBadRequest, a.status, "%q: %s", ttl, a.body)
		}
	}
	for _, moment := range []string{"", "tomorrow", "2026-01-31", "1767225600", "2026-13-01T00:00:00Z", "10000-01-01T00:00:00Z", "0001-01-01T00:00:00Z", "0001-01-01T00:00:00.0001Z"} {
		require.Equal(t, http.StatusBadRequest, s.do("PUT", "v1/g/k?expires_at="+moment, "y").status, moment)
	}
	s.problem(http.StatusBadRequest, "bad_request", s.do("PUT", "v1/g/k?ttl=1&expires_at=2026-01-31T00:00:00Z", "y"))
	s.problem(http.StatusBadRequest, "bad_request", s.do("PUT", "v1/g/k?ttl=1", "y", "Go-Store-TTL", "1"))
	s.problem(http.StatusBadRequest, "bad_request", s.do("PUT", "v1/g/k", "y", "Go-Store-TTL", "1", "Go-Store-TTL", "2"))
	s.problem(http.StatusBadRequest, "bad_request", s.do("PATCH", "v1/g/k", ""))
	s.problem(http.StatusBadRequest, "bad_request", s.do("PATCH", "v1/g/k", "", "Go-Store-Expires-At", at))
	s.problem(http.StatusNotFound, "not_found", s.do("PATCH", "v1/g/none?ttl=1", ""))
	s.problem(http.StatusNotFound, "not_found", s.do("PATCH", "v1/g/none?ttl=never", ""))
	now, err := store.Entry("g", "k")
	require.NoError(t, err)
	require.Equal(t, entry, now)
}

// TestBodies: too much, too slow, cut off or encoded is refused, and nothing is written.
func TestBodies(t *testing.T) {
	store := open(t, api.WithSizeLimits(api.SizeLimits{Value: 50, Commit: 1 << 20}))
	s := serve(t, store, inspect.WithWrites(), inspect.WithMaxBody(100))
	untouched := func() {
		t.Helper()
		n, err := store.CountAll("")
		require.NoError(t, err)
		require.Zero(t, n)
	}
	s.problem(http.StatusRequestEntityTooLarge, "too_large", s.do("PUT", "v1/g/k", strings.Repeat("x", 101)))
	s.problem(http.StatusRequestEntityTooLarge, "too_large", s.do("PUT", "v1/g/k", strings.Repeat("x", 51))) // the store's own limit
	s.problem(http.StatusRequestEntityTooLarge, "too_large", s.do("PUT", "v1/"+strings.Repeat("g", 70_000)+"/k", "x"))
	s.problem(http.StatusUnsupportedMediaType, "encoded_body", s.do("PUT", "v1/g/k", "x", "Content-Encoding", "gzip"))
	untouched()
	// A body that does not say how long it is.
	r, err := http.NewRequestWithContext(t.Context(), "PUT", s.url+"v1/g/k", io.MultiReader(strings.NewReader(strings.Repeat("x", 60)), strings.NewReader(strings.Repeat("x", 60))))
	require.NoError(t, err)
	response, err := http.DefaultTransport.RoundTrip(r)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	require.Equal(t, http.StatusRequestEntityTooLarge, response.StatusCode)
	untouched()
	s.want(http.StatusCreated, s.do("PUT", "v1/g/k", strings.Repeat("x", 50), "Content-Encoding", "identity"))
}

// TestBodiesThatDoNotCome: one that is cut off, and one that stops, end with nothing
// written and nothing left running.
func TestBodiesThatDoNotCome(t *testing.T) {
	store := open(t)
	h := inspect.WithBounds(inspect.Handler(store, inspect.WithWrites()), inspect.Bounds{BodyTime: 50 * time.Millisecond})
	server := httptest.NewServer(observed(h))
	defer server.Close()
	for name, end := range map[string]func(net.Conn){
		"cut off": func(c net.Conn) { require.NoError(t, c.(*net.TCPConn).CloseWrite()) },
		"stopped": func(net.Conn) {},
	} {
		connection, err := net.Dial("tcp", server.Listener.Addr().String())
		require.NoError(t, err)
		_, err = io.WriteString(connection, "PUT /v1/g/k HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\nhalf")
		require.NoError(t, err)
		end(connection)
		response, err := http.ReadResponse(bufio.NewReader(connection), nil)
		require.NoError(t, err, name)
		require.Equal(t, http.StatusBadRequest, response.StatusCode, name)
		require.NoError(t, connection.Close())
	}
	n, err := store.CountAll("")
	require.NoError(t, err)
	require.Zero(t, n)
}

// TestRowsOfTheStoresOwn are shown, and not written to.
func TestRowsOfTheStoresOwn(t *testing.T) {
	store := open(t)
	require.NoError(t, store.Tell("address", "message"))
	s := serve(t, store, inspect.WithWrites())
	outbox := "v1/" + inspect.SegmentOf(api.OutboxPrefix+"address")
	a := s.want(http.StatusOK, s.get(outbox))
	require.Contains(t, a.body, `"keys":[{`)
	for _, prefix := range []string{api.OutboxPrefix, api.DeadPrefix, api.TimersPrefix} {
		for _, method := range []string{"PUT", "DELETE", "PATCH"} {
			s.problem(http.StatusForbidden, "reserved", s.do(method, "v1/"+inspect.SegmentOf(prefix+"address")+"/k?"+map[string]string{"PATCH": "ttl=1"}[method], "x"))
		}
	}
}

// TestQuotasHold: a handler of a namespace stays within it, and within its quota.
func TestQuotasHold(t *testing.T) {
	store := open(t)
	require.NoError(t, store.Set("tenant-2:g", "k", "theirs"))
	scope, err := api.NewScopedWithQuota(store, "tenant-1", api.QuotaConfig{MaxKeys: 1})
	require.NoError(t, err)
	s := serve(t, scope, inspect.WithWrites())
	s.want(http.StatusCreated, s.do("PUT", "v1/g/k", "ours"))
	s.problem(http.StatusInsufficientStorage, "quota_exceeded", s.do("PUT", "v1/g/l", "more"))
	value, err := store.Get("tenant-1:g", "k")
	require.NoError(t, err)
	require.Equal(t, "ours", value)
	s.problem(http.StatusNotFound, "not_found", s.get("v1/tenant-2:g/k"))
	require.NotContains(t, s.get("v1/").body, "tenant")
	require.NotContains(t, s.get("ui/tree").body, "tenant")
	require.NotContains(t, s.get("ui/search?q=").body, "theirs")
	require.NotContains(t, s.get("ui/search?q=").body, "tenant")
	require.NotContains(t, s.get("ui/history/g/k").body, "tenant")
	require.Contains(t, s.get("ui/info").body, `"namespace":"tenant-1"`)
	require.JSONEq(t, `{"namespaces":[{"namespace":"tenant-1","keys":1,"groups":1,"max_keys":1}],"uncounted":[],"more":false}`, s.get("ui/namespaces").body)
	require.JSONEq(t, `{"keys":1,"groups":1,"revision":2}`, s.get("ui/stats").body)
	for _, path := range []string{"ui/metrics", "metrics", "vars"} {
		s.problem(http.StatusForbidden, "namespace_only", s.get(path))
	}
	s.problem(http.StatusForbidden, "namespace_only", s.get("ui/listeners"))
	// A cursor of the whole store's is none here.
	whole := serve(t, store)
	require.NoError(t, store.Set("tenant-2:g", "l", "theirs"))
	a := whole.want(http.StatusOK, whole.get("v1/tenant-2:g?limit=1"))
	_, cursor, found := strings.Cut(a.body, `"cursor":"`)
	require.True(t, found, a.body)
	cursor, _, _ = strings.Cut(cursor, `"`)
	s.problem(http.StatusBadRequest, "invalid_cursor", s.get("v1/g?limit=1&cursor="+cursor))
}

// TestCallersThatGo: a request whose caller is gone ends with the context's error, and a
// write that was not admitted is not made.
func TestCallersThatGo(t *testing.T) {
	store := open(t)
	h := inspect.Handler(store, inspect.WithWrites())
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, method := range []string{"GET", "PUT", "DELETE", "PATCH"} {
		r := httptest.NewRequestWithContext(ctx, method, "http://localhost/v1/g/k"+map[string]string{"PATCH": "?ttl=1"}[method], strings.NewReader("x"))
		r.RemoteAddr = "127.0.0.1:5"
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		require.GreaterOrEqual(t, w.Code, 400, method)
	}
	_, err := store.Get("g", "k")
	require.True(t, errors.Is(err, api.NotFoundError))
}
