package inspect_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"path"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"forge.lthn.ai/core/go-store/inspect"
)

// hostile are names that something on the way takes for something else.
var hostile = []string{
	"", ".", "..", "...", "/", "//", "a/b", "/a", "a/", "../x", "./x", "\\", "a\\..\\b", "%", "%2F", "%2f", "%00", "%zz", "\x00", "a\x00b",
	"\xFF", "\xFF\xFE", "a\xC3", "é", "日本", "e\u0301", "\u202E", "\uFEFF", "\uFFFD", "<script>alert(1)</script>", "'\"&<>", "a b", "+", "a+b",
	"?", "a?b=c", "#", "a#b", ";", "a;b", ",", ",abc", ",,", ":", "a:b", "@", "=", "&", "$", "*", "~", "!", "watch", "v1", "ui", "index.html",
	"\r\n", "a\nb", "\t", "\x7F", "\u0085", "\u2028", "javascript:alert(1)", "data:text/html,x", "C:\\x", "CON", "-", strings.Repeat("ä", 1000), strings.Repeat("x", 10_000),
}

// spellings of a name as a segment: all that percent-encode are right, and so is ours.
func spellings(name string) []string {
	hex := ""
	for _, b := range []byte(name) {
		hex += fmt.Sprintf("%%%02x", b)
	}
	return []string{hex, inspect.SegmentOf(name), "," + base64.RawURLEncoding.EncodeToString([]byte(name)), "," + base64.URLEncoding.EncodeToString([]byte(name))}
}

// FuzzSegments: a name comes back from its segment, which is one, and which nothing on
// the way changes.
func FuzzSegments(f *testing.F) {
	for _, name := range hostile {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		segment := inspect.SegmentOf(name)
		back, err := inspect.NameOf(segment)
		require.NoError(t, err)
		require.Equal(t, name, back)
		require.NotContains(t, segment, "/")
		require.Equal(t, "/"+segment, path.Clean("/"+segment))
		parsed, err := url.Parse("http://h/a/" + segment + "/b")
		require.NoError(t, err)
		require.Equal(t, "/a/"+segment+"/b", parsed.EscapedPath())
		require.NotContains(t, strings.ToLower(segment), "%2e")
		for _, b := range []byte(segment) {
			require.True(t, b > ' ' && b < 0x7F && !strings.ContainsRune(`"<>?#\^{|}`+"`", rune(b)), "%q", segment)
		}
		if name != "" && !strings.ContainsAny(name, "/,") {
			back, err = inspect.NameOf(url.PathEscape(name))
			require.NoError(t, err)
			require.Equal(t, name, back)
		}
	})
}

// TestNamesRoundTrip through a server, a ServeMux and StripPrefix, as group and as key, by
// every spelling, byte for byte.
func TestNamesRoundTrip(t *testing.T) {
	store := open(t)
	s := serve(t, store, inspect.WithWrites())
	for i, name := range hostile {
		group := hostile[(i*7+3)%len(hostile)]
		value := fmt.Sprint("value ", i)
		for n, key := range spellings(name) {
			if name == "" && n == 0 {
				continue // ServeMux cleans a//b away
			}
			groups := spellings(group)
			at := "v1/" + groups[max(n, 1)] + "/" + key
			if group == "" || group == "." || group == ".." {
				at = "v1/" + groups[1] + "/" + key
			}
			s.want(http.StatusCreated, s.do("PUT", at, value))
			got, err := store.Get(group, name)
			require.NoError(t, err)
			require.Equal(t, value, got)
			require.Equal(t, value, s.want(http.StatusOK, s.get(at)).body)
			entry := s.want(http.StatusOK, s.get("ui/entry/"+groups[1]+"/"+key))
			require.Equal(t, name, named(t, entry.body, "key"))
			require.Equal(t, group, named(t, entry.body, "group"))
			history := s.want(http.StatusOK, s.get("ui/history/"+groups[1]+"/"+key))
			var changes struct{ Events []json.RawMessage }
			require.NoError(t, json.Unmarshal([]byte(history.body), &changes))
			require.Equal(t, name, named(t, string(changes.Events[0]), "key"))
			s.want(http.StatusNoContent, s.do("DELETE", at, ""))
			s.problem(http.StatusNotFound, "not_found", s.get(at))
		}
	}
}

// TestEmptySegments are names too, where nothing has cleaned them away.
func TestEmptySegments(t *testing.T) {
	store := open(t)
	require.NoError(t, store.Set("", "", "both"))
	require.NoError(t, store.Set("g", "", "key"))
	require.NoError(t, store.Set("", "k", "group"))
	h := inspect.Handler(store)
	for target, want := range map[string]string{"/v1//": "both", "/v1/,/,": "both", "/v1/g/": "key", "/v1//k": "group", "/v1/,/k": "group"} {
		w := direct(h, "GET", "http://localhost"+target, "localhost", "127.0.0.1:5")
		require.Equal(t, want, w.Body.String(), target)
	}
}

// named is a name in JSON, which stands in one of two fields.
func named(t require.TestingT, text, field string) string {
	var fields map[string]any
	require.NoError(t, json.Unmarshal([]byte(text), &fields))
	plain, isText := fields[field].(string)
	encoded, isEncoded := fields[field+"_base64"].(string)
	require.NotEqual(t, isText, isEncoded, "one of two: %s", text)
	if isText {
		return plain
	}
	decoded, err := base64.StdEncoding.DecodeString(encoded)
	require.NoError(t, err)
	return string(decoded)
}

// TestSegmentsThatAreNone are refused, and nothing is done for them.
func TestSegmentsThatAreNone(t *testing.T) {
	store := open(t)
	require.NoError(t, store.Set("g", "k", "v"))
	s := serve(t, store, inspect.WithWrites())
	for _, segment := range []string{",!", ",a", ",aGk%", ",aGl", ",aGk\xFF", ",a+b/", ",%61", ",aGk===x"} {
		if _, err := url.Parse("http://h/" + segment); err != nil || strings.Contains(segment, "/") {
			continue // no client sends it, or it is two
		}
		for _, at := range []string{"v1/" + segment, "v1/g/" + segment, "v1/" + segment + "/k", "ui/entry/g/" + segment} {
			a := s.get(at)
			require.Contains(t, []int{400, 404}, a.status, "%s: %s", at, a.body)
			require.Equal(t, "application/problem+json", a.header.Get("Content-Type"))
		}
	}
	all, err := store.GetAll("g")
	require.NoError(t, err)
	require.Len(t, all, 1)
}

// TestNamesInQueries: bytes and base64 mean the same, and both at once nothing.
func TestNamesInQueries(t *testing.T) {
	store := open(t)
	for _, name := range hostile {
		require.NoError(t, store.Set(name, "k", "v"))
	}
	s := serve(t, store)
	rapid.Check(t, func(t *rapid.T) {
		prefix := rapid.SampledFrom(hostile).Draw(t, "name")
		prefix = prefix[:rapid.IntRange(0, len(prefix)).Draw(t, "length")]
		want, err := store.Groups(prefix)
		require.NoError(t, err)
		std, raw := base64.StdEncoding.EncodeToString([]byte(prefix)), base64.RawURLEncoding.EncodeToString([]byte(prefix))
		for _, query := range []string{"prefix=" + url.QueryEscape(prefix), "prefix_base64=" + url.QueryEscape(std), "prefix_base64=" + std, "prefix_base64=" + raw} {
			var list struct{ Groups []json.RawMessage }
			a := s.get("v1/?limit=1000&" + query)
			require.Equal(t, 200, a.status, a.body)
			require.NoError(t, json.Unmarshal([]byte(a.body), &list))
			var got []string
			for _, group := range list.Groups {
				name := named(t, string(group), "group")
				got = append(got, name)
				var item struct{ Segment string }
				require.NoError(t, json.Unmarshal(group, &item))
				back, err := inspect.NameOf(item.Segment)
				require.NoError(t, err)
				require.Equal(t, name, back)
			}
			require.ElementsMatch(t, want, got, query)
		}
	})
	for _, query := range []string{"prefix=a&prefix=b", "prefix=a&prefix_base64=YQ", "prefix_base64=!", "prefix_base64=a", "prefix_base64=YR", "nobody=1", "Prefix=a",
		"limit=0", "limit=-1", "limit=1001", "limit=x", "limit=", "limit=01", "limit=1e2", "limit=18446744073709551617", "prefix=%zz", "a;b"} {
		s.problem(http.StatusBadRequest, "bad_request", s.get("v1/?"+query))
	}
}
