package certmagicstore_test

import (
	"context"
	"fmt"
	"io/fs"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/certmagic"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"forge.lthn.ai/core/go-store/api"
	certmagicstore "forge.lthn.ai/core/go-store/contrib/certmagic"
	"forge.lthn.ai/core/go-store/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestOddKeys(t *testing.T) {
	s := storetest.New(t)
	storage := certmagicstore.New(s.Store, certmagicstore.Options{Group: "tls"})
	for stored, keys := range map[string][]string{
		"a/b":         {"a/b", "/a/b", "a/b/", "a//b", "./a/./b", "///a///b///"},
		"a\x00b/\x00": {"a\x00b/\x00"}, "\xff\xfe": {"\xff\xfe"}, "*": {"*"}, "a/...": {"a/..."}, "..a/b..": {"..a/b.."},
		strings.Repeat("k", 10_000): {strings.Repeat("k", 10_000)},
	} {
		for i, key := range keys {
			value := []byte(fmt.Sprint(i, "\x00\xff"))
			require.NoError(t, storage.Store(t.Context(), key, value))
			for _, other := range keys {
				got, err := storage.Load(t.Context(), other)
				require.NoError(t, err)
				require.Equal(t, value, got)
			}
			require.NoError(t, storage.Store(t.Context(), key, value))
			got, err := s.GetBytes("tls", stored)
			require.NoError(t, err)
			require.Equal(t, value, got)
			info, err := storage.Stat(t.Context(), key)
			require.NoError(t, err)
			require.Equal(t, stored, info.Key)
		}
	}
	revision, err := s.Revision()
	require.NoError(t, err)
	for _, key := range []string{"..", "../x", "a/../b", "a/.."} {
		refused(t, storage, key)
		_, err := storage.Stat(t.Context(), key)
		require.ErrorIs(t, err, fs.ErrInvalid)
		_, err = storage.List(t.Context(), key, true)
		require.ErrorIs(t, err, fs.ErrInvalid)
		require.False(t, storage.Exists(t.Context(), key))
	}
	for _, key := range []string{"", "/", ".", "//./"} {
		refused(t, storage, key)
		require.True(t, storage.Exists(t.Context(), key), "the root")
	}
	long := strings.Repeat("k", 1<<20)
	require.ErrorIs(t, storage.Store(t.Context(), long, nil), api.TooLargeError)
	require.ErrorIs(t, storage.Store(t.Context(), "k", make([]byte, 17<<20)), api.TooLargeError)
	after, err := s.Revision()
	require.NoError(t, err)
	require.Equal(t, revision, after, "nothing was written")
}

func refused(t *testing.T, storage *certmagicstore.Storage, key string) {
	t.Helper()
	err := storage.Store(t.Context(), key, []byte("x"))
	require.ErrorIs(t, err, fs.ErrInvalid)
	require.ErrorContains(t, err, "certmagicstore.Store: ")
	_, err = storage.Load(t.Context(), key)
	require.ErrorIs(t, err, fs.ErrInvalid)
	require.ErrorIs(t, storage.Delete(t.Context(), key), fs.ErrInvalid)
}

// A key may have a value and be a prefix; Delete takes both, and no neighbour.
func TestDeleteTakesWhatIsBelow(t *testing.T) {
	s := storetest.New(t, storetest.InMemory())
	storage := certmagicstore.New(s.Store, certmagicstore.Options{})
	for _, key := range []string{"a", "a-b", "a0", "aa/x", "b"} {
		require.NoError(t, storage.Store(t.Context(), key, []byte(key)))
	}
	items := []api.Item{}
	for i := range 12_000 {
		items = append(items, api.Item{Group: "certmagic", Key: fmt.Sprintf("a/%d/x", i)})
	}
	require.NoError(t, s.SetAll(items))
	info, err := storage.Stat(t.Context(), "a/7")
	require.NoError(t, err)
	require.Equal(t, certmagic.KeyInfo{Key: "a/7"}, info, "of no known time")
	require.NoError(t, storage.Delete(t.Context(), "a"))
	list, err := storage.List(t.Context(), "", true)
	require.NoError(t, err)
	require.Equal(t, []string{"a-b", "a0", "aa", "aa/x", "b"}, list)
	count, err := s.Count("certmagic:modified")
	require.NoError(t, err)
	require.Equal(t, 4, count)
	require.NoError(t, storage.Delete(t.Context(), "a"))
	require.NoError(t, s.Set("certmagic", "x//y", "not by this package"))
	list, err = storage.List(t.Context(), "", false)
	require.NoError(t, err)
	require.Equal(t, []string{"a-b", "a0", "aa", "b"}, list)
}

func TestModified(t *testing.T) {
	storage := certmagicstore.New(storetest.New(t).Store, certmagicstore.Options{})
	before := time.Now()
	require.NoError(t, storage.Store(t.Context(), "users/old/x", nil))
	require.NoError(t, storage.Store(t.Context(), "users/new/y", nil))
	older, err := storage.Stat(t.Context(), "users/old")
	require.NoError(t, err)
	newer, err := storage.Stat(t.Context(), "users/new")
	require.NoError(t, err)
	require.False(t, older.Modified.Before(before))
	require.False(t, newer.Modified.Before(older.Modified))
	all, err := storage.Stat(t.Context(), "users")
	require.NoError(t, err)
	require.Equal(t, newer.Modified, all.Modified)
}

func TestNamespace(t *testing.T) {
	s := storetest.New(t)
	scoped, err := api.NewScopedWithQuota(s.Store, "tenant", api.QuotaConfig{MaxKeys: 2})
	require.NoError(t, err)
	storage := certmagicstore.New(scoped, certmagicstore.Options{})
	require.NoError(t, storage.Store(t.Context(), "a", nil))
	require.ErrorIs(t, storage.Store(t.Context(), "b", nil), api.QuotaExceededError)
	require.False(t, storage.Exists(t.Context(), "b"))
	require.False(t, certmagicstore.New(s.Store, certmagicstore.Options{}).Exists(t.Context(), "a"))
	require.Equal(t, "certmagicstore:certmagic", storage.String())
}

func TestFailures(t *testing.T) {
	s := storetest.New(t)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	closed, err := api.New(":memory:")
	require.NoError(t, err)
	require.NoError(t, closed.Close())
	for name, failing := range map[string]struct {
		store api.Storer
		ctx   context.Context
		want  error
	}{
		"context": {s.Store, ended, context.Canceled},
		"closed":  {closed, t.Context(), api.ClosedError},
		"nil":     {nil, t.Context(), api.NilStoreError},
	} {
		t.Run(name, func(t *testing.T) {
			storage := certmagicstore.New(failing.store, certmagicstore.Options{})
			require.ErrorIs(t, storage.Store(failing.ctx, "k", nil), failing.want)
			require.ErrorIs(t, storage.Delete(failing.ctx, "k"), failing.want)
			_, err := storage.Load(failing.ctx, "k")
			require.ErrorIs(t, err, failing.want)
			require.NotErrorIs(t, err, fs.ErrNotExist)
			for _, key := range []string{"", "k"} {
				_, err = storage.Stat(failing.ctx, key)
				require.ErrorIs(t, err, failing.want)
				for _, recursive := range []bool{false, true} {
					_, err = storage.List(failing.ctx, key, recursive)
					require.ErrorIs(t, err, failing.want)
				}
			}
			require.False(t, storage.Exists(failing.ctx, "k"))
			if name != "context" {
				require.ErrorIs(t, storage.Lock(failing.ctx, "l"), failing.want)
				_, err = storage.TryLock(failing.ctx, "l")
				require.ErrorIs(t, err, failing.want)
			}
		})
	}
}
