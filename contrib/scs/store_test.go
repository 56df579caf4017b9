package scsstore_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"forge.lthn.ai/core/go-store/api"
	scsstore "forge.lthn.ai/core/go-store/contrib/scs"
	"forge.lthn.ai/core/go-store/storetest"
)

// odd is what tokens are not, but may be sent as.
var odd = []string{"", "*", "\x00", "a\x00b", "\xff\xfe", "../../etc/passwd", "a/b//c/", "a:b", strings.Repeat("t", 10_000)}

func TestOddTokens(t *testing.T) {
	s := storetest.New(t)
	require.NoError(t, s.Set("other", "k", "not a session"))
	store := scsstore.New(s.Store, "sessions")
	later := s.Clock().Now().Add(time.Hour)
	for i, token := range odd {
		_, found, err := store.Find(token)
		require.NoError(t, err)
		require.False(t, found)
		require.NoError(t, store.Commit(token, []byte{byte(i), 0, 0xFF}, later))
	}
	all, err := store.All()
	require.NoError(t, err)
	require.Len(t, all, len(odd))
	for i, token := range odd {
		data, found, err := store.Find(token)
		require.NoError(t, err)
		require.True(t, found)
		require.Equal(t, []byte{byte(i), 0, 0xFF}, data)
		require.Equal(t, data, all[token])
		require.NoError(t, store.Delete(token))
	}
	all, err = store.All()
	require.NoError(t, err)
	require.NotNil(t, all)
	require.Empty(t, all)
	tooLong := strings.Repeat("t", 1<<20)
	_, found, err := store.Find(tooLong)
	require.NoError(t, err, "a token that nothing can have is malformed, no failure")
	require.False(t, found)
	require.NoError(t, store.Delete(tooLong))
	require.ErrorIs(t, store.Commit(tooLong, nil, later), api.TooLargeError)
	count, err := s.CountAll("")
	require.NoError(t, err)
	require.Equal(t, 1, count, "the other group's")
}

// The slices are the caller's on both sides.
func TestSlices(t *testing.T) {
	s := storetest.New(t)
	store := scsstore.New(s.Store, "sessions")
	data := []byte("first")
	require.NoError(t, store.Commit("t", data, s.Clock().Now().Add(time.Hour)))
	copy(data, "XXXXX")
	for range 2 {
		got, found, err := store.Find("t")
		require.NoError(t, err)
		require.True(t, found)
		require.Equal(t, "first", string(got))
		copy(got, "YYYYY")
	}
}

func TestDeadlines(t *testing.T) {
	s := storetest.New(t)
	store, now := scsstore.New(s.Store, "sessions"), s.Clock().Now()
	for name, past := range map[string]time.Time{"now": now, "past": now.Add(-time.Hour), "zero": {}, "epoch": time.Unix(0, 0)} {
		require.NoError(t, store.Commit("t", []byte("x"), now.Add(time.Hour)))
		require.NoError(t, store.Commit("t", []byte("y"), past), name)
		_, found, err := store.Find("t")
		require.NoError(t, err)
		require.False(t, found, name)
	}
	require.NoError(t, store.Commit("t", []byte("x"), now.Add(time.Hour)))
	require.ErrorIs(t, store.Commit("t", []byte("y"), now.AddDate(9000, 0, 0)), api.InvalidDeadlineError)
	data, found, err := store.Find("t")
	require.NoError(t, err)
	require.True(t, found)
	require.Equal(t, "x", string(data), "what was refused has changed nothing")
	s.Advance(time.Hour)
	_, found, err = store.Find("t")
	require.NoError(t, err)
	require.False(t, found)
}

// Sessions outlive the process, as they were acknowledged.
func TestKill(t *testing.T) {
	s := storetest.New(t)
	require.NoError(t, scsstore.New(s.Store, "sessions").Commit("t", []byte("x"), s.Clock().Now().Add(time.Hour)))
	s.Kill()
	data, found, err := scsstore.New(s.Store, "sessions").Find("t")
	require.NoError(t, err)
	require.True(t, found)
	require.Equal(t, "x", string(data))
}

func TestNamespace(t *testing.T) {
	s := storetest.New(t)
	scoped, err := api.NewScopedWithQuota(s.Store, "tenant", api.QuotaConfig{MaxKeys: 1})
	require.NoError(t, err)
	store, later := scsstore.New(scoped, "sessions"), s.Clock().Now().Add(time.Hour)
	require.NoError(t, store.Commit("1", nil, later))
	require.ErrorIs(t, store.Commit("2", nil, later), api.QuotaExceededError)
	_, found, err := scsstore.New(s.Store, "sessions").Find("1")
	require.NoError(t, err)
	require.False(t, found)
}

func TestFailures(t *testing.T) {
	s := storetest.New(t)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	closed, err := api.New(":memory:")
	require.NoError(t, err)
	require.NoError(t, closed.Close())
	for name, failing := range map[string]struct {
		store *scsstore.Store
		ctx   context.Context
		want  error
	}{
		"context":   {scsstore.New(s.Store, "sessions"), ended, context.Canceled},
		"closed":    {scsstore.New(closed, "sessions"), t.Context(), api.ClosedError},
		"nil":       {scsstore.New(nil, "sessions"), t.Context(), api.NilStoreError},
		"nil store": {scsstore.New((*api.Store)(nil), "sessions"), t.Context(), api.NilStoreError},
	} {
		t.Run(name, func(t *testing.T) {
			_, found, err := failing.store.FindCtx(failing.ctx, "secret-token")
			require.ErrorIs(t, err, failing.want)
			require.NotContains(t, err.Error(), "secret-token", "errors are logged")
			require.False(t, found)
			err = failing.store.CommitCtx(failing.ctx, "secret-token", []byte("x"), s.Clock().Now().Add(time.Hour))
			require.NotContains(t, err.Error(), "secret-token")
			require.ErrorIs(t, err, failing.want)
			require.ErrorContains(t, err, "scsstore.Commit: ")
			require.ErrorIs(t, failing.store.CommitCtx(failing.ctx, "t", []byte("x"), time.Time{}), failing.want)
			require.ErrorIs(t, failing.store.DeleteCtx(failing.ctx, "t"), failing.want)
			_, err = failing.store.AllCtx(failing.ctx)
			require.ErrorIs(t, err, failing.want)
		})
	}
	revision, err := s.Revision()
	require.NoError(t, err)
	require.Zero(t, revision, "nothing was written")
}
