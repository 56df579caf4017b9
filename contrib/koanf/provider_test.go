package koanfstore_test

import (
	"context"
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/knadh/koanf/v2"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"forge.lthn.ai/core/go-store/api"
	koanfstore "forge.lthn.ai/core/go-store/contrib/koanf"
	"forge.lthn.ai/core/go-store/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func set(t testing.TB, store api.Storer, settings map[string]string) {
	t.Helper()
	items := []api.Item{}
	for key, value := range settings {
		items = append(items, api.Item{Group: "config", Key: key, Value: value}, api.Item{Group: "config2", Key: key, Value: "no"})
	}
	require.NoError(t, store.SetAll(items))
}

func TestRead(t *testing.T) {
	s := storetest.New(t)
	scoped, err := api.NewScoped(s.Store, "tenant")
	require.NoError(t, err)
	for _, store := range []api.Storer{s.Store, scoped} {
		set(t, store, map[string]string{"name": "app", "db.host": "localhost", "db.port": "5432", "db.pool.size": "8", "debug": "true", "db-x": "y"})
		require.NoError(t, store.SetWithTTL("config", "gone", "x", 0))
		k := koanf.New(".")
		require.NoError(t, k.Load(koanfstore.Provider(store, "config", koanfstore.Options{Delimiter: "."}), nil))
		require.Equal(t, []string{"db-x", "db.host", "db.pool.size", "db.port", "debug", "name"}, k.Keys())
		require.Equal(t, "localhost", k.String("db.host"))
		require.Equal(t, 5432, k.Int("db.port"))
		require.True(t, k.Bool("debug"))
		var db struct {
			Host string
			Port int
			Pool struct{ Size int }
		}
		require.NoError(t, k.Unmarshal("db", &db))
		require.Equal(t, 8, db.Pool.Size)

		flat, err := koanfstore.Provider(store, "config", koanfstore.Options{}).Read()
		require.NoError(t, err)
		require.Equal(t, "localhost", flat["db.host"])
		empty, err := koanfstore.Provider(store, "nothing", koanfstore.Options{}).Read()
		require.NoError(t, err)
		require.Equal(t, map[string]any{}, empty)
	}
}

// Whatever a key is, koanf finds its setting under that name.
func TestOddKeys(t *testing.T) {
	s := storetest.New(t)
	odd := map[string]string{"a\x00b": "\x00", "\xff\xfe": "\xff", "x/y/": "slashes", "*": "star",
		"q..r": "doubled", ".s": "first", "t.": "last", strings.Repeat("k", 10_000): "long", "u.v.w.x.y.z": "deep"}
	set(t, s.Store, odd)
	k := koanf.New(".")
	require.NoError(t, k.Load(koanfstore.Provider(s.Store, "config", koanfstore.Options{Delimiter: "."}), nil))
	all := map[string]string{}
	for key, value := range k.All() {
		all[key] = value.(string)
	}
	require.Equal(t, odd, all)
	require.NoError(t, s.Set("config", "", "empty")) // which stands before ".s" too
	require.ErrorIs(t, k.Load(koanfstore.Provider(s.Store, "config", koanfstore.Options{Delimiter: "."}), nil), koanfstore.AmbiguousError)
	flat, err := koanfstore.Provider(s.Store, "config", koanfstore.Options{}).Read()
	require.NoError(t, err)
	require.Equal(t, "empty", flat[""])
}

func TestAmbiguous(t *testing.T) {
	s := storetest.New(t)
	for _, keys := range [][]string{{"db", "db.host"}, {"db", "db-x", "db.host"}, {"a.b", "a.b.c.d"}, {"a.", "a"}, {"a..b", "a."}} {
		require.NoError(t, s.DeleteGroup("config"))
		for _, key := range keys {
			require.NoError(t, s.Set("config", key, "v"))
		}
		provider := koanfstore.Provider(s.Store, "config", koanfstore.Options{Delimiter: "."})
		_, err := provider.Read()
		require.ErrorIs(t, err, koanfstore.AmbiguousError, keys)
		require.ErrorContains(t, err, "koanfstore.Read: config/")
		k := koanf.New(".")
		require.ErrorIs(t, k.Load(provider, nil), koanfstore.AmbiguousError)
		require.Empty(t, k.Keys(), "nothing that is half there")
	}
}

func TestValue(t *testing.T) {
	s := storetest.New(t)
	set(t, s.Store, map[string]string{"port": "80", "db.limits": `{"size":3}`})
	options := koanfstore.Options{Delimiter: ".", Value: func(_, value string) (any, error) {
		if n, err := strconv.Atoi(value); err == nil {
			return n, nil
		}
		var of map[string]any
		return of, json.Unmarshal([]byte(value), &of)
	}}
	k := koanf.New(".")
	require.NoError(t, k.Load(koanfstore.Provider(s.Store, "config", options), nil))
	require.Equal(t, 80, k.Get("port"))
	require.Equal(t, 3, k.Int("db.limits.size"))
	require.NoError(t, s.Set("config", "db.limits.size", "4"))
	require.ErrorIs(t, k.Load(koanfstore.Provider(s.Store, "config", options), nil), koanfstore.AmbiguousError)
	require.NoError(t, s.Delete("config", "db.limits.size"))
	require.NoError(t, s.Set("config", "bad", "{"))
	err := k.Load(koanfstore.Provider(s.Store, "config", options), nil)
	var syntax *json.SyntaxError
	require.ErrorAs(t, err, &syntax)
	require.ErrorContains(t, err, "config/bad")
}

func TestDocument(t *testing.T) {
	s := storetest.New(t)
	document := koanfstore.Document(s.Store, "config", "app.json")
	k := koanf.New(".")
	require.ErrorIs(t, k.Load(document, parser{}), api.NotFoundError)
	require.NoError(t, s.Set("config", "app.json", `{"db":{"host":"localhost"}}`))
	require.NoError(t, k.Load(document, parser{}))
	require.Equal(t, "localhost", k.String("db.host"))
	require.ErrorContains(t, k.Load(document, nil), "with a parser")
	require.ErrorContains(t, k.Load(koanfstore.Provider(s.Store, "config", koanfstore.Options{}), parser{}), "no bytes for a parser")
	require.NoError(t, s.Set("config", "app.json", `{"db":`))
	require.Error(t, k.Load(document, parser{}))
	require.Equal(t, "localhost", k.String("db.host"), "what was there stays")
	require.NoError(t, s.Set("config", "", `{"empty":"name"}`))
	require.NoError(t, k.Load(koanfstore.Document(s.Store, "config", ""), parser{}))
	require.Equal(t, "name", k.String("empty"))
}

// calls are what a watching function was called with.
type calls struct {
	sync.Mutex
	revisions []uint64
	errs      []error
}

func (c *calls) add(event any, err error) {
	c.Lock()
	defer c.Unlock()
	if err != nil {
		c.errs = append(c.errs, err)
		return
	}
	if event == nil {
		return
	}
	c.revisions = append(c.revisions, event.(api.Event).Revision)
}

func TestWatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := storetest.New(t, storetest.RealClock())
		provider := koanfstore.Provider(s.Store, "config", koanfstore.Options{Delimiter: "."})
		document := koanfstore.Document(s.Store, "config", "app.json")
		k, seen, ofDocument := koanf.New("."), &calls{}, &calls{}
		require.NoError(t, provider.Watch(func(event any, err error) {
			if err == nil {
				err = k.Load(provider, nil)
			}
			seen.add(event, err)
		}))
		require.ErrorIs(t, provider.Watch(func(any, error) {}), koanfstore.WatchedError)
		require.NoError(t, document.Watch(ofDocument.add))

		require.NoError(t, s.Set("config", "a", "1"))                      // 1
		set(t, s.Store, map[string]string{"b.c": "2", "b.d": "3"})         // 2: one call for one commit
		require.NoError(t, s.Set("other", "app.json", "x"))                // 3: nothing of it
		require.NoError(t, s.Set("config", "app.json", "{}"))              // 4
		require.NoError(t, s.SetWithTTL("config", "e", "4", 1000_000_000)) // 5
		synctest.Wait()
		require.Equal(t, []uint64{1, 2, 4, 5}, seen.revisions)
		require.Equal(t, []uint64{4}, ofDocument.revisions)
		require.Equal(t, "3", k.String("b.d"))
		synctest.Wait()
		s.Kill() // the store ends, and its watchers are told
		synctest.Wait()
		require.Len(t, seen.errs, 1)
		require.ErrorIs(t, seen.errs[0], api.ClosedError)
		require.ErrorContains(t, seen.errs[0], "koanfstore.Watch: ")
		require.Len(t, ofDocument.errs, 1)
		require.ErrorIs(t, provider.Watch(seen.add), api.ClosedError)
	})
}

// Deletions and expiries are changes too.
func TestWatchTellsWhatIsGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := storetest.New(t, storetest.RealClock())
		seen := make(chan api.EventType, 10)
		provider := koanfstore.Provider(s.Store, "config", koanfstore.Options{})
		require.NoError(t, provider.Watch(func(event any, err error) { seen <- event.(api.Event).Type }))
		require.NoError(t, s.SetWithTTL("config", "a", "1", 1_000_000_000))
		require.Equal(t, api.EventSet, <-seen)
		require.Equal(t, api.EventExpire, <-seen) // a second later, of fake time
		require.NoError(t, s.Set("config", "b", "2"))
		require.NoError(t, s.Delete("config", "b"))
		require.Equal(t, api.EventSet, <-seen)
		require.Equal(t, api.EventDelete, <-seen)
		require.NoError(t, s.Set("config", "b", "2"))
		require.NoError(t, s.DeleteGroup("config"))
		require.Equal(t, api.EventSet, <-seen)
		require.Equal(t, api.EventDeleteGroup, <-seen)
		require.NoError(t, provider.Unwatch())
	})
}

// Unwatch ends it, from within too, and it may begin anew.
func TestUnwatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := storetest.New(t, storetest.RealClock())
		provider := koanfstore.Provider(s.Store, "config", koanfstore.Options{})
		require.NoError(t, provider.Unwatch(), "of no Watch")
		seen := &calls{}
		for range 3 {
			require.NoError(t, provider.Watch(func(event any, err error) {
				seen.add(event, err)
				seen.add(nil, provider.Unwatch())
			}))
			require.NoError(t, s.Set("config", "a", "1"))
			synctest.Wait()
			require.NoError(t, s.Set("config", "a", "2"))
			synctest.Wait()
			require.Len(t, seen.revisions, 1, "the second is not told of")
			seen.revisions = nil
			require.NoError(t, provider.Unwatch())
			require.NoError(t, provider.Unwatch())
		}
		require.Empty(t, seen.errs)
	})
}

// A function that is slower than the changes ends with the last one, and holds no caller up.
func TestSlowWatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := storetest.New(t, storetest.RealClock(), storetest.InMemory())
		provider, k := koanfstore.Provider(s.Store, "config", koanfstore.Options{}), koanf.New(".")
		busy, count := make(chan struct{}), 0
		require.NoError(t, provider.Watch(func(_ any, err error) {
			require.NoError(t, err)
			<-busy
			count++
			require.NoError(t, k.Load(provider, nil))
		}))
		for i := range 2000 {
			require.NoError(t, s.Set("config", "a", strconv.Itoa(i)))
		}
		close(busy)
		synctest.Wait()
		require.LessOrEqual(t, count, 2000)
		require.Equal(t, "1999", k.String("a"))
		require.NoError(t, provider.Unwatch())
	})
}

func TestFailures(t *testing.T) {
	s := storetest.New(t)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	closed, err := api.New(":memory:")
	require.NoError(t, err)
	require.NoError(t, closed.Close())
	never := func(any, error) { panic("it is not to be called") }
	for name, failing := range map[string]struct {
		store api.Storer
		want  error
	}{
		"context": {s.WithContext(ended), context.Canceled},
		"closed":  {closed, api.ClosedError},
		"nil":     {nil, api.NilStoreError},
		"nil too": {(*api.ScopedStore)(nil), api.NilStoreError},
	} {
		provider, document := koanfstore.Provider(failing.store, "config", koanfstore.Options{}), koanfstore.Document(failing.store, "config", "k")
		_, err := provider.Read()
		require.ErrorIs(t, err, failing.want, name)
		_, err = document.ReadBytes()
		require.ErrorIs(t, err, failing.want, name)
		if name != "context" {
			require.ErrorIs(t, provider.Watch(never), failing.want, name)
			require.ErrorIs(t, document.Watch(never), failing.want, name)
		}
	}
	require.ErrorIs(t, koanfstore.Provider(s.Store, "config", koanfstore.Options{}).Watch(nil), api.InvalidOptionError)
	require.True(t, errors.Is(koanfstore.Provider(nil, "", koanfstore.Options{}).Watch(never), api.NilStoreError))
}
