package scsstore_test

// What scs itself asks of its stores: the tests of its memstore, and those of its session
// manager, with this store in the place of memstore, and the waits in fake time. They
// follow github.com/alexedwards/scs v2.9.0, memstore/memstore_test.go and session_test.go:
// Copyright (c) 2016 Alex Edwards, MIT licence.

import (
	"context"
	"errors"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/alexedwards/scs/v2"
	"github.com/alexedwards/scs/v2/memstore"
	"github.com/stretchr/testify/require"

	scsstore "forge.lthn.ai/core/go-store/contrib/scs"
	"forge.lthn.ai/core/go-store/storetest"
)

// inBubble runs a test in fake time, with a store that lives by it.
func inBubble(t *testing.T, test func(t *testing.T, store *scsstore.Store)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		test(t, scsstore.New(storetest.New(t, storetest.RealClock()).Store, "sessions"))
	})
}

func TestFind(t *testing.T) {
	inBubble(t, func(t *testing.T, store *scsstore.Store) {
		require.NoError(t, store.Commit("session_token", []byte("encoded_data"), time.Now().Add(time.Second)))
		data, found, err := store.Find("session_token")
		require.NoError(t, err)
		require.True(t, found)
		require.Equal(t, []byte("encoded_data"), data)
	})
}

func TestFindMissing(t *testing.T) {
	inBubble(t, func(t *testing.T, store *scsstore.Store) {
		_, found, err := store.Find("missing_session_token")
		require.NoError(t, err)
		require.False(t, found)
	})
}

func TestCommitUpdated(t *testing.T) {
	inBubble(t, func(t *testing.T, store *scsstore.Store) {
		require.NoError(t, store.Commit("session_token", []byte("encoded_data"), time.Now().Add(time.Minute)))
		require.NoError(t, store.Commit("session_token", []byte("new_encoded_data"), time.Now().Add(time.Hour)))
		time.Sleep(2 * time.Minute) // the expiry is the new one too
		data, found, err := store.Find("session_token")
		require.NoError(t, err)
		require.True(t, found)
		require.Equal(t, []byte("new_encoded_data"), data)
	})
}

func TestExpiry(t *testing.T) {
	inBubble(t, func(t *testing.T, store *scsstore.Store) {
		require.NoError(t, store.Commit("session_token", []byte("encoded_data"), time.Now().Add(100*time.Millisecond)))
		_, found, err := store.Find("session_token")
		require.NoError(t, err)
		require.True(t, found)
		time.Sleep(101 * time.Millisecond)
		_, found, err = store.Find("session_token")
		require.NoError(t, err)
		require.False(t, found)
		all, err := store.All()
		require.NoError(t, err)
		require.Empty(t, all)
	})
}

func TestDelete(t *testing.T) {
	inBubble(t, func(t *testing.T, store *scsstore.Store) {
		require.NoError(t, store.Commit("session_token", []byte("encoded_data"), time.Now().Add(time.Second)))
		require.NoError(t, store.Delete("session_token"))
		_, found, err := store.Find("session_token")
		require.NoError(t, err)
		require.False(t, found)
		require.NoError(t, store.Delete("session_token"), "a token that does not exist is no error")
	})
}

// browser sends requests to a handler, and keeps its cookies.
type browser struct {
	handler http.Handler
	jar     http.CookieJar
}

func newBrowser(t *testing.T, handler http.Handler) *browser {
	t.Helper()
	jar, err := cookiejar.New(nil)
	require.NoError(t, err)
	return &browser{handler, jar}
}

func (b *browser) get(path string) (cookie, body string) {
	at := &url.URL{Scheme: "https", Host: "example.com", Path: "/"}
	request := httptest.NewRequest(http.MethodGet, "https://example.com"+path, nil)
	for _, cookie := range b.jar.Cookies(at) {
		request.AddCookie(cookie)
	}
	recorder := httptest.NewRecorder()
	b.handler.ServeHTTP(recorder, request)
	b.jar.SetCookies(at, recorder.Result().Cookies())
	return recorder.Header().Get("Set-Cookie"), recorder.Body.String()
}

func tokenOf(cookie string) string {
	value, _, _ := strings.Cut(cookie, ";")
	_, token, _ := strings.Cut(value, "=")
	return token
}

// site is the handler of scs's own tests.
func site(manager *scs.SessionManager) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/put", func(_ http.ResponseWriter, r *http.Request) {
		manager.Put(r.Context(), "foo", "bar"+r.URL.Query().Get("foo"))
	})
	mux.HandleFunc("/get", func(w http.ResponseWriter, r *http.Request) {
		if !manager.Exists(r.Context(), "foo") {
			http.Error(w, "foo does not exist in session", http.StatusInternalServerError)
			return
		}
		_, _ = w.Write([]byte(manager.GetString(r.Context(), "foo")))
	})
	mux.HandleFunc("/destroy", func(w http.ResponseWriter, r *http.Request) {
		if err := manager.Destroy(r.Context()); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
		}
	})
	mux.HandleFunc("/renew", func(w http.ResponseWriter, r *http.Request) {
		if err := manager.RenewToken(r.Context()); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
		}
	})
	return manager.LoadAndSave(mux)
}

const missing = "foo does not exist in session\n"

func inSite(t *testing.T, test func(t *testing.T, manager *scs.SessionManager, browser *browser)) {
	t.Helper()
	for _, hash := range []bool{false, true} {
		inBubble(t, func(t *testing.T, store *scsstore.Store) {
			manager := scs.New()
			synctest.Wait() // the goroutine of scs's default store can be stopped only once it runs
			manager.Store.(*memstore.MemStore).StopCleanup()
			manager.Store, manager.HashTokenInStore = store, hash
			test(t, manager, newBrowser(t, site(manager)))
		})
	}
}

func TestEnable(t *testing.T) {
	inSite(t, func(t *testing.T, _ *scs.SessionManager, browser *browser) {
		first, _ := browser.get("/put")
		cookie, body := browser.get("/get")
		require.Equal(t, "bar", body)
		require.Empty(t, cookie)
		second, _ := browser.get("/put")
		require.Equal(t, tokenOf(first), tokenOf(second))
	})
}

func TestLifetime(t *testing.T) {
	inSite(t, func(t *testing.T, manager *scs.SessionManager, browser *browser) {
		manager.Lifetime = 500 * time.Millisecond
		cookie, _ := browser.get("/put")
		_, body := browser.get("/get")
		require.Equal(t, "bar", body)
		time.Sleep(time.Second)
		stale := httptest.NewRequest(http.MethodGet, "https://example.com/get", nil)
		stale.AddCookie(&http.Cookie{Name: "session", Value: tokenOf(cookie)}) // a browser that keeps it
		recorder := httptest.NewRecorder()
		browser.handler.ServeHTTP(recorder, stale)
		require.Equal(t, missing, recorder.Body.String())
	})
}

func TestIdleTimeout(t *testing.T) {
	inSite(t, func(t *testing.T, manager *scs.SessionManager, browser *browser) {
		manager.IdleTimeout, manager.Lifetime = 200*time.Millisecond, time.Second
		browser.get("/put")
		time.Sleep(100 * time.Millisecond)
		browser.get("/get")
		time.Sleep(150 * time.Millisecond)
		_, body := browser.get("/get")
		require.Equal(t, "bar", body)
		time.Sleep(200 * time.Millisecond)
		_, body = browser.get("/get")
		require.Equal(t, missing, body)
	})
}

func TestDestroy(t *testing.T) {
	inSite(t, func(t *testing.T, _ *scs.SessionManager, browser *browser) {
		browser.get("/put")
		cookie, _ := browser.get("/destroy")
		require.Contains(t, cookie, "Max-Age=0")
		_, body := browser.get("/get")
		require.Equal(t, missing, body)
	})
}

func TestRenewToken(t *testing.T) {
	inSite(t, func(t *testing.T, manager *scs.SessionManager, browser *browser) {
		first, _ := browser.get("/put")
		second, _ := browser.get("/renew")
		require.NotEqual(t, tokenOf(first), tokenOf(second))
		_, body := browser.get("/get")
		require.Equal(t, "bar", body)
		ctx, err := manager.Load(t.Context(), tokenOf(first))
		require.NoError(t, err)
		require.False(t, manager.Exists(ctx, "foo"), "the old token is of no use any more")
	})
}

func TestIterate(t *testing.T) {
	inSite(t, func(t *testing.T, manager *scs.SessionManager, _ *browser) {
		for _, value := range []string{"0", "1", "2"} {
			newBrowser(t, site(manager)).get("/put?foo=" + value)
		}
		var results []string
		require.NoError(t, manager.Iterate(t.Context(), func(ctx context.Context) error {
			results = append(results, manager.GetString(ctx, "foo"))
			return nil
		}))
		slices.Sort(results)
		require.Equal(t, []string{"bar0", "bar1", "bar2"}, results)
		expected := errors.New("expected error")
		require.Equal(t, expected, manager.Iterate(t.Context(), func(context.Context) error { return expected }))
	})
}
