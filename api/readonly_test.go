package api_test

import (
	"io/fs"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"forge.lthn.ai/core/go-store/api"
	"forge.lthn.ai/core/go-store/internal/testkit"
)

// Beside an owner a read-only store sees what was committed, as it happens.
func TestReadOnlyBesideAnOwner(t *testing.T) {
	path := newPath(t)
	owner := openStore(t, path)
	fill(t, owner, "g", 300)
	reader := openStore(t, path, api.WithReadOnly())
	all, err := reader.GetAll("g")
	require.NoError(t, err)
	require.Len(t, all, 300)
	for i := range 20 {
		require.NoError(t, owner.Set("g", "k", strconv.Itoa(i)))
		requireValue(t, reader, "g", "k", strconv.Itoa(i))
	}
	second := openStore(t, path, api.WithReadOnly())
	require.NoError(t, owner.DeleteGroup("g"))
	requireCount(t, reader, "", 0)
	requireCount(t, second, "", 0)
	require.NoError(t, owner.SetAll([]api.Item{{Group: "a:g", Key: "k"}, {Group: "a:h", Key: "k"}}))
	usage, err := reader.Usage("a")
	require.NoError(t, err)
	require.Equal(t, api.Usage{Keys: 2, Groups: 2}, usage)
}

// And beside one in another process.
func TestReadOnlyBesideAnotherProcess(t *testing.T) {
	path := newPath(t)
	writer := startChild(t, taskWrite, path)
	reader := openStore(t, path, api.WithReadOnly())
	for i := range 100 {
		require.Equal(t, strconv.Itoa(i), writer.line())
		requireValue(t, reader, childGroup, strconv.Itoa(i), strconv.Itoa(i))
	}
	writer.kill()
	requireValue(t, reader, childGroup, "99", "99")
}

// Alone it needs no owner, and leaves the file as it was.
func TestReadOnlyAlone(t *testing.T) {
	path := newPath(t)
	makeStore(t, path)
	before := fingerprint(t, filepath.Dir(path))
	reader := openStore(t, path, api.WithReadOnly())
	requireCount(t, reader, "", 500)
	for name, call := range mutations(reader) {
		err := call()
		require.ErrorIs(t, err, api.ReadOnlyError, name)
		require.EqualError(t, err, "store."+name+": store is read-only")
	}
	for name, call := range mutations(newScope(t, reader, "a", api.QuotaConfig{MaxKeys: 1})) {
		require.ErrorIs(t, call(), api.ReadOnlyError, name)
	}
	for _, watcher := range []*api.Watcher{reader.Watch("*", "*"), reader.WatchActor(nil, "*", "*")} {
		_, open := <-watcher.Events
		require.False(t, open)
		reader.Unwatch(watcher)
	}
	reader.OnChange(func(api.Event) { t.Error("nothing changes here") })()
	require.Zero(t, reader.InFlight())
	require.NoError(t, reader.Close())
	require.ErrorIs(t, reader.Set("g", "k", "v"), api.ClosedError)
	require.Equal(t, before, fingerprint(t, filepath.Dir(path)))
}

func TestReadOnlyOfNoFile(t *testing.T) {
	path := newPath(t)
	err := requireRefused(t, filepath.Dir(path), path, api.WithReadOnly())
	require.ErrorIs(t, err, fs.ErrNotExist)
}

// A read-only store goes by its own clock; it removes nothing.
func TestReadOnlyExpiry(t *testing.T) {
	path, clock := newPath(t), testkit.NewClock()
	owner := openStore(t, path, api.WithClock(clock), api.WithPurgeInterval(time.Hour))
	require.NoError(t, owner.SetWithTTL("a:g", "k", "v", time.Second))
	reader := openStore(t, path, api.WithReadOnly(), api.WithClock(clock))
	requireValue(t, reader, "a:g", "k", "v")
	clock.Advance(time.Second)
	requireNotFound(t, reader, "a:g", "k")
	requireCount(t, reader, "", 0)
	usage, err := reader.Usage("a")
	require.NoError(t, err)
	require.Zero(t, usage)
	removed, err := owner.PurgeExpired()
	require.NoError(t, err)
	require.EqualValues(t, 1, removed)
}

// Its owner may close while it reads: what was committed stays readable.
func TestOwnerClosesBesideReadOnly(t *testing.T) {
	path := newPath(t)
	owner := openStore(t, path)
	require.NoError(t, owner.Set("g", "k", "v"))
	reader := openStore(t, path, api.WithReadOnly())
	requireValue(t, reader, "g", "k", "v")
	require.NoError(t, owner.Close())
	requireValue(t, reader, "g", "k", "v")
	owner = openStore(t, path)
	require.NoError(t, owner.Set("g", "k", "w"))
	requireValue(t, reader, "g", "k", "w")
}
