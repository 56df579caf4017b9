package api_test

import (
	"context"
	"errors"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"forge.lthn.ai/core/go-store/api"
	"forge.lthn.ai/core/go-store/internal/testkit"
)

type user struct {
	Name  string
	Roles []string
	Photo []byte
}

var ada = user{Name: "Ada <&>", Roles: []string{"admin", "ops"}, Photo: []byte("\x00\xff\xfe")}

// Every codec brings back what it was given, by every way of reading.
func TestTypedRoundTrips(t *testing.T) {
	forEachHandle(t, func(t *testing.T, store handle) {
		roundTrips(t, store, api.JSON[user](), []user{{}, ada})
		roundTrips(t, store, api.JSON[map[string]any](), []map[string]any{nil, {"a": []any{1.5, "x", nil}}})
		roundTrips(t, store, api.JSON[*user](), []*user{nil, {Name: "Ada"}})
		roundTrips(t, store, api.Gob[user](), []user{{}, ada})
		roundTrips(t, store, api.Gob[int64](), []int64{0, -1, 1 << 60})
		roundTrips(t, store, api.Text(), []string{"", allBytes(), strings.Repeat("x", 100_000)})
		roundTrips(t, store, api.Bytes(), [][]byte{{}, []byte(allBytes()), make([]byte, 100_000)})
		roundTrips(t, store, api.NewCodec(
			func(d time.Duration) ([]byte, error) { return []byte(d.String()), nil },
			func(data []byte) (time.Duration, error) { return time.ParseDuration(string(data)) },
		), []time.Duration{0, time.Hour, -time.Second})
	})
}

func roundTrips[T any](t *testing.T, handle handle, codec api.Codec[T], values []T) {
	t.Helper()
	store := handle.(api.Storer)
	require.NoError(t, store.DeleteGroup("typed"))
	typed := api.Of(store, "typed", codec)
	require.Equal(t, "typed", typed.Group())
	for _, value := range values {
		for _, key := range strange {
			require.NoError(t, typed.Set(key, value))
			got, err := typed.Get(key)
			require.NoError(t, err)
			require.Equal(t, value, got)
		}
		entry, err := typed.Entry("NUL")
		require.ErrorIs(t, err, api.NotFoundError)
		require.Zero(t, entry)
		entry, err = typed.Entry(strange["NUL"])
		require.NoError(t, err)
		require.Equal(t, value, entry.Value)
		revision, err := typed.CompareAndSet(strange["NUL"], value, entry.Revision)
		require.NoError(t, err)
		require.Greater(t, revision, entry.Revision)
		keys := 0
		for entry, err := range typed.All() {
			require.NoError(t, err)
			require.Equal(t, value, entry.Value)
			require.NotZero(t, entry.Revision)
			keys++
		}
		require.Equal(t, len(distinct(strange)), keys)
		text, err := typed.Encode("k", value)
		require.NoError(t, err)
		again, err := typed.Decode("k", text)
		require.NoError(t, err)
		require.Equal(t, value, again)
	}
}

func distinct(of map[string]string) map[string]bool {
	values := map[string]bool{}
	for _, value := range of {
		values[value] = true
	}
	return values
}

func TestTypedProto(t *testing.T) {
	store := openStore(t, ":memory:")
	typed := api.Of(store, "g", api.Proto[*wrapperspb.StringValue]())
	require.NoError(t, typed.Set("k", wrapperspb.String("Ada")))
	require.NoError(t, typed.Set("none", nil))
	got, err := typed.Get("k")
	require.NoError(t, err)
	require.True(t, proto.Equal(wrapperspb.String("Ada"), got))
	got, err = typed.Get("none")
	require.NoError(t, err)
	require.True(t, proto.Equal(wrapperspb.String(""), got))

	require.NoError(t, store.Set("g", "broken", "\xff"))
	got, err = typed.Get("broken")
	requireCodecError(t, err, "g", "broken", true)
	require.Nil(t, got)
	require.Error(t, typed.Set("k", wrapperspb.String("\xff")), "no UTF-8")

	anyOf := api.Of(store, "g", api.Proto[proto.Message]())
	_, err = anyOf.Get("k")
	requireCodecError(t, err, "g", "k", true)
}

func requireCodecError(t *testing.T, err error, group, key string, decoding bool) {
	t.Helper()
	var codec *api.CodecError
	require.ErrorAs(t, err, &codec)
	require.Equal(t, group, codec.Group)
	require.Equal(t, key, codec.Key)
	require.Equal(t, decoding, codec.Decoding)
	require.ErrorIs(t, err, codec.Err)
	require.ErrorContains(t, err, "store.")
	require.ErrorContains(t, err, group+"/"+key+": ")
}

// halfway is a codec that appends something and then fails, or panics.
type halfway struct{ panics bool }

func (h halfway) Append(buffer []byte, value string) ([]byte, error) {
	buffer = append(buffer, "half of "+value...)
	if h.panics {
		panic("the codec is broken")
	}
	return buffer, io.ErrShortWrite
}

func (h halfway) Decode(data []byte) (string, error) {
	if h.panics {
		panic("the codec is broken")
	}
	return "half of " + string(data), io.ErrUnexpectedEOF
}

// A codec that fails half-way, or panics, has nothing written, whatever the way, and
// a value of which half is there is not returned.
func TestTypedCodecFails(t *testing.T) {
	forEachHandle(t, func(t *testing.T, handle handle) {
		store := handle.(api.Storer)
		require.NoError(t, store.Set("g", "k", "v"))
		before, err := store.Entry("g", "k")
		require.NoError(t, err)
		revision, err := store.Revision()
		require.NoError(t, err)
		for _, panics := range []bool{false, true} {
			typed := api.Of[string](store, "g", halfway{panics})
			for name, write := range map[string]func() error{
				"Set":           func() error { return typed.Set("k", "new") },
				"SetWithTTL":    func() error { return typed.SetWithTTL("k", "new", time.Hour) },
				"SetIfAbsent":   func() error { _, err := typed.SetIfAbsent("other", "new"); return err },
				"CompareAndSet": func() error { _, err := typed.CompareAndSet("k", "new", before.Revision); return err },
				"Update, absent": func() error {
					_, err := typed.Update("other", func(string, bool) (string, error) { return "new", nil })
					return err
				},
				"Encode": func() error { _, err := typed.Encode("k", "new"); return err },
				"Get":    func() error { _, err := typed.Get("k"); return err },
				"Update": func() error {
					_, err := typed.Update("k", func(string, bool) (string, error) { return "new", nil })
					return err
				},
				"Entry": func() error {
					entry, err := typed.Entry("k")
					require.Empty(t, entry.Value)
					return err
				},
			} {
				if panics {
					require.PanicsWithValue(t, "the codec is broken", func() { _ = write() }, name)
					continue
				}
				err := write()
				var codec *api.CodecError
				require.ErrorAs(t, err, &codec, name)
				requireCodecError(t, err, "g", codec.Key, codec.Decoding)
				if codec.Decoding {
					require.ErrorIs(t, err, io.ErrUnexpectedEOF, name)
				} else {
					require.ErrorIs(t, err, io.ErrShortWrite, name)
				}
				function, _, _ := strings.Cut(name, ",")
				require.ErrorContains(t, err, "store."+function+": g/"+codec.Key+": ", name)
			}
		}
		after, err := store.Entry("g", "k")
		require.NoError(t, err)
		require.Equal(t, before, after)
		now, err := store.Revision()
		require.NoError(t, err)
		require.Equal(t, revision, now)
		requireValue(t, handle, "g", "k", "v")
		_, err = store.Get("g", "other")
		require.ErrorIs(t, err, api.NotFoundError)
	})
}

func TestTypedBadText(t *testing.T) {
	store := openStore(t, ":memory:")
	for text, typed := range map[string]interface {
		Decode(key, text string) (user, error)
	}{
		"":                             api.Of(store, "g", api.JSON[user]()),
		`{"Name":"Ada"`:                api.Of(store, "g", api.JSON[user]()),
		`{"Name":"Ada"} {}`:            api.Of(store, "g", api.JSON[user]()),
		`{"Name":1}`:                   api.Of(store, "g", api.JSON[user]()),
		"\xff":                         api.Of(store, "g", api.Gob[user]()),
		gobOf(t, ada) + "x":            api.Of(store, "g", api.Gob[user]()),
		gobOf(t, ada)[:20]:             api.Of(store, "g", api.Gob[user]()),
		gobOf(t, map[string]int{}):     api.Of(store, "g", api.Gob[user]()),
		strings.Repeat("\x7f", 10_000): api.Of(store, "g", api.Gob[user]()),
		"no function":                  api.Of(store, "g", api.NewCodec[user](nil, nil)),
	} {
		got, err := typed.Decode("k", text)
		requireCodecError(t, err, "g", "k", true)
		require.Zero(t, got, "nothing that is half there")
	}
	requireCodecError(t, api.Of(store, "g", api.JSON[chan int]()).Set("k", nil), "g", "k", false)
	requireCodecError(t, api.Of(store, "g", api.Gob[chan int]()).Set("k", nil), "g", "k", false)
	requireCodecError(t, api.Of(store, "g", api.Gob[*user]()).Set("k", nil), "g", "k", false)
	requireCodecError(t, api.Of(store, "g", api.NewCodec[user](nil, nil)).Set("k", ada), "g", "k", false)
}

func gobOf[T any](t *testing.T, value T) string {
	t.Helper()
	text, err := api.Of(openStore(t, ":memory:"), "g", api.Gob[T]()).Encode("k", value)
	require.NoError(t, err)
	return text
}

// A value that can't be decoded is told where it comes, and what is behind it still comes.
func TestTypedTellsEachBadValue(t *testing.T) {
	forEachHandle(t, func(t *testing.T, handle handle) {
		store := handle.(api.Storer)
		typed := api.Of(store, "users", api.JSON[user]())
		require.NoError(t, typed.Set("a", ada))
		require.NoError(t, store.Set("users", "b", "no JSON"))
		require.NoError(t, typed.Set("c", ada))
		require.NoError(t, store.Set("others", "d", "no JSON either"))

		var keys []string
		for entry, err := range typed.All() {
			keys = append(keys, entry.Key)
			require.NotZero(t, entry.Revision)
			if entry.Key == "b" {
				requireCodecError(t, err, "users", "b", true)
				require.Zero(t, entry.Value)
				continue
			}
			require.NoError(t, err)
			require.Equal(t, ada, entry.Value)
		}
		require.Equal(t, []string{"a", "b", "c"}, keys)

		require.NoError(t, typed.Delete("b"))
		require.NoError(t, typed.SetWithTTL("e", ada, -1)) // set, and expired
		require.NoError(t, store.DeleteGroup("users"))
		last, err := store.Revision()
		require.NoError(t, err)
		var seen []string
		for event, err := range typed.Subscribe(t.Context(), api.SubscribeOptions{From: 1}) {
			seen = append(seen, event.Type.String()+" "+event.Key)
			switch {
			case event.Key == "b" && event.Type == api.EventSet:
				requireCodecError(t, err, "users", "b", true)
				require.Equal(t, "no JSON", event.Event.Value, "what is stored")
				require.Zero(t, event.Value)
			case event.Type == api.EventSet || event.Type == api.EventExpire:
				require.NoError(t, err)
				require.Equal(t, ada, event.Value)
			default:
				require.NoError(t, err)
				require.Zero(t, event.Value)
			}
			if event.Type == api.EventDeleteGroup {
				require.Equal(t, last, event.Revision)
				break
			}
		}
		require.Equal(t, []string{"set a", "set b", "set c", "delete b", "set e", "expire e", "delete_group "}, seen)
	})
}

// Store errors end the loops, after having been told.
func TestTypedLoopsEnd(t *testing.T) {
	store := openStore(t, ":memory:")
	typed := api.Of(store, "g", api.Text())
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, err := range typed.Subscribe(ctx, api.SubscribeOptions{}) {
		require.ErrorIs(t, err, context.Canceled)
	}
	for _, err := range typed.WithContext(ctx).All() {
		require.ErrorIs(t, err, context.Canceled)
	}
	_, err := typed.WithContext(ctx).Get("k")
	require.ErrorIs(t, err, context.Canceled)
	require.ErrorIs(t, typed.WithContext(ctx).Set("k", "v"), context.Canceled)
	_, err = typed.WithContext(ctx).Update("k", func(string, bool) (string, error) { return "v", nil })
	require.ErrorIs(t, err, context.Canceled)

	for _, filter := range []api.Filter{{Group: api.Exactly("g")}, {Group: api.Prefix("h"), Key: api.Exactly("k")}} {
		yields := 0
		for _, err := range typed.Subscribe(t.Context(), api.SubscribeOptions{Filters: []api.Filter{{}, filter}}) {
			require.ErrorIs(t, err, api.InvalidOptionError)
			yields++
		}
		require.Equal(t, 1, yields)
	}
	require.NoError(t, store.Close())
	yields := 0
	for _, err := range typed.Subscribe(t.Context(), api.SubscribeOptions{}) {
		require.ErrorIs(t, err, api.ClosedError)
		yields++
	}
	for _, err := range typed.All() {
		require.ErrorIs(t, err, api.ClosedError)
		yields++
	}
	require.Equal(t, 2, yields)
}

// The filters of a subscription are of keys within the group.
func TestTypedSubscribeFilters(t *testing.T) {
	forEachHandle(t, func(t *testing.T, handle handle) {
		store := handle.(api.Storer)
		typed := api.Of(store, "g", api.Gob[int]())
		for i, key := range []string{"a1", "b1", "a2", "c1"} {
			require.NoError(t, typed.Set(key, i))
			require.NoError(t, store.Set("other", key, "x"))
		}
		filters := []api.Filter{{Key: api.Prefix("a")}, {Key: api.Exactly("c1")}}
		var seen []int
		for event, err := range typed.Subscribe(t.Context(), api.SubscribeOptions{State: true, Filters: filters}) {
			require.NoError(t, err)
			if event.Type == api.EventSynced {
				break
			}
			seen = append(seen, event.Value)
		}
		require.Equal(t, []int{0, 2, 3}, seen)
		require.Equal(t, []api.Filter{{Key: api.Prefix("a")}, {Key: api.Exactly("c1")}}, filters, "the caller's own")
	})
}

// A panic of the codec within a loop goes through to the loop's goroutine and leaves
// nothing behind: the store closes, and goleak finds no goroutine.
func TestTypedCodecPanicsInLoops(t *testing.T) {
	forEachStore(t, func(t *testing.T, open func(...api.Option) *api.Store) {
		store := open()
		require.NoError(t, store.Set("g", "k", "v"))
		typed := api.Of[string](store, "g", halfway{panics: true})
		require.PanicsWithValue(t, "the codec is broken", func() {
			for range typed.All() {
				t.Error("there is nothing to yield")
			}
		})
		require.PanicsWithValue(t, "the codec is broken", func() {
			for range typed.Subscribe(t.Context(), api.SubscribeOptions{State: true}) {
				t.Error("there is nothing to yield")
			}
		})
		require.NoError(t, store.Set("g", "k", "w"))
		require.NoError(t, store.Close())
	})
}

// A codec may hand out its values' own memory: the store has a copy, and no value is
// another one's buffer.
func TestTypedCodecSharesMemory(t *testing.T) {
	shared := api.NewCodec(
		func(value []byte) ([]byte, error) { return value, nil },
		func(data []byte) ([]byte, error) { return data, nil })
	for name, codec := range map[string]api.Codec[[]byte]{"functions": shared, "bytes": api.Bytes(), "careless": careless{}} {
		t.Run(name, func(t *testing.T) {
			typed := api.Of(openStore(t, ":memory:"), "g", codec)
			first, second := []byte("first"), []byte("second")
			require.NoError(t, typed.Set("1", first))
			require.NoError(t, typed.Set("2", second))
			copy(first, "XXXXX")
			for range 2 {
				got, err := typed.Get("1")
				require.NoError(t, err)
				require.Equal(t, "first", string(got))
				copy(got, "YYYYY")
			}
			require.Equal(t, "second", string(second))
		})
	}
}

// careless neglects the buffer that it is given.
type careless struct{}

func (careless) Append(_, value []byte) ([]byte, error)     { return value, nil }
func (careless) Decode(data []byte) (value []byte, _ error) { return data, nil }

// Many goroutines update a key, and no update is lost.
func TestTypedUpdate(t *testing.T) {
	forEachHandle(t, func(t *testing.T, handle handle) {
		typed := api.Of(handle.(api.Storer), "g", api.JSON[int]())
		var all sync.WaitGroup
		for range 8 {
			all.Go(func() {
				for range 25 {
					_, err := typed.Update("counter", func(n int, found bool) (int, error) {
						assert.Equal(t, n > 0, found)
						return n + 1, nil
					})
					assert.NoError(t, err)
				}
			})
		}
		all.Wait()
		got, err := typed.Get("counter")
		require.NoError(t, err)
		require.Equal(t, 200, got)

		refused := errors.New("refused")
		_, err = typed.Update("counter", func(int, bool) (int, error) { return -1, refused })
		require.Equal(t, refused, err)
		require.PanicsWithValue(t, "mine", func() {
			_, _ = typed.Update("counter", func(int, bool) (int, error) { panic("mine") })
		})
		got, err = typed.Get("counter")
		require.NoError(t, err)
		require.Equal(t, 200, got)
	})
}

func TestTypedUpdateKeepsTheDeadline(t *testing.T) {
	forEachTimedHandle(t, func(t *testing.T, handle handle, clock *testkit.Clock) {
		typed := api.Of(handle.(api.Storer), "g", api.JSON[int]())
		require.NoError(t, typed.SetWithTTL("k", 1, time.Hour))
		before, err := typed.Entry("k")
		require.NoError(t, err)
		add := func(n int, found bool) (int, error) { return n + 1, nil }
		revision, err := typed.Update("k", add)
		require.NoError(t, err)
		after, err := typed.Entry("k")
		require.NoError(t, err)
		require.Equal(t, api.TypedEntry[int]{Key: "k", Value: 2, Revision: revision, ExpiresAt: before.ExpiresAt}, after)
		clock.Advance(time.Hour)
		_, err = typed.Get("k")
		require.ErrorIs(t, err, api.NotFoundError)
		_, err = typed.Update("k", add)
		require.NoError(t, err)
		after, err = typed.Entry("k")
		require.NoError(t, err)
		require.Equal(t, 1, after.Value)
		require.Zero(t, after.ExpiresAt)
	})
}

// An update whose function changes the key itself ends.
func TestTypedUpdateGivesUp(t *testing.T) {
	typed := api.Of(openStore(t, ":memory:"), "g", api.JSON[int]())
	calls := 0
	_, err := typed.Update("k", func(int, bool) (int, error) {
		calls++
		return 0, typed.Set("k", calls)
	})
	var conflict *api.ConflictError
	require.ErrorAs(t, err, &conflict)
	require.Equal(t, calls, conflict.Attempts)
	require.ErrorContains(t, err, "store.Update: ")
}

func TestTypedConditions(t *testing.T) {
	forEachHandle(t, func(t *testing.T, handle handle) {
		typed := api.Of(handle.(api.Storer), "g", api.JSON[user]())
		first, err := typed.SetIfAbsent("k", ada)
		require.NoError(t, err)
		var mismatch *api.RevisionMismatchError
		_, err = typed.SetIfAbsent("k", ada)
		require.ErrorAs(t, err, &mismatch)
		require.Equal(t, first, mismatch.Current)
		_, err = typed.CompareAndSet("k", ada, first+7)
		require.ErrorAs(t, err, &mismatch)
		exists, err := typed.Exists("k")
		require.NoError(t, err)
		require.True(t, exists)
		require.ErrorAs(t, typed.CompareAndDelete("k", first+7), &mismatch)
		require.NoError(t, typed.CompareAndDelete("k", first))
		exists, err = typed.Exists("k")
		require.NoError(t, err)
		require.False(t, exists)
		require.NoError(t, typed.Delete("k"))
	})
}

// What is missing is said by every method, and nothing panics.
func TestTypedOfNothing(t *testing.T) {
	store := openStore(t, ":memory:")
	for name, of := range map[string]struct {
		typed *api.Typed[string]
		want  error
	}{
		"nil":         {nil, api.NilStoreError},
		"nil store":   {api.Of(nil, "g", api.Text()), api.NilStoreError},
		"nil *Store":  {api.Of((*api.Store)(nil), "g", api.Text()), api.NilStoreError},
		"nil view":    {api.Of((*api.ScopedStore)(nil), "g", api.Text()), api.NilStoreError},
		"nil codec":   {api.Of[string](store, "g", nil), api.InvalidOptionError},
		"closed":      {api.Of(closedStore(t), "g", api.Text()), api.ClosedError},
		"closed view": {api.Of(newScope(t, closedStore(t), "tenant"), "g", api.Text()), api.ClosedError},
	} {
		t.Run(name, func(t *testing.T) {
			for _, typed := range []*api.Typed[string]{of.typed, of.typed.WithContext(t.Context())} {
				never := func(string, bool) (string, error) { panic("it is not to be called") }
				for function, call := range map[string]func() error{
					"Get":              func() error { _, err := typed.Get("k"); return err },
					"Entry":            func() error { _, err := typed.Entry("k"); return err },
					"Exists":           func() error { _, err := typed.Exists("k"); return err },
					"Set":              func() error { return typed.Set("k", "v") },
					"SetWithTTL":       func() error { return typed.SetWithTTL("k", "v", time.Hour) },
					"SetIfAbsent":      func() error { _, err := typed.SetIfAbsent("k", "v"); return err },
					"CompareAndSet":    func() error { _, err := typed.CompareAndSet("k", "v", 1); return err },
					"CompareAndDelete": func() error { return typed.CompareAndDelete("k", 1) },
					"Update":           func() error { _, err := typed.Update("k", never); return err },
					"Delete":           func() error { return typed.Delete("k") },
					"All": func() (last error) {
						for _, last = range typed.All() {
						}
						return last
					},
					"Subscribe": func() (last error) {
						for _, last = range typed.Subscribe(t.Context(), api.SubscribeOptions{}) {
						}
						return last
					},
				} {
					require.ErrorIs(t, call(), of.want, function)
				}
			}
		})
	}
}

func closedStore(t *testing.T) *api.Store {
	store := openStore(t, ":memory:")
	require.NoError(t, store.Close())
	return store
}

// Bytes are copied on their way in and on their way out: once, and so no caller sees what
// another does to a slice.
func TestBytes(t *testing.T) {
	forEachHandle(t, func(t *testing.T, handle handle) {
		store := handle.(api.Storer)
		watcher := store.Watch("g", "*")
		for key, value := range strange {
			value, data := value, []byte(value)
			require.NoError(t, store.SetBytes("g", key, data))
			for i := range data {
				data[i] = 'X'
			}
			require.Equal(t, value, (<-watcher.Events).Value)
			for range 2 {
				got, err := store.GetBytes("g", key)
				require.NoError(t, err)
				require.Equal(t, []byte(value), got)
				for i := range got {
					got[i] = 'Y'
				}
			}
		}
		_, err := store.GetBytes("g", "none")
		require.ErrorIs(t, err, api.NotFoundError)
		require.ErrorContains(t, err, "store.GetBytes: ")
		require.NoError(t, store.SetBytes("g", "nil", nil))
		got, err := store.GetBytes("g", "nil")
		require.NoError(t, err)
		require.Equal(t, []byte{}, got)
	})
	scoped, err := api.NewScopedWithQuota(openStore(t, ":memory:"), "tenant", api.QuotaConfig{MaxKeys: 1})
	require.NoError(t, err)
	require.NoError(t, scoped.SetBytes("g", "1", []byte("v")))
	require.ErrorIs(t, scoped.SetBytes("g", "2", []byte("v")), api.QuotaExceededError)
}

// A string's way through a Typed costs no allocation more than without, bytes one for
// the slice that is the caller's.
func TestTypedAllocations(t *testing.T) {
	store := openStore(t, ":memory:")
	require.NoError(t, store.Set("g", "k", strings.Repeat("x", 100)))
	texts, slices := api.Of(store, "g", api.Text()), api.Of(store, "g", api.Bytes())
	bare := testing.AllocsPerRun(100, func() { _, _ = store.Get("g", "k") })
	require.LessOrEqual(t, testing.AllocsPerRun(100, func() { _, _ = texts.Get("k") }), bare)
	require.LessOrEqual(t, testing.AllocsPerRun(100, func() { _, _ = slices.Get("k") }), bare+1)
	require.LessOrEqual(t, testing.AllocsPerRun(100, func() { _, _ = store.GetBytes("g", "k") }), bare+1)
}

func TestInContext(t *testing.T) {
	store := openStore(t, ":memory:")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, api.InContext(ctx, store).Set("g", "k", "v"), context.Canceled)
	require.ErrorIs(t, api.InContext(ctx, newScope(t, store, "tenant")).Set("g", "k", "v"), context.Canceled)
	require.ErrorIs(t, api.InContext(ctx, api.Storer(store)).Set("g", "k", "v"), context.Canceled)
	require.ErrorIs(t, api.InContext(ctx, (*api.Store)(nil)).Set("g", "k", "v"), api.NilStoreError)
	require.ErrorIs(t, api.InContext(ctx, (*api.ScopedStore)(nil)).Set("g", "k", "v"), api.NilStoreError)
	require.Nil(t, api.InContext(ctx, api.Storer(nil)))
	require.NoError(t, store.Set("g", "k", "v"))
}
