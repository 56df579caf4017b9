package api_test

import (
	"context"
	"strings"
	"testing"
	"text/template"
	"time"

	"forge.lthn.ai/core/go-store/api"

	"github.com/stretchr/testify/require"
)

// FuzzRender: whatever a template says, Render ends, and what it renders is what
// text/template itself does.
func FuzzRender(f *testing.F) {
	store := openStore(f, ":memory:")
	fields := map[string]string{"a": "1", "b": `<"two">`, "forty": strings.Repeat("f", 40), "": "empty", "long": strings.Repeat("l", 5000)}
	require.NoError(f, setFields(store, fields))
	all := bombs()
	for _, name := range []string{"a template in itself", "templates that double", "a block in itself", "a long count"} {
		f.Add(all[name])
	}
	for _, source := range []string{`{{.a}}`, `{{range $k, $v := .}}{{$k}}={{$v}};{{end}}`, `{{define "x"}}[{{.}}]{{end}}{{template "x" .a}}`,
		`{{printf "%*.*[1]*d|%[2]q|%-5s|%v" 3 .b .a .}}`, `{{with $x := .a}}{{$x}}{{else with .b}}{{.}}{{end}}`, `{{break}}`, `{{html .b | js | urlquery}}`,
		`{{index . "a"}}{{slice .b 1 3}}{{len .}}{{call .a}}`, `{{range 5}}{{if eq . 3}}{{break}}{{end}}{{.}}{{end}}`, `{{/* c */ -}} x`, `{{block "b" .}}{{end}}`} {
		f.Add(source)
	}
	f.Fuzz(func(t *testing.T, source string) {
		ctx, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
		defer cancel()
		got, err := store.WithContext(ctx).Render(source, "g")
		_, _ = store.WithContext(ctx).RenderStrict(source, "g")
		if err != nil {
			require.Regexp(t, `^store\.Render: (parse|execute) template: `, err.Error())
			return
		}
		require.LessOrEqual(t, len(got), 64<<20)
		if strings.Contains(source, "render") {
			return // it may have called what Render puts in
		}
		var want strings.Builder
		parsed, err := template.New("render").Parse(source)
		require.NoError(t, err)
		require.NoError(t, parsed.Execute(&want, fields), "%s", source)
		require.Equal(t, want.String(), got, "%s", source)
	})
}

// FuzzScan: no options make a scan tell what lies outside of its namespace.
func FuzzScan(f *testing.F) {
	store := openStore(f, ":memory:")
	for _, group := range []string{"a:g", "a:h", "a;", "a", "aa:g", "", "b:g"} {
		require.NoError(f, store.Set(group, "k", "v"))
		require.NoError(f, store.Set(group, "", "v"))
	}
	scoped := newScope(f, store, "a")
	var cursor string
	for entry, err := range scoped.Scan(api.ScanOptions{Limit: 1}) {
		require.NoError(f, err)
		cursor = entry.Cursor()
	}
	f.Add("g", "", "", cursor, true, 3)
	f.Add("", "k", "\xff", "", false, -1)
	f.Fuzz(func(t *testing.T, prefix, from, to, cursor string, reverse bool, limit int) {
		for _, groups := range []api.Match{api.Prefix(prefix), api.Exactly(prefix)} {
			for entry, err := range scoped.Scan(api.ScanOptions{Groups: groups, From: from, To: to, Cursor: cursor, Reverse: reverse, Limit: limit}) {
				if err == nil && entry.Group != "g" && entry.Group != "h" {
					t.Fatalf("it sees the group %q", entry.Group)
				}
			}
		}
	})
}
