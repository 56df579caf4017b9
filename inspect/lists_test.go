package inspect_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"forge.lthn.ai/core/go-store/api"
	"forge.lthn.ai/core/go-store/inspect"
	"forge.lthn.ai/core/go-store/internal/testkit"
)

func decode[T any](t testing.TB, a answer) (v T) {
	t.Helper()
	require.Equal(t, http.StatusOK, a.status, a.body)
	require.Equal(t, "application/json", a.header.Get("Content-Type"))
	require.NoError(t, json.Unmarshal([]byte(a.body), &v))
	return v
}

type list struct {
	Groups, Keys, Nodes []json.RawMessage
	Cursor              string
}

// pages goes through a list to its end, and returns the names in it.
func (s site) pages(path, query, what, field string) (names []string) {
	s.t.Helper()
	cursor := ""
	for range 10_000 {
		l := decode[list](s.t, s.get(path+"?"+query+cursor))
		for _, item := range map[string][]json.RawMessage{"groups": l.Groups, "keys": l.Keys, "nodes": l.Nodes}[what] {
			names = append(names, named(s.t, string(item), field))
		}
		if l.Cursor == "" {
			return names
		}
		cursor = "&cursor=" + url.QueryEscape(l.Cursor)
	}
	s.t.Fatal("the list does not end")
	return nil
}

// TestLists: whatever the size of their pages, they are what the store has.
func TestLists(t *testing.T) {
	store := open(t)
	for _, name := range hostile {
		require.NoError(t, store.Set(name, "k", "v"))
		require.NoError(t, store.Set("keys", name, "value of "+name))
	}
	s := serve(t, store)
	for _, prefix := range []string{"", "a", "\xFF", "none", "\x00"} {
		groups, err := store.Groups(prefix)
		require.NoError(t, err)
		var keys []string
		for entry, err := range store.Scan(api.ScanOptions{Groups: api.Exactly("keys")}) {
			require.NoError(t, err)
			if strings.HasPrefix(entry.Key, prefix) {
				keys = append(keys, entry.Key)
			}
		}
		for _, limit := range []int{1, 2, 7, 1000} {
			query := fmt.Sprintf("limit=%d&prefix=%s", limit, url.QueryEscape(prefix))
			require.ElementsMatch(t, groups, s.pages("v1/", query, "groups", "group"), query)
			require.Equal(t, keys, s.pages("v1/keys", query, "keys", "key"), query)
			require.Equal(t, keys, s.pages("v1/keys", query+"&max_value=5", "keys", "key"), query)
			backwards := s.pages("v1/keys", query+"&reverse=1", "keys", "key")
			require.Len(t, backwards, len(keys))
			for i := range keys {
				require.Equal(t, keys[i], backwards[len(keys)-1-i])
			}
		}
	}
	require.Empty(t, decode[list](t, s.get("v1/nobody")).Keys)
	require.NotContains(t, s.get("v1/nobody").body, "null")
	require.NotContains(t, s.get("v1/?prefix=nobody").body, "null")
	a := s.get("v1/keys?max_value=5&limit=1")
	require.Contains(t, a.body, `"value":"value","truncated":true`)
	require.Contains(t, a.body, `"size":9`)
	require.NotContains(t, s.get("v1/keys?limit=1").body, "value")
	// The group whose name the stream has.
	require.Equal(t, []string{"k"}, s.pages("v1/"+url.PathEscape(",")[:0]+",d2F0Y2g", "limit=1", "keys", "key"))
}

// TestListsOfLargeValues have short pages.
func TestListsOfLargeValues(t *testing.T) {
	store := open(t)
	for i := range 10 {
		require.NoError(t, store.Set("g", fmt.Sprint(i), strings.Repeat("x", 1000)))
	}
	s := serveHandler(t, inspect.WithBounds(inspect.Handler(store), inspect.Bounds{PageBytes: 2500}))
	l := decode[list](t, s.get("v1/g?max_value=1000"))
	require.Len(t, l.Keys, 3)
	require.NotEmpty(t, l.Cursor)
	require.Len(t, s.pages("v1/g", "max_value=1000", "keys", "key"), 10)
	require.Len(t, decode[list](t, s.get("v1/g?max_value=10")).Keys, 10)
}

// TestCursorsThatAreNone: changed, cut off, empty or another list's, and nothing but an
// error comes of them.
func TestCursorsThatAreNone(t *testing.T) {
	store := open(t)
	for i := range 5 {
		require.NoError(t, store.Set("g", fmt.Sprint(i), "v"))
		require.NoError(t, store.Set(fmt.Sprint("g:", i), "k", "v"))
	}
	other := open(t)
	for i := range 5 {
		require.NoError(t, other.Set("g", fmt.Sprint(i), "v"))
	}
	s, elsewhere := serve(t, store), serve(t, other)
	lists := map[string]string{"v1/": "prefix=g", "v1/g": "", "ui/tree": "prefix=g:", "ui/search": "q="}
	cursors := map[string]string{}
	for path, query := range lists {
		cursors[path] = decode[list](t, s.get(path+"?limit=1&"+query)).Cursor
		require.NotEmpty(t, cursors[path], path)
	}
	for path, query := range lists {
		bad := []string{"", "x", "AAAA", strings.Repeat("A", 100), "....", "\x00", "null", strings.Repeat("x", 10_000)}
		for from, cursor := range cursors {
			if from != path {
				bad = append(bad, cursor)
			}
		}
		for i := range cursors[path] {
			flipped := []byte(cursors[path])
			flipped[i] ^= 1
			bad = append(bad, string(flipped), cursors[path][:i])
		}
		bad = append(bad, cursors[path]+"A", cursors[path]+"\n", cursors[path]+"=")
		for _, cursor := range bad {
			s.problem(http.StatusBadRequest, "invalid_cursor", s.get(path+"?limit=1&"+query+"&cursor="+url.QueryEscape(cursor)))
		}
	}
	s.problem(http.StatusBadRequest, "invalid_cursor", s.get("v1/?limit=1&prefix=other&cursor="+cursors["v1/"]))
	s.problem(http.StatusBadRequest, "invalid_cursor", s.get("ui/tree?prefix=g:&delimiters=x&cursor="+cursors["ui/tree"]))
	s.problem(http.StatusBadRequest, "invalid_cursor", s.get("ui/search?q=other&cursor="+cursors["ui/search"]))
	elsewhere.problem(http.StatusBadRequest, "invalid_cursor", elsewhere.get("v1/g?cursor="+cursors["v1/g"]))
}

type treeNode struct {
	Group, Children bool
	Segment         string
	Extent          *struct {
		Keys, Bytes int
		KeysExact   bool `json:"keys_exact"`
		BytesExact  bool `json:"bytes_exact"`
	}
}

// TestTree: a level at a time, each node once, with what lies below it.
func TestTree(t *testing.T) {
	store := open(t)
	for _, group := range []string{"plain", "tenant:1:users", "tenant:1:orders", "tenant:2:users", "tenant:", "tenant", "files/a/b", "\xFF:x", "\x00outbox:a", ":", "::", "é:ü"} {
		require.NoError(t, store.Set(group, "key", "value"))
	}
	s := serve(t, store)
	for query, want := range map[string][]string{
		"":                 {"\x00outbox:", ":", "files/", "plain", "tenant", "tenant:", "é:", "\xFF:"},
		"prefix=tenant:":   {"tenant:", "tenant:1:", "tenant:2:"},
		"prefix=tenant:1:": {"tenant:1:orders", "tenant:1:users"},
		"prefix=:":         {":", "::"},
		"prefix=files/":    {"files/a/"},
		"prefix=none":      nil,
		"prefix=%FF:":      {"\xFF:x"},
		"prefix=ten":       {"tenant", "tenant:"},
		"delimiters=":      {"\x00outbox:a", ":", "::", "files/a/b", "plain", "tenant", "tenant:", "tenant:1:orders", "tenant:1:users", "tenant:2:users", "é:ü", "\xFF:x"},
		"delimiters=/":     {"\x00outbox:a", ":", "::", "files/", "plain", "tenant", "tenant:", "tenant:1:orders", "tenant:1:users", "tenant:2:users", "é:ü", "\xFF:x"},
	} {
		for _, limit := range []int{1, 2, 3, 1000} {
			require.Equal(t, want, s.pages("ui/tree", fmt.Sprint(query, "&limit=", limit), "nodes", "name"), "%s, %d at a time", query, limit)
		}
	}
	for _, raw := range decode[list](t, s.get("ui/tree")).Nodes {
		var n treeNode
		require.NoError(t, json.Unmarshal(raw, &n))
		name := named(t, string(raw), "name")
		require.NotEqual(t, n.Group, n.Children, name)
		count, err := store.Count(name)
		if n.Children {
			count, err = store.CountAll(name)
		}
		require.NoError(t, err)
		require.NotNil(t, n.Extent, name)
		require.Equal(t, count, n.Extent.Keys, name)
		require.Equal(t, 8*count, n.Extent.Bytes, name)
		require.True(t, n.Extent.KeysExact && n.Extent.BytesExact, name)
	}
	for _, query := range []string{"delimiters=123456789", "delimiters=%C3%A9", "prefix=a&prefix_base64=YQ"} {
		s.problem(http.StatusBadRequest, "bad_request", s.get("ui/tree?"+query))
	}
}

// TestCounts: exact where that is quick, and told as estimates where it is not.
func TestCounts(t *testing.T) {
	store := open(t)
	batch := new(api.Batch)
	for i := range 5000 {
		batch.Set("large:g", fmt.Sprintf("%06d", i), "1234")
	}
	_, err := store.Batch(batch)
	require.NoError(t, err)
	require.NoError(t, store.Set("small", "key", "value"))
	s := serve(t, store)
	for _, query := range []string{"group=large:g", "prefix=large", "prefix=large:"} {
		require.JSONEq(t, `{"keys":5000,"keys_exact":true,"bytes":50000,"bytes_exact":false}`, s.get("ui/count?"+query).body)
	}
	require.JSONEq(t, `{"keys":1,"keys_exact":true,"bytes":8,"bytes_exact":true}`, s.get("ui/count?group=small").body)
	require.JSONEq(t, `{"keys":0,"keys_exact":true,"bytes":0,"bytes_exact":true}`, s.get("ui/count?group=none").body)
	require.Contains(t, s.get("ui/count?prefix=").body, `"keys":5001`)
	for _, query := range []string{"", "group=a&prefix=b", "group=a&group_base64=YQ"} {
		s.problem(http.StatusBadRequest, "bad_request", s.get("ui/count?"+query))
	}
	batch = new(api.Batch)
	for i := range 3000 {
		batch.Set("large:h", fmt.Sprintf("%06d", i), strings.Repeat("x", 94))
	}
	_, err = store.Batch(batch)
	require.NoError(t, err)
	require.JSONEq(t, `{"keys":8000,"keys_exact":true,"bytes":350000,"bytes_exact":false}`, s.get("ui/count?prefix=large:").body,
		"a branch is what is in it, though its first group's values are small")
	hurried := serveHandler(t, inspect.WithBounds(inspect.Handler(store), inspect.Bounds{NoTime: true}))
	require.Contains(t, hurried.want(200, hurried.get("ui/count?group=large:g")).body, `"keys_exact":false`)
	require.NotContains(t, hurried.want(200, hurried.get("ui/tree")).body, "extent")
	require.Contains(t, hurried.want(200, hurried.get("ui/history/small/key")).body, `"complete":false`)
}

// TestSearch: groups, and keys of all groups, that begin with something; it ends, and has
// each once, also if it has no time.
func TestSearch(t *testing.T) {
	store := open(t)
	for _, group := range hostile {
		for _, key := range []string{"", "apple", "apricot", "\xFFx"} {
			require.NoError(t, store.Set(group, key, "v"))
		}
	}
	s := serve(t, store)
	hurried := serveHandler(t, inspect.WithBounds(inspect.Handler(store), inspect.Bounds{NoTime: true}))
	groups, err := store.Groups("")
	require.NoError(t, err)
	for q, each := range map[string]int{"ap": 2, "apple": 1, "": 4, "%FF": 1, "none": 0} {
		for _, limit := range []int{1, 3, 1000} {
			if limit == 1 && q == "" {
				continue // slow
			}
			require.Len(t, s.pages("ui/search", fmt.Sprint("q=", q, "&limit=", limit), "keys", "key"), each*len(groups), "%q %d", q, limit)
		}
	}
	l := decode[list](t, s.get("ui/search?q=a&limit=1000"))
	withA, err := store.Groups("a")
	require.NoError(t, err)
	require.Len(t, l.Groups, len(withA))
	require.Len(t, s.pages("ui/search", "q=a&limit=7", "groups", "group"), min(7, len(withA)))
	require.Len(t, s.pages("ui/search", "q=ap&group_prefix=a", "keys", "group"), 2*len(withA))
	for _, item := range l.Keys {
		var key struct{ Segment string }
		require.NoError(t, json.Unmarshal(item, &key))
		require.Equal(t, "v", s.get("v1/"+key.Segment).body, key.Segment)
	}
	first := decode[list](t, hurried.get("ui/search?q=ap"))
	require.Empty(t, first.Keys)
	require.NotEmpty(t, first.Cursor, "there is more to look through")
}

// TestEntries: what a value is, and its beginning.
func TestEntries(t *testing.T) {
	store := open(t)
	s := serve(t, store)
	for value, kind := range map[string]string{`{"a":[1]}`: "json", " [1] ": "json", "{": "text", "1": "text", "": "text", "\xFF": "binary", "null": "text", `"x"`: "text", "a\x00": "text"} {
		require.NoError(t, store.Set("g", "k", value))
		a := s.want(http.StatusOK, s.get("ui/entry/g/k"))
		require.Contains(t, a.body, `"kind":"`+kind+`"`)
		require.Contains(t, a.body, fmt.Sprintf(`"size":%d`, len(value)))
		require.Contains(t, a.body, `"truncated":false`)
		require.Equal(t, value, named(t, a.body, "value"))
	}
	for value, cut := range map[string]string{"abcdef": "abcd", "ééé": "éé", "abcéé": "abc", "\xFF\xFE\xFD\xFC\xFB": "\xFF\xFE\xFD\xFC", "abc日": "abc", "ab\xFFcd": "ab\xFFc"} {
		require.NoError(t, store.Set("g", "k", value))
		a := s.want(http.StatusOK, s.get("ui/entry/g/k?max_value=4"))
		require.Equal(t, cut, named(t, a.body, "value"))
		require.Contains(t, a.body, `"truncated":true`)
		require.Equal(t, "", named(t, s.get("ui/entry/g/k?max_value=0").body, "value"))
	}
	s.problem(http.StatusNotFound, "not_found", s.get("ui/entry/g/none"))
	s.problem(http.StatusBadRequest, "bad_request", s.get("ui/entry/g/k?max_value=x"))
}

// TestHistories: the newest first, and whether that is all.
func TestHistories(t *testing.T) {
	store := open(t)
	for i := range 10 {
		require.NoError(t, store.Set("g", "k", fmt.Sprint(i)))
		require.NoError(t, store.Set("g", "other", fmt.Sprint(i)))
	}
	require.NoError(t, store.DeleteGroup("g"))
	s := serve(t, store)
	type history struct {
		Events []struct {
			Type, Value string
			Revision    uint64
		}
		Complete bool
		Oldest   uint64 `json:"oldest_revision"`
	}
	for limit := 1; limit <= 12; limit++ {
		h := decode[history](t, s.get(fmt.Sprint("ui/history/g/k?limit=", limit)))
		require.Len(t, h.Events, min(limit, 11))
		require.Equal(t, limit >= 11, h.Complete, limit)
		require.Equal(t, "delete_group", h.Events[0].Type)
		for i, event := range h.Events[1:] {
			require.Equal(t, fmt.Sprint(9-i), event.Value)
		}
		require.Equal(t, uint64(1), h.Oldest)
	}
	h := decode[history](t, s.get("ui/history/none/none"))
	require.True(t, h.Complete)
	require.NotContains(t, s.get("ui/history/none/none").body, "null")
	s.problem(http.StatusBadRequest, "bad_request", s.get("ui/history/g/k?limit=x"))
}

// TestFlags: a parameter that is given says so, with a value or without.
func TestFlags(t *testing.T) {
	store := open(t)
	for _, key := range []string{"a", "b"} {
		require.NoError(t, store.Set("g", key, "v"))
	}
	s := serve(t, store)
	type page struct{ Keys []struct{ Key string } }
	for query, first := range map[string]string{"": "a", "?reverse": "b", "?reverse=": "b", "?reverse=1": "b", "?reverse=true": "b", "?reverse=0": "a", "?reverse=false": "a"} {
		require.Equal(t, first, decode[page](t, s.get("v1/g"+query)).Keys[0].Key, query)
	}
	for _, query := range []string{"state", "state=", "state=true"} {
		l := s.listen(query + "&key=a")
		l.want("open")
		l.want("set")
		l.want("synced")
	}
	s.problem(http.StatusBadRequest, "bad_request", s.get("v1/g?reverse=yes"))
}

// TestStatus: what the store says of itself.
func TestStatus(t *testing.T) {
	clock := testkit.NewClock()
	store := open(t, api.WithClock(clock), api.WithWatchBuffer(1))
	h := inspect.WithBounds(inspect.Handler(store, inspect.WithWrites()), inspect.Bounds{StatsAge: time.Hour})
	s := serveHandler(t, h)
	info := decode[map[string]any](t, s.get("ui/info"))
	require.Equal(t, []any{true, 0., float64(inspect.DefaultMaxBody), nil}, []any{info["writes"], info["revision"], info["max_body"], info["namespace"]})
	scope, err := api.NewScopedWithQuota(store, "tenant", api.QuotaConfig{MaxKeys: 10})
	require.NoError(t, err)
	require.NoError(t, scope.Set("g", "k", "v"))
	_, err = scope.Usage()
	require.NoError(t, err)
	require.NoError(t, store.Set("other:g", "k", "v"))
	require.NoError(t, store.Set("other:h", "k", "v"))
	require.NoError(t, store.Set("no namespace:g", "k", "v"))
	require.NoError(t, store.Set("plain", "k", "v"))
	require.JSONEq(t, `{"namespaces":[{"namespace":"tenant","keys":1,"groups":1,"max_keys":10}],"uncounted":["other"],"more":false}`, s.get("ui/namespaces").body)
	stats := decode[map[string]any](t, s.get("ui/stats"))
	require.Equal(t, []any{5., 5., 5., 1.}, []any{stats["keys"], stats["groups"], stats["revision"], stats["oldest_revision"]})
	require.Equal(t, map[string]any{"ok": true}, stats["health"])
	require.NoError(t, store.Set("plain", "l", "v"))
	stats = decode[map[string]any](t, s.get("ui/stats"))
	require.Equal(t, []any{5., 6.}, []any{stats["keys"], stats["revision"]}, "counted lately, the revision is now's")
	watcher := store.Watch("plain", "*")
	defer store.Unwatch(watcher)
	defer store.OnChange(func(api.Event) {})()
	require.NoError(t, store.Set("plain", "k", "v"))
	require.NoError(t, store.Set("plain", "k", "v"))
	require.JSONEq(t, `{"listeners":[{"kind":"watcher","group":{"match":"exactly","name":"plain"},"key":{"match":"any"},"filters":1,"waiting":1,"capacity":1,"dropped":1,"behind":false}],"callbacks":1,"more":false}`,
		s.get("ui/listeners").body)
	require.Contains(t, s.get("ui/metrics").body, `"collecting":false`)
	for _, path := range []string{"ui/info", "ui/stats", "ui/namespaces", "ui/listeners", "ui/metrics", "metrics", "vars"} {
		s.problem(http.StatusBadRequest, "bad_request", s.get(path+"?nobody=1"))
	}
}

// TestSkips: so many keys are passed over, or as many as there was time for, and the list
// goes on behind them.
func TestSkips(t *testing.T) {
	store := open(t)
	batch := new(api.Batch)
	for i := range 5000 {
		batch.Set("g", fmt.Sprintf("%06d", i), "v")
	}
	_, err := store.Batch(batch)
	require.NoError(t, err)
	s := serve(t, store)
	hurried := serveHandler(t, inspect.WithBounds(inspect.Handler(store), inspect.Bounds{NoTime: true}))
	type page struct {
		Keys    []struct{ Key string }
		Skipped *int
		Cursor  string
	}
	for skip, first := range map[int]string{0: "000000", 1: "000001", 1024: "001024", 4999: "004999"} {
		p := decode[page](t, s.get(fmt.Sprint("v1/g?limit=2&max_value=1&skip=", skip)))
		require.Equal(t, first, p.Keys[0].Key)
		p = decode[page](t, s.get(fmt.Sprint("v1/g?limit=2&reverse=1&skip=", skip)))
		require.Equal(t, fmt.Sprintf("%06d", 4999-skip), p.Keys[0].Key)
	}
	for _, skip := range []int{5000, 5001, 1 << 30} {
		p := decode[page](t, s.get(fmt.Sprint("v1/g?skip=", skip)))
		require.Empty(t, p.Keys)
		require.Equal(t, 5000, *p.Skipped)
		require.Empty(t, p.Cursor)
	}
	left, cursor := 4500, ""
	for range 10 {
		p := decode[page](t, hurried.get(fmt.Sprint("v1/g?limit=1&skip=", left, cursor)))
		left -= *p.Skipped
		if left == 0 {
			require.Equal(t, "004500", p.Keys[0].Key)
			break
		}
		require.Empty(t, p.Keys)
		cursor = "&cursor=" + p.Cursor
	}
	require.Zero(t, left)
}

// TestTreeOfManyGroups: branches with more below them than are walked over.
func TestTreeOfManyGroups(t *testing.T) {
	store := open(t)
	batch := new(api.Batch)
	for _, branch := range []string{"a:", "b:", "c:x:"} {
		for i := range 700 {
			batch.Set(fmt.Sprintf("%s%03d", branch, i), "k", "v")
		}
	}
	batch.Set("a;", "k", "v").Set("b", "k", "v").Set("c:", "k", "v").Set("d", "k", "v")
	_, err := store.Batch(batch)
	require.NoError(t, err)
	for _, s := range []site{serve(t, store), serveHandler(t, inspect.WithBounds(inspect.Handler(store), inspect.Bounds{NoTime: true}))} {
		for _, limit := range []int{1, 2, 1000} {
			require.Equal(t, []string{"a:", "a;", "b", "b:", "c:", "d"}, s.pages("ui/tree", fmt.Sprint("limit=", limit), "nodes", "name"))
			require.Equal(t, []string{"c:", "c:x:"}, s.pages("ui/tree", fmt.Sprint("prefix=c:&limit=", limit), "nodes", "name"))
		}
		require.Len(t, s.pages("ui/tree", "prefix=a:&limit=99", "nodes", "name"), 700)
	}
}

// TestMetricsForCharts: every figure under one name, and those that the charts ask for.
func TestMetricsForCharts(t *testing.T) {
	store, err := api.New(filepath.Join(t.TempDir(), "s.db"), api.WithMetrics())
	require.NoError(t, err)
	defer store.Close()
	s := serve(t, store)
	require.NoError(t, store.Set("g", "k", "v"))
	for range 3 {
		_, err := store.Get("g", "k")
		require.NoError(t, err)
	}
	type histogram struct {
		Unit    string
		Count   uint64
		P50     float64
		Buckets []struct {
			LE    *float64
			Count uint64
		}
	}
	m := decode[struct {
		Collecting bool
		Counters   map[string]uint64
		Gauges     map[string]float64
		Histograms map[string]histogram
	}](t, s.get("ui/metrics"))
	require.True(t, m.Collecting)
	require.Equal(t, uint64(1), m.Counters["requests.set.ok"])
	text := s.want(http.StatusOK, s.get("metrics"))
	require.Contains(t, text.header.Get("Content-Type"), "text/plain; version=0.0.4")
	require.Contains(t, text.body, `gostore_requests_total{kind="set",result="ok"} 1`)
	variables := s.want(http.StatusOK, s.get("vars"))
	require.Contains(t, variables.header.Get("Content-Type"), "application/json")
	require.Contains(t, variables.body, `{"gostore":{`)
	for _, name := range []string{"cache.hits", "cache.misses"} {
		require.Contains(t, m.Counters, name)
	}
	for _, name := range []string{"in_flight", "wal_bytes", "log_bytes", "views"} {
		require.Contains(t, m.Gauges, name)
	}
	for _, name := range []string{"requests.get", "requests.set", "commits", "syncs", "batches", "queue_wait"} {
		h := m.Histograms[name]
		sum := uint64(0)
		for _, bucket := range h.Buckets {
			require.NotZero(t, bucket.Count)
			sum += bucket.Count
		}
		require.Equal(t, h.Count, sum, name)
	}
	require.Equal(t, "ns", m.Histograms["requests.set"].Unit)
	require.Greater(t, m.Histograms["requests.set"].P50, 100., "nanoseconds")
	require.Equal(t, "count", m.Histograms["batches"].Unit)
	figures := 0
	measured := store.Metrics()
	for range measured.Samples() {
		figures++
	}
	require.GreaterOrEqual(t, len(m.Counters)+len(m.Gauges)+len(m.Histograms), figures-4, "two of one name") // requests of other results
}
