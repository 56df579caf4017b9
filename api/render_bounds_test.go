package api_test

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"forge.lthn.ai/core/go-store/api"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// bombs are templates that would take for ever, or all memory.
func bombs() map[string]string {
	all := map[string]string{
		"a loop over loops":      strings.Repeat("{{range $}}", 12) + strings.Repeat("{{end}}", 12),
		"a loop that prints":     strings.Repeat("{{range $}}", 4) + "{{$.large}}" + strings.Repeat("{{end}}", 4),
		"a long count":           `{{range $i := 2000000000}}{{end}}`,
		"a long action":          `{{range $i := 2000000}}{{$x := and` + strings.Repeat(" 1", 400_000) + `}}{{end}}`,
		"long brackets":          `{{range $i := 2000000}}{{$x := (and` + strings.Repeat(" (and 1)", 100_000) + `)}}{{end}}`,
		"a template in itself":   `{{define "x"}}{{template "x" .}}{{end}}{{template "x" .}}`,
		"templates that double":  `{{define "x"}}{{if .}}{{template "x" (slice . 1)}}{{template "x" (slice . 1)}}{{end}}{{end}}{{template "x" .forty}}`,
		"a block in itself":      `{{block "x" .}}{{template "x" .}}{{end}}`,
		"a width":                strings.Repeat(`{{printf "%1000000d" 1}}`, 200),
		"many widths":            `{{printf "` + strings.Repeat("%999999d", 2000) + `" ` + strings.Repeat("1 ", 2000) + `}}`,
		"a width by argument":    `{{printf "` + strings.Repeat("%*d", 2000) + `" ` + strings.Repeat("999999 1 ", 2000) + `}}`,
		"one argument often":     `{{printf "` + strings.Repeat("%[1]s", 2000) + `" .large}}`,
		"a precision":            `{{printf "` + strings.Repeat("%.999999f", 2000) + `" ` + strings.Repeat("1.5 ", 2000) + `}}`,
		"a text that doubles":    `{{$x := .large}}` + strings.Repeat(`{{$x = printf "%s%s" $x $x}}`, 60) + `{{len $x}}`,
		"a text that is joined":  `{{$x := .large}}` + strings.Repeat(`{{$x = print $x $x}}`, 60) + `{{len $x}}`,
		"a line that is joined":  `{{$x := .large}}` + strings.Repeat(`{{$x = println $x $x}}`, 60) + `{{len $x}}`,
		"a text that is quoted":  `{{$x := .quotes}}` + strings.Repeat(`{{$x = printf "%q" $x}}`, 40) + `{{len $x}}`,
		"a text that is escaped": `{{$x := .quotes}}` + strings.Repeat(`{{$x = html $x}}`, 60) + strings.Repeat(`{{$x = urlquery $x}}`, 60) + strings.Repeat(`{{$x = js $x}}`, 60) + `{{len $x}}`,
		"a hexadecimal text":     `{{$x := .large}}` + strings.Repeat(`{{$x = printf "%# x" $x}}`, 40) + `{{len $x}}`,
		"the whole group often":  `{{$x := ""}}` + strings.Repeat(`{{$x = printf "%s%v%#v" $x $ $}}`, 3000) + `{{len $x}}`,
		"blocks in blocks":       strings.Repeat("{{range $}}", 50_000) + strings.Repeat("{{end}}", 50_000),
		"loops in templates":     `{{define "x"}}` + strings.Repeat("{{range $i := 1}}", 31) + `{{template "x" $}}` + strings.Repeat("{{end}}", 31) + `{{end}}{{template "x" .}}`,
		"a long source":          strings.Repeat("x", 2<<20),
	}
	variables := ""
	for i := range 2000 {
		variables += fmt.Sprintf(`{{$x%d := print .large .large}}`, i)
	}
	all["many variables"] = variables
	return all
}

func setFields(store *api.Store, fields map[string]string) error {
	var items []api.Item
	for key, value := range fields {
		items = append(items, api.Item{Group: "g", Key: key, Value: value})
	}
	return store.SetAll(items)
}

func filledForBombs(t *testing.T) *api.Store {
	store := openStore(t, ":memory:")
	fields := map[string]string{"large": strings.Repeat("x", 1<<20), "forty": strings.Repeat("f", 40), "quotes": strings.Repeat(`"<&`, 1000)}
	for i := range 100 {
		fields[fmt.Sprintf("k%d", i)] = "v"
	}
	require.NoError(t, setFields(store, fields))
	return store
}

// Whatever a template says, Render ends, and takes no more memory than it may.
func TestRenderIsBounded(t *testing.T) {
	t.Cleanup(api.LowerRenderBounds())
	store := filledForBombs(t)
	for name, source := range bombs() {
		for strict, render := range map[bool]func(string, string) (string, error){false: store.Render, true: store.RenderStrict} {
			if strict && name != "a width" && name != "a long count" {
				continue // it is all one
			}
			t.Run(fmt.Sprintf("%s, strict %t", name, strict), func(t *testing.T) {
				var before, after runtime.MemStats
				runtime.ReadMemStats(&before)
				began := time.Now()
				text, err := render(source, "g")
				took := time.Since(began)
				runtime.ReadMemStats(&after)
				require.ErrorIs(t, err, api.TooLargeError)
				assert.Empty(t, text)
				assert.Less(t, took, 60*time.Second)
				assert.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(8<<30), "in all")
				assert.Less(t, int64(after.HeapSys)-int64(before.HeapSys), int64(1<<30), "at once")
			})
		}
	}
}

// A template that is parsed in another, a hundred thousand times, ends without taking
// the program with it.
func TestRenderOfNestedTemplates(t *testing.T) {
	store := filledForBombs(t)
	const most = 1 << 18
	for _, source := range []string{
		strings.Repeat("{{if 1}}", most/16) + strings.Repeat("{{end}}", most/16),
		"{{" + strings.Repeat("(", most/4) + "1" + strings.Repeat(")", most/4) + "}}",
		strings.Repeat("{{range $}}", most/20) + strings.Repeat("{{end}}", most/20),
		strings.Repeat("{{with 1}}{{else}}", most/30) + strings.Repeat("{{end}}", most/30),
		"{{" + strings.Repeat("1 | ", most/5) + "print}}",
		"{{." + strings.Repeat("x.", most/3) + "x}}",
	} {
		_, _ = store.Render(source, "g")
	}
}

// What counts a template's steps is not the template's to call.
func TestRenderKeepsItsOwnFunctions(t *testing.T) {
	store := filledForBombs(t)
	for _, name := range []string{"renderStep", "renderEnter", "renderLeave"} {
		_, err := store.Render("{{"+name+"}}", "g")
		require.ErrorContains(t, err, "store.Render: parse template: ")
	}
}

func TestRenderObeysItsContext(t *testing.T) {
	store := filledForBombs(t)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err := store.WithContext(ctx).Render(`{{range $i := 2000000000}}{{end}}`, "g")
	require.ErrorIs(t, err, context.Canceled)
	ctx, cancel = context.WithTimeout(context.Background(), 10*time.Millisecond)
	defer cancel()
	began := time.Now()
	_, err = store.WithContext(ctx).Render(`{{range $}}{{range $}}{{range $}}{{range $}}{{end}}{{end}}{{end}}{{end}}`, "g")
	require.ErrorIs(t, err, context.DeadlineExceeded)
	assert.Less(t, time.Since(began), 5*time.Second)
}

// What is bounded is otherwise text/template's.
func TestRenderOfEverythingElse(t *testing.T) {
	store := openStore(t, ":memory:")
	require.NoError(t, setFields(store, map[string]string{"a": "1", "b": `<"two">`, "large": strings.Repeat("y", 4<<20)}))
	for source, want := range map[string]string{
		`{{.a}}{{if .b}}yes{{else}}no{{end}}{{with .none}}{{else}}without{{end}}`:                                           "1yeswithout",
		`{{range $k, $v := .}}{{if eq $k "large"}}{{continue}}{{end}}{{$k}}={{$v}};{{end}}`:                                 `a=1;b=<"two">;`,
		`{{range $k, $v := .}}{{$k}}{{break}}{{end}}`:                                                                       "a",
		`{{define "x"}}[{{.}}]{{end}}{{template "x" .a}}{{template "x" .b}}`:                                                `[1][<"two">]`,
		`{{printf "%5s|%-5d|%q|%x|%.2f|%v|%%|%08.3f" .a 42 .b .a 1.5 true 3.14159}}`:                                        `    1|42   |"<\"two\">"|31|1.50|true|%|0003.142`,
		`{{html .b}} {{js .b}} {{urlquery .b}} {{print 1 2 .a}} {{println .a}}`:                                             "&lt;&#34;two&#34;&gt; \\u003C\\\"two\\\"\\u003E %3C%22two%22%3E 1 21 1\n",
		`{{len .large}} {{index . "a"}} {{slice .b 0 1}} {{and .a .b}} {{not .a}} {{or "" .a}}`:                             `4194304 1 < <"two"> false 1`,
		`{{printf "%s%s" .large .large | len}}`:                                                                             "8388608",
		`{{block "y" .a}}b{{.}}{{end}}{{/* a comment */}}{{- " trimmed " -}}   {{range 3}}{{.}}{{end}}`:                     "b1 trimmed 012",
		strings.Repeat(`{{if eq .a "x"}}{{else `, 1) + strings.Repeat(`if eq .a "y"}}{{else `, 100) + `if .a}}found{{end}}`: "found",
		``: "",
	} {
		got, err := store.Render(source, "g")
		require.NoError(t, err, source)
		assert.Equal(t, want, got)
	}
	_, err := store.Render(`{{printf "%d" .a | index .a}}`, "g")
	assert.ErrorContains(t, err, `store.Render: execute template: template: render:1:`)
	scoped := newScope(t, store, "tenant")
	require.NoError(t, scoped.Set("g", "a", "mine"))
	got, err := scoped.RenderStrict(`{{.a}}`, "g")
	require.NoError(t, err)
	assert.Equal(t, "mine", got)
	for _, source := range []string{`{{.none}}`, `{{index . "none"}}`, `{{index .a 7}}`} {
		_, err = scoped.RenderStrict(source, "g")
		assert.ErrorContains(t, err, "store.RenderStrict: execute template: ", source)
	}
}
