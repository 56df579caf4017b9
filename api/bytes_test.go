package api_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"forge.lthn.ai/core/go-store/api"
)

// strange is what has broken stores before.
var strange = map[string]string{
	"empty":            "",
	"a space":          " ",
	"10,000 bytes":     strings.Repeat("k", 10_000),
	"10,000 runes":     strings.Repeat("界", 10_000),
	"NUL":              "\x00",
	"NUL within":       "before\x00after",
	"NUL last":         "before\x00",
	"all bytes":        allBytes(),
	"invalid UTF-8":    "\xff\xfe\x80\xc3(",
	"a lone surrogate": "\xed\xa0\x80",
	"accents":          "Crème brûlée à la façade",
	"composed":         "é",
	"decomposed":       "e\u0301",
	"CJK":              "日本語 中文 한국어",
	"Arabic":           "مرحبا بالعالم",
	"emoji":            "👩‍👩‍👧‍👦",
	"byte order mark":  "\ufeffx",
	"drop table":       "'; DROP TABLE entries; --",
	"or true":          "' OR '1'='1",
	"comment":          "x'/*",
	"quotes":           "`'\"",
	"parameters":       "?1 :name @name $name",
	"LIKE wildcards":   "%_",
	"GLOB wildcards":   "*?[a]",
	"a wildcard":       "*",
	"the separator":    "tenant:x:",
	"a path":           "../../etc/passwd",
	"line ends":        "a\r\nb\n\tc",
	"backslashes":      `\n\\`,
	"template":         "{{ .x }}",
	"a number":         "0123",
	"a float":          "1e3",
	"hexadecimal":      "0x10",
	"null":             "NULL",
}

func allBytes() string {
	all := make([]byte, 256)
	for i := range all {
		all[i] = byte(i)
	}
	return string(all)
}

// Whatever stands in whatever place comes back byte for byte, by every way of
// reading, and is its own key only.
func TestStrangeStrings(t *testing.T) {
	forEachHandle(t, func(t *testing.T, store handle) {
		for _, group := range strange {
			require.NoError(t, store.Set(group, "key", "of the group"))
		}
		for name, s := range strange {
			require.NoError(t, store.Set(s, "key", "g:"+s), name)
			require.NoError(t, store.Set("group", s, "k:"+s), name)
			require.NoError(t, store.Set("value", name, s), name)
		}
		requireCount(t, store, "", 3*len(strange))
		groups, err := store.Groups("")
		require.NoError(t, err)
		keys, err := store.GetAll("group")
		require.NoError(t, err)
		values, err := store.GetAll("value")
		require.NoError(t, err)
		page, err := store.GetPage("group", 0, 1000)
		require.NoError(t, err)
		require.Len(t, page, len(strange))
		for name, s := range strange {
			requireValue(t, store, s, "key", "g:"+s)
			requireValue(t, store, "group", s, "k:"+s)
			requireValue(t, store, "value", name, s)
			require.Contains(t, groups, s, name)
			require.Equal(t, "k:"+s, keys[s], name)
			require.Equal(t, s, values[name], name)
			require.Contains(t, page, api.KeyValue{Key: s, Value: "k:" + s}, name)
			count, err := store.Count(s)
			require.NoError(t, err)
			require.Equal(t, 1, count, name)
		}
		for name, s := range strange {
			require.NoError(t, store.Delete("group", s), name)
			requireNotFound(t, store, "group", s)
			require.NoError(t, store.DeleteGroup(s), name)
			requireNotFound(t, store, s, "key")
		}
		requireCount(t, store, "", len(strange))
	})
}

// They survive the file, and events carry them as they are.
func TestStrangeStringsPersist(t *testing.T) {
	path := newPath(t)
	store := openStore(t, path, api.WithWatchBuffer(3*len(strange)))
	watcher := store.Watch("*", "*")
	for name, s := range strange {
		require.NoError(t, store.Set("g:"+s, s, s), name)
		require.Equal(t, []change{{api.EventSet, "g:" + s, s, s}}, changes(delivered(watcher)))
	}
	require.NoError(t, store.Close())
	store = openStore(t, path)
	for _, s := range strange {
		requireValue(t, store, "g:"+s, s, s)
	}
	requireCount(t, store, "g:", len(strange))
}
