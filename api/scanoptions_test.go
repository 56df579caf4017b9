package api_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"forge.lthn.ai/core/go-store/api"
	"forge.lthn.ai/core/go-store/internal/testkit"
)

// scanned is what a scan yields, as "group/key=value" each.
func scanned(t testing.TB, store interface {
	handle
}, options api.ScanOptions) (found []string, last api.ScanEntry) {
	t.Helper()
	for entry, err := range store.Scan(options) {
		require.NoError(t, err)
		found, last = append(found, fmt.Sprintf("%s/%s=%s", entry.Group, entry.Key, entry.Value)), entry
	}
	return found, last
}

func fillLetters(t testing.TB, store handle) {
	t.Helper()
	for _, group := range []string{"a", "ab", "b"} {
		for _, key := range []string{"1", "2", "3"} {
			require.NoError(t, store.Set(group, key, strings.ToUpper(group)))
		}
	}
}

func TestScansOfEveryKind(t *testing.T) {
	forEachHandle(t, func(t *testing.T, store handle) {
		fillLetters(t, store)
		for _, c := range []struct {
			options api.ScanOptions
			want    string
		}{
			{api.ScanOptions{Groups: api.Exactly("a")}, "a/1=A a/2=A a/3=A"},
			{api.ScanOptions{Groups: api.Exactly("a"), Reverse: true}, "a/3=A a/2=A a/1=A"},
			{api.ScanOptions{Groups: api.Prefix("a"), From: "2", To: "3"}, "a/2=A ab/2=AB"},
			{api.ScanOptions{Groups: api.Prefix("a"), From: "2", Reverse: true, KeysOnly: true}, "ab/3= ab/2= a/3= a/2="},
			{api.ScanOptions{Limit: 4}, "a/1=A a/2=A a/3=A ab/1=AB"},
			{api.ScanOptions{Reverse: true, Limit: 2}, "b/3=B b/2=B"},
			{api.ScanOptions{Groups: api.Exactly("none")}, ""},
			{api.ScanOptions{Groups: api.Exactly("a"), From: "2", To: "2"}, ""},
		} {
			found, _ := scanned(t, store, c.options)
			assert.Equal(t, c.want, strings.Join(found, " "), "%+v", c.options)
		}
	})
}

func TestScansTellRevisionAndExpiry(t *testing.T) {
	forEachTimedHandle(t, func(t *testing.T, store handle, clock *testkit.Clock) {
		require.NoError(t, store.Set("g", "a", "v"))
		require.NoError(t, store.SetWithTTL("g", "b", "v", time.Hour))
		var entries []api.ScanEntry
		for entry, err := range store.Scan(api.ScanOptions{}) {
			require.NoError(t, err)
			entries = append(entries, entry)
		}
		require.Len(t, entries, 2)
		assert.Less(t, entries[0].Revision, entries[1].Revision)
		assert.True(t, entries[0].ExpiresAt.IsZero())
		assert.WithinDuration(t, clock.Now().Add(time.Hour), entries[1].ExpiresAt, time.Millisecond)
		clock.Advance(2 * time.Hour)
		found, _ := scanned(t, store, api.ScanOptions{})
		assert.Equal(t, []string{"g/a=v"}, found)
	})
}

// Going on from cursors, one key at a time and in both directions, meets every
// key once, though the key of the cursor is gone by then.
func TestCursorsGoOn(t *testing.T) {
	forEachHandle(t, func(t *testing.T, store handle) {
		for _, groups := range []api.Match{{}, api.Prefix("a"), api.Exactly("ab")} {
			for _, reverse := range []bool{false, true} {
				fillLetters(t, store)
				options := api.ScanOptions{Groups: groups, Reverse: reverse}
				want, _ := scanned(t, store, options)
				var found []string
				for options.Limit = 1; ; {
					some, last := scanned(t, store, options)
					if len(some) == 0 {
						break
					}
					found, options.Cursor = append(found, some...), last.Cursor()
					require.NoError(t, store.Delete(last.Group, last.Key))
				}
				require.Equal(t, want, found)
			}
		}
	})
}

func TestCursorsSurviveTheStore(t *testing.T) {
	path := newPath(t)
	store, err := api.New(path)
	require.NoError(t, err)
	fillLetters(t, store)
	_, last := scanned(t, store, api.ScanOptions{Limit: 4})
	require.NoError(t, store.Close())
	store = openStore(t, path)
	found, _ := scanned(t, store, api.ScanOptions{Limit: 1, Cursor: last.Cursor()})
	assert.Equal(t, []string{"ab/2=AB"}, found)
	assert.Empty(t, api.ScanEntry{}.Cursor())
}

func TestScansThatAreRefused(t *testing.T) {
	forEachHandle(t, func(t *testing.T, store handle) {
		fillLetters(t, store)
		other := openStore(t, ":memory:")
		fillLetters(t, other)
		_, foreign := scanned(t, other, api.ScanOptions{Limit: 1})
		_, last := scanned(t, store, api.ScanOptions{Limit: 1})
		refusal := func(options api.ScanOptions) (last error) {
			for _, last = range store.Scan(options) {
			}
			return last
		}
		assert.ErrorIs(t, refusal(api.ScanOptions{Limit: -1}), api.InvalidScanError)
		assert.ErrorIs(t, refusal(api.ScanOptions{From: "b", To: "a"}), api.InvalidScanError)
		good := last.Cursor()
		assert.NoError(t, refusal(api.ScanOptions{Cursor: good}))
		for _, bad := range []string{foreign.Cursor(), "x", "nonsense!", good[1:], good + "A", strings.ToLower(good), strings.Repeat("A", 40)} {
			assert.ErrorIs(t, refusal(api.ScanOptions{Cursor: bad}), api.InvalidCursorError, bad)
		}
		for i := range good { // whatever letter is changed
			letter := "A"
			if good[i] == 'A' {
				letter = "B"
			}
			assert.ErrorIs(t, refusal(api.ScanOptions{Cursor: good[:i] + letter + good[i+1:]}), api.InvalidCursorError, i)
		}
		assert.ErrorIs(t, refusal(api.ScanOptions{Groups: api.Exactly("b"), Cursor: good}), api.InvalidCursorError)
		assert.ErrorContains(t, refusal(api.ScanOptions{Limit: -1}), "store.Scan: limit -1: must be zero or positive")
	})
}

// A cursor of the store does not lead a view out of its namespace.
func TestCursorsStayInTheirNamespace(t *testing.T) {
	store := openStore(t, ":memory:")
	require.NoError(t, store.Set("other:g", "k", "secret"))
	require.NoError(t, store.Set("tenant:g", "k", "v"))
	_, last := scanned(t, store, api.ScanOptions{Limit: 1})
	for _, err := range newScope(t, store, "tenant").Scan(api.ScanOptions{Cursor: last.Cursor()}) {
		require.ErrorIs(t, err, api.InvalidCursorError)
	}
}

func TestManyKeysAtOnce(t *testing.T) {
	forEachTimedHandle(t, func(t *testing.T, store handle, clock *testkit.Clock) {
		fill(t, store, "g", 600)
		require.NoError(t, store.SetWithTTL("g", "mortal", "v", time.Second))
		keys := []string{"none", "mortal", "005", "005"}
		found, err := store.GetMany("g", keys...)
		require.NoError(t, err)
		assert.Equal(t, map[string]string{"005": "5", "mortal": "v"}, found)
		clock.Advance(time.Minute)
		for i := range 600 {
			keys = append(keys, fmt.Sprintf("%03d", i))
		}
		found, err = store.GetMany("g", keys...)
		require.NoError(t, err)
		assert.Len(t, found, 600)
		found, err = store.GetMany("g")
		require.NoError(t, err)
		assert.Empty(t, found)
	})
}

func TestValuesAppended(t *testing.T) {
	forEachHandle(t, func(t *testing.T, store handle) {
		require.NoError(t, store.Set("g", "k", "va\x00lue"))
		for range 2 {
			buffer, err := store.AppendValue([]byte("before "), "g", "k")
			require.NoError(t, err)
			assert.Equal(t, "before va\x00lue", string(buffer))
			buffer, err = store.AppendValue(buffer, "g", "none")
			require.ErrorIs(t, err, api.NotFoundError)
			assert.Equal(t, "before va\x00lue", string(buffer))
		}
		buffer := make([]byte, 0, 100)
		for range 3000 { // the cache has keys that are read often ready as strings, drawn by lot
			buffer, _ = store.AppendValue(buffer[:0], "g", "k")
		}
		allocated := testing.AllocsPerRun(100, func() { buffer, _ = store.AppendValue(buffer[:0], "g", "k") })
		assert.LessOrEqual(t, allocated, 1.0, "a view makes the group's name")
	})
}
