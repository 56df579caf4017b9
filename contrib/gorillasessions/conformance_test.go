package gorillasessions_test

// What gorilla/sessions asks of its own stores, of this one. The tests follow
// github.com/gorilla/sessions v1.4.0, sessions_test.go and store_test.go: Copyright (c) 2024
// The Gorilla Authors, BSD-3-Clause licence.

import (
	"encoding/base64"
	"encoding/gob"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/gorilla/sessions"
	"github.com/stretchr/testify/require"

	"forge.lthn.ai/core/go-store/contrib/gorillasessions"
	"forge.lthn.ai/core/go-store/storetest"
)

type FlashMessage struct {
	Type    int
	Message string
}

func init() { gob.Register(FlashMessage{}) }

func request(cookies ...string) *http.Request {
	r := httptest.NewRequest(http.MethodGet, "http://localhost:8080/", nil)
	for _, cookie := range cookies {
		r.Header.Add("Cookie", cookie)
	}
	return r
}

func TestFlashes(t *testing.T) {
	store := gorillasessions.New(storetest.New(t).Store, "sessions", []byte("secret-key"))
	r, w := request(), httptest.NewRecorder()
	session, err := store.Get(r, "session-key")
	require.NoError(t, err)
	require.Empty(t, session.Flashes())
	session.AddFlash("foo")
	session.AddFlash("bar")
	session.AddFlash("baz", "custom_key")
	require.NoError(t, sessions.Save(r, w))
	cookies := w.Header()["Set-Cookie"]
	require.Len(t, cookies, 1)
	_, err = store.Get(r, "session:key")
	require.EqualError(t, err, "sessions: invalid character in cookie name: session:key")

	session, err = store.Get(request(cookies[0]), "session-key")
	require.NoError(t, err)
	require.Equal(t, []any{"foo", "bar"}, session.Flashes())
	require.Empty(t, session.Flashes())
	require.Equal(t, []any{"baz"}, session.Flashes("custom_key"))
	require.Empty(t, session.Flashes("custom_key"))

	r, w = request(), httptest.NewRecorder()
	session, err = store.Get(r, "session-key")
	require.NoError(t, err)
	require.Empty(t, session.Flashes())
	session.AddFlash(&FlashMessage{42, "foo"})
	require.NoError(t, sessions.Save(r, w))
	cookies = w.Header()["Set-Cookie"]
	require.Len(t, cookies, 1)
	session, err = store.Get(request(cookies[0]), "session-key")
	require.NoError(t, err)
	require.Equal(t, []any{FlashMessage{42, "foo"}}, session.Flashes())

	r = request() // a shallow copy of a request has the same session
	session, err = store.Get(r, "session-key")
	require.NoError(t, err)
	session.Values["test"] = "test-value"
	session, err = store.Get(r.WithContext(r.Context()), "session-key")
	require.NoError(t, err)
	require.Equal(t, "test-value", session.Values["test"])
}

func TestCookieStoreMapPanic(t *testing.T) {
	store := gorillasessions.New(storetest.New(t).Store, "sessions", []byte("aaa0defe5d2839cbc46fc4f080cd7adc"))
	r, w := request(), httptest.NewRecorder()
	session := sessions.NewSession(store, "hello")
	session.Options = nil // the store's
	session.Values["data"] = "hello-world"
	require.NoError(t, session.Save(r, w))
	session, err := store.Get(request(w.Header().Get("Set-Cookie")), "hello")
	require.NoError(t, err)
	require.Equal(t, "hello-world", session.Values["data"])
}

func TestGH8FilesystemStore(t *testing.T) {
	store := gorillasessions.New(storetest.New(t).Store, "sessions")
	session, err := store.New(request(), "hello")
	require.NoError(t, err)
	store.Options.Path = "/foo"
	require.Equal(t, "/", session.Options.Path)
}

func TestGH2MaxLength(t *testing.T) {
	store := gorillasessions.New(storetest.New(t).Store, "sessions", []byte("some key"))
	session, err := store.New(request(), "my-session")
	require.NoError(t, err)
	session.Values["big"] = make([]byte, base64.StdEncoding.DecodedLen(4096*2))
	require.ErrorIs(t, session.Save(request(), httptest.NewRecorder()), gorillasessions.TooLongError)
	store.MaxLength(4096 * 3)
	require.NoError(t, session.Save(request(), httptest.NewRecorder()))
}

func TestGH8FilesystemStoreDelete(t *testing.T) {
	for _, age := range []int{-1, 0} {
		s := storetest.New(t)
		store := gorillasessions.New(s.Store, "sessions", []byte("some key"))
		session, err := store.New(request(), "hello")
		require.NoError(t, err)
		w := httptest.NewRecorder()
		require.NoError(t, session.Save(request(), w))
		count, err := s.Count("sessions")
		require.NoError(t, err)
		require.Equal(t, 1, count)
		session.Options.MaxAge = age
		require.NoError(t, session.Save(request(), w))
		count, err = s.Count("sessions")
		require.NoError(t, err)
		require.Zero(t, count)
		require.NoError(t, session.Save(request(), w), "ended twice")
	}
}
