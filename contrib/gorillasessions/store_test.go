package gorillasessions_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/securecookie"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"forge.lthn.ai/core/go-store/api"
	"forge.lthn.ai/core/go-store/contrib/gorillasessions"
	"forge.lthn.ai/core/go-store/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var key = []byte("0123456789abcdef0123456789abcdef")

// saved makes a session with a value and returns its cookie.
func saved(t *testing.T, store *gorillasessions.Store, value any) string {
	t.Helper()
	r, w := request(), httptest.NewRecorder()
	session, err := store.Get(r, "s")
	require.NoError(t, err)
	require.True(t, session.IsNew)
	session.Values["v"] = value
	require.NoError(t, session.Save(r, w))
	return w.Header().Get("Set-Cookie")
}

func TestSessionsExpire(t *testing.T) {
	s := storetest.New(t)
	store := gorillasessions.New(s.Store, "sessions", key)
	store.MaxAge(60)
	cookie := saved(t, store, 1)
	require.Contains(t, cookie, "Max-Age=60")
	require.Contains(t, cookie, "HttpOnly")
	require.Contains(t, cookie, "SameSite=Lax")
	s.Advance(50 * time.Second)
	r, w := request(cookie), httptest.NewRecorder()
	session, err := store.Get(r, "s")
	require.NoError(t, err)
	require.False(t, session.IsNew)
	require.NoError(t, session.Save(r, w))
	s.Advance(50 * time.Second) // each Save begins its time anew
	session, err = store.Get(request(cookie), "s")
	require.NoError(t, err)
	require.False(t, session.IsNew)
	old := session.ID
	s.Advance(10 * time.Second)
	session, err = store.Get(request(cookie), "s")
	require.NoError(t, err)
	require.True(t, session.IsNew)
	require.Empty(t, session.Values)
	require.NoError(t, session.Save(request(), httptest.NewRecorder()))
	require.NotEqual(t, old, session.ID, "an old number is not used again")

	session.Options.MaxAge = int(^uint(0) >> 1) // more than a time to live can say
	require.NoError(t, session.Save(request(), httptest.NewRecorder()))
	s.Advance(24 * time.Hour)
	exists, err := s.Exists("sessions", session.ID)
	require.NoError(t, err)
	require.True(t, exists)
}

// What was ended by one request is not brought back by another that was under way.
func TestEndedSessionsStayEnded(t *testing.T) {
	s := storetest.New(t)
	store := gorillasessions.New(s.Store, "sessions", key)
	cookie := saved(t, store, "ada")
	slow, err := store.Get(request(cookie), "s")
	require.NoError(t, err)
	logout, err := store.Get(request(cookie), "s")
	require.NoError(t, err)
	logout.Options.MaxAge = -1
	w := httptest.NewRecorder()
	require.NoError(t, logout.Save(request(), w))
	require.Contains(t, w.Header().Get("Set-Cookie"), "Max-Age=0")
	w = httptest.NewRecorder()
	require.ErrorIs(t, slow.Save(request(), w), gorillasessions.EndedError)
	require.Empty(t, w.Header())
	session, err := store.Get(request(cookie), "s")
	require.NoError(t, err)
	require.True(t, session.IsNew)
	require.Empty(t, session.Values)

	logout.Options.MaxAge = 60 // saved again, it is another one
	require.NoError(t, logout.Save(request(), httptest.NewRecorder()))
	session, err = store.Get(request(cookie), "s")
	require.NoError(t, err)
	require.True(t, session.IsNew)
}

// Nor is it brought back by the request that made it, and saves it again: to that one it is new.
func TestNewSessionsStayEnded(t *testing.T) {
	s := storetest.New(t)
	store := gorillasessions.New(s.Store, "sessions", key)
	maker, w := request(), httptest.NewRecorder()
	made, err := store.Get(maker, "s")
	require.NoError(t, err)
	require.NoError(t, made.Save(maker, w))
	cookie := w.Header().Get("Set-Cookie")
	require.NoError(t, made.Save(maker, httptest.NewRecorder()), "it is there")
	require.True(t, made.IsNew, "as with gorilla's own stores: handlers ask for it after a Save too")
	logout, err := store.Get(request(cookie), "s")
	require.NoError(t, err)
	require.False(t, logout.IsNew)
	logout.Options.MaxAge = -1
	require.NoError(t, logout.Save(request(), httptest.NewRecorder()))
	w = httptest.NewRecorder()
	require.ErrorIs(t, made.Save(maker, w), gorillasessions.EndedError)
	require.Empty(t, w.Header())
	session, err := store.Get(request(cookie), "s")
	require.NoError(t, err)
	require.True(t, session.IsNew)
	require.Empty(t, session.Values)
}

func TestCookiesOfOthers(t *testing.T) {
	s := storetest.New(t)
	store := gorillasessions.New(s.Store, "sessions", key)
	require.NoError(t, s.Set("sessions", "guessed", "no session"))
	revision, err := s.Revision()
	require.NoError(t, err)
	forged := func(name string, value any, keys ...[]byte) string {
		cookie, err := securecookie.EncodeMulti(name, value, securecookie.CodecsFromPairs(keys...)...)
		require.NoError(t, err)
		return "s=" + cookie
	}
	other := []byte("another key, another key, anothe")
	for name, cookie := range map[string]string{
		"empty": "s=", "text": "s=guessed", "NUL": "s=\x00", "invalid UTF-8": "s=\xff\xfe", "path": "s=../../etc/passwd",
		"long": "s=" + strings.Repeat("x", 10_000), "other key": forged("s", "guessed", other),
		"other name": forged("t", "guessed", key), "no number": forged("s", map[any]any{"v": 1}, key),
		"not a session": forged("s", "guessed", key),
	} {
		session, err := store.Get(request(cookie), "s")
		require.NotNil(t, session, name)
		require.True(t, session.IsNew, name)
		require.Empty(t, session.ID, name)
		require.Empty(t, session.Values, name)
		if name != "NUL" && name != "invalid UTF-8" { // net/http does not see those as cookies
			require.ErrorContains(t, err, "gorillasessions.New: ", name)
		}
	}
	for _, cookie := range []string{forged("s", "", key), forged("s", "none", key), forged("s", "a/b\x00\xff", key)} {
		session, err := store.Get(request(cookie), "s")
		require.NoError(t, err)
		require.True(t, session.IsNew)
	}
	after, err := s.Revision()
	require.NoError(t, err)
	require.Equal(t, revision, after, "nothing was written")
}

// Keys are rotated: the first pair signs, all of them are believed.
func TestKeyRotation(t *testing.T) {
	s := storetest.New(t)
	cookie := saved(t, gorillasessions.New(s.Store, "sessions", key), "ada")
	session, err := gorillasessions.New(s.Store, "sessions", []byte("new key"), nil, key).Get(request(cookie), "s")
	require.NoError(t, err)
	require.Equal(t, "ada", session.Values["v"])
}

// A session that can't be written has no cookie, and leaves what there was.
func TestSaveFails(t *testing.T) {
	s := storetest.New(t)
	scoped, err := api.NewScopedWithQuota(s.Store, "tenant", api.QuotaConfig{MaxKeys: 1})
	require.NoError(t, err)
	store := gorillasessions.New(scoped, "sessions", key)
	cookie := saved(t, store, "ada")
	stored, err := store.Get(request(cookie), "s")
	require.NoError(t, err)
	revision, err := s.Revision()
	require.NoError(t, err)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	closed, err := api.New(":memory:")
	require.NoError(t, err)
	require.NoError(t, closed.Close())
	for name, failing := range map[string]struct {
		store *gorillasessions.Store
		r     *http.Request
		value any
		want  error
	}{
		"quota":     {store, request(), 1, api.QuotaExceededError},
		"too long":  {store, request(cookie), make([]byte, 5000), gorillasessions.TooLongError},
		"context":   {store, request(cookie).WithContext(ended), 1, context.Canceled},
		"closed":    {gorillasessions.New(closed, "sessions", key), request(cookie), 1, api.ClosedError},
		"nil store": {gorillasessions.New(nil, "sessions", key), request(cookie), 1, api.NilStoreError},
		"no keys":   {gorillasessions.New(s.Store, "sessions"), request(), 1, nil},
		"channel":   {store, request(), make(chan int), nil},
		"unknown":   {store, request(cookie), struct{ unregistered int }{1}, nil},
	} {
		session, err := failing.store.New(failing.r, "s")
		require.NotNil(t, session, name)
		if name == "context" || name == "closed" || name == "nil store" {
			require.ErrorIs(t, err, failing.want, name)
			require.NotContains(t, err.Error(), stored.ID, "errors are logged")
			require.True(t, session.IsNew)
		}
		session.Values["v"] = failing.value
		w := httptest.NewRecorder()
		err = session.Save(failing.r, w)
		require.ErrorContains(t, err, "gorillasessions.Save: ", name)
		if failing.want != nil {
			require.ErrorIs(t, err, failing.want, name)
		}
		require.Empty(t, w.Header(), name)
	}
	after, err := s.Revision()
	require.NoError(t, err)
	require.Equal(t, revision, after)
	session, err := store.Get(request(cookie), "s")
	require.NoError(t, err)
	require.Equal(t, "ada", session.Values["v"])
}

// Sessions outlive the process.
func TestKill(t *testing.T) {
	s := storetest.New(t)
	cookie := saved(t, gorillasessions.New(s.Store, "sessions", key), "ada")
	s.Kill()
	session, err := gorillasessions.New(s.Store, "sessions", key).Get(request(cookie), "s")
	require.NoError(t, err)
	require.Equal(t, "ada", session.Values["v"])
}

// A session without values can be given some when it is read again.
func TestEmptySession(t *testing.T) {
	store := gorillasessions.New(storetest.New(t).Store, "sessions", key)
	for _, values := range []map[any]any{nil, {}} {
		r, w := request(), httptest.NewRecorder()
		session, err := store.Get(r, "s")
		require.NoError(t, err)
		session.Values = values
		require.NoError(t, session.Save(r, w))
		session, err = store.Get(request(w.Header().Get("Set-Cookie")), "s")
		require.NoError(t, err)
		require.False(t, session.IsNew)
		session.Values["v"] = 1
	}
}
