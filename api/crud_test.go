package api_test

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"forge.lthn.ai/core/go-store/api"
)

func TestSetAndGet(t *testing.T) {
	forEachHandle(t, func(t *testing.T, store handle) {
		require.NoError(t, store.Set("g", "k", "1"))
		require.NoError(t, store.Set("h", "k", "2"))
		require.NoError(t, store.Set("g", "l", "3"))
		requireValue(t, store, "g", "k", "1")
		requireValue(t, store, "h", "k", "2")
		requireValue(t, store, "g", "l", "3")

		require.NoError(t, store.Set("g", "k", "anew"))
		requireValue(t, store, "g", "k", "anew")
		requireCount(t, store, "", 3)
	})
}

func TestGetNotFound(t *testing.T) {
	forEachHandle(t, func(t *testing.T, store handle) {
		require.NoError(t, store.Set("g", "k", "v"))
		prefix := ""
		if _, scoped := store.(*api.ScopedStore); scoped {
			prefix = "tenant:"
		}
		_, err := store.Get("nowhere", "k")
		require.ErrorIs(t, err, api.NotFoundError)
		require.EqualError(t, err, "store.Get: "+prefix+"nowhere/k: not found")
		_, err = store.Get("g", "nothing")
		require.ErrorIs(t, err, api.NotFoundError)
		require.EqualError(t, err, "store.Get: "+prefix+"g/nothing: not found")
		_, err = store.GetSplit("g", "nothing", ",")
		require.EqualError(t, err, "store.GetSplit: "+prefix+"g/nothing: not found")
		_, err = store.GetFields("g", "nothing")
		require.EqualError(t, err, "store.GetFields: "+prefix+"g/nothing: not found")
	})
}

func TestExists(t *testing.T) {
	forEachHandle(t, func(t *testing.T, store handle) {
		require.NoError(t, store.Set("g", "k", ""))
		for _, test := range []struct {
			group, key             string
			keyExists, groupExists bool
		}{
			{"g", "k", true, true},
			{"g", "x", false, true},
			{"x", "k", false, false},
			{"", "", false, false},
		} {
			exists, err := store.Exists(test.group, test.key)
			require.NoError(t, err)
			require.Equal(t, test.keyExists, exists, "%q/%q", test.group, test.key)
			exists, err = store.GroupExists(test.group)
			require.NoError(t, err)
			require.Equal(t, test.groupExists, exists, "%q", test.group)
		}
		require.NoError(t, store.Delete("g", "k"))
		exists, err := store.GroupExists("g")
		require.NoError(t, err)
		require.False(t, exists, "a group is gone with its last key")
	})
}

func TestDelete(t *testing.T) {
	forEachHandle(t, func(t *testing.T, store handle) {
		require.NoError(t, store.Set("g", "k", "v"))
		require.NoError(t, store.Set("g", "l", "v"))
		require.NoError(t, store.Delete("g", "k"))
		requireNotFound(t, store, "g", "k")
		requireValue(t, store, "g", "l", "v")
		require.NoError(t, store.Delete("g", "k"), "what is not there can be deleted")
		require.NoError(t, store.Delete("nowhere", "k"))
		require.NoError(t, store.Set("g", "k", "again"))
		requireValue(t, store, "g", "k", "again")
	})
}

func TestDeleteGroup(t *testing.T) {
	forEachHandle(t, func(t *testing.T, store handle) {
		for i := range 20 {
			require.NoError(t, store.Set("g", strconv.Itoa(i), "v"))
		}
		require.NoError(t, store.Set("g2", "k", "v"))
		require.NoError(t, store.DeleteGroup("g"))
		all, err := store.GetAll("g")
		require.NoError(t, err)
		require.NotNil(t, all)
		require.Empty(t, all)
		count, err := store.Count("g")
		require.NoError(t, err)
		require.Zero(t, count)
		requireValue(t, store, "g2", "k", "v")
		require.NoError(t, store.DeleteGroup("nowhere"))
	})
}

func TestGetAllAndPages(t *testing.T) {
	forEachHandle(t, func(t *testing.T, store handle) {
		want := map[string]string{}
		for i := range 700 { // more than any chunk that a scan may be read in
			key := fmt.Sprintf("%x", i*7919%1000)
			want[key] = strconv.Itoa(i)
			require.NoError(t, store.Set("g", key, strconv.Itoa(i)))
		}
		require.NoError(t, store.Set("g\x00", "k", "the next group"))
		all, err := store.GetAll("g")
		require.NoError(t, err)
		require.Equal(t, want, all)

		ordered := slices.Sorted(maps.Keys(want))
		var keys []string
		for entry, err := range store.All("g") {
			require.NoError(t, err)
			require.Equal(t, want[entry.Key], entry.Value)
			keys = append(keys, entry.Key)
		}
		require.Equal(t, ordered, keys)

		for _, page := range []struct{ offset, limit int }{
			{0, 10}, {10, 10}, {0, 0}, {695, 10}, {700, 1}, {10_000, 1}, {0, 10_000}, {300, 300},
		} {
			entries, err := store.GetPage("g", page.offset, page.limit)
			require.NoError(t, err)
			from := min(page.offset, len(ordered))
			expected := ordered[from:min(from+page.limit, len(ordered))]
			require.Len(t, entries, len(expected), "%+v", page)
			for i, entry := range entries {
				require.Equal(t, api.KeyValue{Key: expected[i], Value: want[expected[i]]}, entry)
			}
		}
	})
}

func TestCountAfterBulkInserts(t *testing.T) {
	forEachHandle(t, func(t *testing.T, store handle) {
		for i := range 500 {
			require.NoError(t, store.Set("bulk", fmt.Sprintf("key-%03d", i), "v"))
		}
		count, err := store.Count("bulk")
		require.NoError(t, err)
		require.Equal(t, 500, count)
		requireCount(t, store, "bul", 500)
	})
}

func TestSetAll(t *testing.T) {
	forEachHandle(t, func(t *testing.T, store handle) {
		require.NoError(t, store.SetAll(nil), "nothing to write is no error")
		require.NoError(t, store.SetAll([]api.Item{
			{Group: "g", Key: "k", Value: "first"}, {Group: "h", Key: "k", Value: "2"},
			{Group: "g", Key: "k", Value: "last"}, {Group: "g", Key: "l", Value: ""},
		}))
		requireValue(t, store, "g", "k", "last")
		requireValue(t, store, "h", "k", "2")
		requireValue(t, store, "g", "l", "")
		requireCount(t, store, "", 3)
	})
}

// SetAll must not keep or change what it was given: a caller may use the
// slice again at once.
func TestSetAllLeavesItemsAlone(t *testing.T) {
	forEachHandle(t, func(t *testing.T, store handle) {
		items := []api.Item{{Group: "g", Key: "k", Value: "v"}}
		require.NoError(t, store.SetAll(items))
		require.Equal(t, []api.Item{{Group: "g", Key: "k", Value: "v"}}, items)
		items[0].Value = "changed"
		requireValue(t, store, "g", "k", "v")
	})
}

// Prefixes are bytes: no wildcard of LIKE, no folding of case, and 0xFF, which
// has no successor, is a byte like the others.
func TestPrefixes(t *testing.T) {
	groups := []string{"", "app", "app:x", "app_y", "appendix", "App", "apq", "a%b", "a", "é", "日本",
		"a\x00b", "a\xff", "a\xff\xff", "a\xff\x00", "b", "\xfe\xff", "\xff", "\xff\xff", "\xff\xffz"}
	prefixes := append([]string{"ap", "app:", "app_", "%", "_", "a%", "é", "\xc3", "A", "zzz", "\xff\xff\xff", "\xfe"}, groups...)
	forEachHandle(t, func(t *testing.T, store handle) {
		for _, prefix := range prefixes {
			var items []api.Item
			for i, group := range groups {
				items = append(items, api.Item{Group: group, Key: "k"}, api.Item{Group: group, Key: strconv.Itoa(i)})
			}
			require.NoError(t, store.SetAll(items))
			var with, without []string
			for _, group := range groups {
				if strings.HasPrefix(group, prefix) {
					with = append(with, group)
				} else {
					without = append(without, group)
				}
			}
			slices.Sort(with)
			slices.Sort(without)
			requireGroups(t, store, prefix, with)
			requireCount(t, store, prefix, 2*len(with))
			require.NoError(t, store.DeletePrefix(prefix))
			requireGroups(t, store, prefix, nil)
			requireCount(t, store, prefix, 0)
			requireGroups(t, store, "", without)
		}
	})
}

func requireGroups(t *testing.T, store handle, prefix string, want []string) {
	t.Helper()
	if want == nil {
		want = []string{}
	}
	groups, err := store.Groups(prefix)
	require.NoError(t, err)
	require.Equal(t, want, groups, "groups with prefix %q", prefix)
	yielded := []string{}
	for group, err := range store.GroupsSeq(prefix) {
		require.NoError(t, err)
		yielded = append(yielded, group)
	}
	require.Equal(t, want, yielded, "groups yielded with prefix %q", prefix)
}

func TestSplitAndFields(t *testing.T) {
	forEachHandle(t, func(t *testing.T, store handle) {
		require.NoError(t, store.Set("g", "list", "a,b,,c"))
		require.NoError(t, store.Set("g", "words", "  one\ttwo\n three "))
		require.NoError(t, store.Set("g", "empty", ""))
		for _, test := range []struct {
			key, separator string
			want           []string
		}{
			{"list", ",", []string{"a", "b", "", "c"}},
			{"list", ";", []string{"a,b,,c"}},
			{"list", "", []string{"a", ",", "b", ",", ",", "c"}},
			{"empty", ",", []string{""}},
		} {
			parts, err := store.GetSplit("g", test.key, test.separator)
			require.NoError(t, err)
			require.Equal(t, test.want, slices.Collect(parts))
		}
		fields, err := store.GetFields("g", "words")
		require.NoError(t, err)
		require.Equal(t, []string{"one", "two", "three"}, slices.Collect(fields))
		fields, err = store.GetFields("g", "empty")
		require.NoError(t, err)
		require.Empty(t, slices.Collect(fields))
	})
}

func TestRender(t *testing.T) {
	forEachHandle(t, func(t *testing.T, store handle) {
		require.NoError(t, store.Set("user", "name", "Ada"))
		require.NoError(t, store.Set("user", "full name", "<Ada> & Co"))
		for template, want := range map[string]string{
			"Hello {{ .name }}":         "Hello Ada",
			"no action":                 "no action",
			"":                          "",
			`{{ index . "full name" }}`: "<Ada> & Co",
			"{{ .missing }}":            "<no value>",
			"{{ len . }}":               "2",
			"{{ range $key, $value := . }}{{ $key }}={{ $value }};{{ end }}": "full name=<Ada> & Co;name=Ada;",
		} {
			rendered, err := store.Render(template, "user")
			require.NoError(t, err, template)
			require.Equal(t, want, rendered)
		}
		rendered, err := store.Render("{{ len . }}", "nobody")
		require.NoError(t, err)
		require.Equal(t, "0", rendered)
	})
}

func TestRenderErrors(t *testing.T) {
	forEachHandle(t, func(t *testing.T, store handle) {
		require.NoError(t, store.Set("user", "name", "Ada"))
		_, err := store.Render("{{ .name", "user")
		require.ErrorContains(t, err, "store.Render: parse template: ")
		_, err = store.Render("{{ call .name }}", "user") // a string is no function
		require.ErrorContains(t, err, "store.Render: execute template: ")
		requireValue(t, store, "user", "name", "Ada")
	})
}
