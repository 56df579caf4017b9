package main

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"forge.lthn.ai/core/go-store/api"
)

func TestList(t *testing.T) {
	until := time.UnixMilli(time.Now().Add(time.Hour).UnixMilli())
	db := filled(t, func(batch *api.Batch) {
		batch.Set("g", "", "empty").Set("g", "a\tb", "x\ny\x1b[31m").SetUntil("g", "\xff\x00", `\"`, until).Set("h", "k", "v")
	})
	list := func(flags ...string) outcome { return gostore(append([]string{"list", "--db", db}, flags...)...) }
	assert.Equal(t, printed("\tempty\n"+`a\tb`+"\t"+`x\ny\x1b[31m`+"\n"+`\xff\x00`+"\t"+`\\"`+"\n"), list("g"))
	assert.Equal(t, printed("\n"+`a\tb`+"\n"+`\xff\x00`+"\n"), list("--keys", "g"))
	assert.Equal(t, printed(""), list("nothing"))
	assert.Equal(t, printed(`{"key":"","value":"empty","revision":1}
{"key":"a\tb","value":"x\ny\u001b[31m","revision":1}
`+fmt.Sprintf(`{"key64":"/wA=","value":"\\\"","revision":1,"expires_ms":%d}`, until.UnixMilli())+"\n"), list("--json", "g"))

	assert.Equal(t, printed("\tempty\n"), list("--limit", "1", "g"))
	assert.Equal(t, printed(`a\tb`+"\n"), list("--keys", "--limit", "1", "--after", "", "g"))
	assert.Equal(t, printed(`\xff\x00`+"\n"), list("--keys", "--after", "a\tb", "g"))
	assert.Equal(t, printed(`\xff\x00`+"\n"), list("--keys", "--after", "b", "--limit", "9", "g"), "a key that isn't there")
	assert.Equal(t, printed(""), list("--keys", "--after64", "/wA=", "g"))
}

func TestGroups(t *testing.T) {
	db := filled(t, func(batch *api.Batch) {
		for _, group := range []string{"", "a:x", "a:y\n", "b", "\xff"} {
			batch.Set(group, "k", "v")
		}
	})
	groups := func(flags ...string) outcome { return gostore(append([]string{"groups", "--db", db}, flags...)...) }
	assert.Equal(t, printed("\na:x\n"+`a:y\n`+"\nb\n"+`\xff`+"\n"), groups())
	assert.Equal(t, printed("a:x\n"+`a:y\n`+"\n"), groups("a:"))
	assert.Equal(t, printed(""), groups("c"))
	assert.Equal(t, printed(`{"group":""}`+"\n"+`{"group":"a:x"}`+"\n"), groups("--json", "--limit", "2"))
	assert.Equal(t, printed("b\n"), groups("--after", "a:y\n", "--limit", "1"))
	assert.Equal(t, printed(`{"group64":"/w=="}`+"\n"), groups("--after64", "Yg==", "--json"))
}

// Page after page is the whole.
func TestList_Pages(t *testing.T) {
	db := filled(t, func(batch *api.Batch) {
		for i := range 25 {
			batch.Set("g", fmt.Sprintf("%02d", i), "v")
		}
	})
	whole := gostore("list", "--db", db, "--keys", "g").stdout
	paged, after := "", ""
	for {
		page := gostore("list", "--db", db, "--keys", "--limit", "7", "--after", after, "g").stdout
		if page == "" {
			break
		}
		paged += page
		keys := strings.Fields(page)
		assert.LessOrEqual(t, len(keys), 7)
		after = keys[len(keys)-1]
	}
	assert.Equal(t, whole, paged)
}

func TestRender(t *testing.T) {
	db := filled(t, func(batch *api.Batch) { batch.Set("site", "name", "ä<b>").Set("site", "a key", "1") })
	file := table(t, "page.tmpl", "name={{ .name }}\n")
	assert.Equal(t, printed("ä<b> 1"), gostore("render", "--db", db, `{{ .name }} {{ index . "a key" }}`, "site"))
	assert.Equal(t, printed("name=ä<b>\n"), gostore("render", "--db", db, "@"+file, "site"))
	assert.Equal(t, printed("stdin"), gostoreReading(t.Context(), strings.NewReader("stdin"), "render", "--db", db, "@-", "site"))
	assert.Equal(t, printed(`{"text":"ä<b>\n"}`+"\n"), gostore("render", "--json", "--db", db, "{{ .name }}\n", "site"))
	got := gostore("render", "--db", db, "{{", "site")
	assert.Equal(t, failed, got.code)
	assert.Contains(t, got.stderr, "store.RenderStrict: parse template: ")
	assert.Equal(t, failed, gostore("render", "--db", db, "@"+file+".gone", "site").code)
}

func TestGetAndCount_JSON(t *testing.T) {
	db := filled(t, func(batch *api.Batch) { batch.Set("g", "k", "\xff") })
	assert.Equal(t, printed(`{"key":"k","value64":"/w==","revision":1}`+"\n"), gostore("get", "--db", db, "--json", "g", "k"))
	assert.Equal(t, printed(`{"keys":1}`+"\n"), gostore("count", "--db", db, "--json", "g"))
}

func TestStats(t *testing.T) {
	db := filled(t, func(batch *api.Batch) {
		batch.Set("a:x", "k", "v").Set("a:y", "k", "v").Set("a:y", "l", "v").Set("b-1:", "k", "v").Set("no namespace:x", "k", "v").Set("plain", "k", "v")
	})
	got := gostore("stats", "--db", db, "--json")
	require.Zero(t, got.code, got.stderr)
	var stats statistics
	require.NoError(t, json.Unmarshal([]byte(got.stdout), &stats))
	assert.Equal(t, [4]int64{6, 5, 0, 1}, [4]int64{stats.Keys, stats.Groups, stats.Expired, int64(stats.Revision)})
	assert.EqualValues(t, 1, *stats.OldestRevision)
	assert.Equal(t, []namespaceLine{{"a", 3, 2}, {"b-1", 1, 1}}, stats.Namespaces)
	assert.Positive(t, stats.FileBytes)
	assert.Positive(t, stats.LogBytes)
	assert.Zero(t, stats.WALBytes)
	assert.Contains(t, gostore("stats", "--db", db).stdout, "namespace a                 3 keys in 2 groups\n")

	owner, err := api.New(db)
	require.NoError(t, err)
	require.NoError(t, owner.Set("c", "k", "v"))
	got = gostore("stats", "--db", db, "--json")
	require.NoError(t, json.Unmarshal([]byte(got.stdout), &stats))
	assert.Positive(t, stats.WALBytes)
	assert.EqualValues(t, 2, stats.Revision)
	require.NoError(t, owner.Close())

	discarded, err := api.New(db, api.WithDiscardedLog())
	require.NoError(t, err)
	require.NoError(t, discarded.Close())
	assert.Contains(t, gostore("stats", "--db", db, "--json").stdout, `"oldest_revision":null,"log_begins":null`)
	assert.Contains(t, gostore("stats", "--db", db).stdout, "oldest revision in the log  none\n")
}

func TestCompletion(t *testing.T) {
	db := filled(t, func(batch *api.Batch) {
		batch.Set("config", "theme", "v").Set("config", "title", "v").Set("config", "other", "v").Set("b\x00", "k", "v")
		for i := range mostCompletions + 50 {
			batch.Set("many", fmt.Sprintf("%04d", i), "v")
		}
	})
	const end = ":4\n"
	for name, test := range map[string]struct {
		arguments []string
		want      string
	}{
		"groups":          {[]string{"list", "--db", db, ""}, "config\nmany\n" + end},
		"groups begun":    {[]string{"get", "--db", db, "co"}, "config\n" + end},
		"keys":            {[]string{"get", "--db", db, "config", "t"}, "theme\ntitle\n" + end},
		"enough":          {[]string{"get", "--db", db, "config", "theme", ""}, end},
		"formats":         {[]string{"export", "--db", db, "--format", ""}, "jsonl\ncsv\ntsv\n" + end},
		"no database":     {[]string{"get", ""}, end},
		"a missing one":   {[]string{"get", "--db", db + ".gone", ""}, end},
		"one group alone": {[]string{"count", "--db", db, "config", ""}, end},
	} {
		t.Run(name, func(t *testing.T) {
			got := gostore(append([]string{"__complete"}, test.arguments...)...)
			assert.Zero(t, got.code)
			assert.Equal(t, test.want, got.stdout)
		})
	}
	many := gostore("__complete", "get", "--db", db, "many", "").stdout
	assert.Equal(t, mostCompletions+1, strings.Count(many, "\n"))
	assert.NoFileExists(t, db+".gone")
	for _, shell := range []string{"bash", "zsh", "fish", "powershell"} {
		got := gostore("completion", shell)
		assert.Zero(t, got.code, got.stderr)
		assert.Contains(t, got.stdout, "gostore")
	}
}

func TestRun_MissingAndForeignFilesAreNotRead(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "missing.db")
	notes := table(t, "notes.txt", strings.Repeat("nothing but notes\n", 1000))
	for _, command := range [][]string{{"list", "g"}, {"groups"}, {"render", "t", "g"}, {"stats"}, {"export"}} {
		got := gostore(append(command, "--db", missing)...)
		assert.Equal(t, outcome{failed, "", "gostore: " + missing + " does not exist; 'gostore import' and 'gostore set' create a database\n"}, got)
		got = gostore(append(command, "--db", notes)...)
		assert.Equal(t, failed, got.code)
		assert.Contains(t, got.stderr, "not a go-store database")
	}
	assert.NoFileExists(t, missing)
}

// A typing mistake in a template must not end up in a configuration.
func TestRender_OfAMissingKeyFails(t *testing.T) {
	db := filled(t, func(batch *api.Batch) { batch.Set("site", "name", "n").Set("site", "empty", "") })
	for template, want := range map[string]string{
		"before {{ .title }}":   `at <.title>: map has no entry for key "title"`,
		`{{ index . "title" }}`: `error calling index: map has no entry for key "title"`,
		`{{ define "t" }}{{ index . "title" }}{{ end }}{{ template "t" . }}`: `error calling index: map has no entry for key "title"`,
		`{{ if .title }}{{ end }}`: `map has no entry for key "title"`,
		`{{ $.title }}`:            `map has no entry for key "title"`,
		`{{ printf "%s" .title }}`: `map has no entry for key "title"`,
		`{{ index . 1 }}`:          `a key is a string, not 1`,
		`{{ index .name 1 }}`:      `index out of range: 1`,
		`{{ index .name 0 0 }}`:    `can't index 110`,
	} {
		got := gostore("render", "--db", db, template, "site")
		assert.Equal(t, failed, got.code, template)
		assert.Empty(t, got.stdout, template)
		assert.Contains(t, got.stderr, "store.RenderStrict: execute template: ", template)
		assert.Contains(t, got.stderr, want, template)
		assert.Contains(t, got.stderr, "--allow-missing", template)
	}
	assert.Equal(t, failed, gostore("render", "--db", db, "{{ .name }}", "no group").code)
	assert.Equal(t, printed("n110  site"), gostore("render", "--db", db, `{{ index . "name" }}{{ index .name 0 }} {{ .empty }} {{ "site" }}`, "site"))
	assert.Equal(t, printed("<no value>.dark"), gostore("render", "--db", db, "--allow-missing", `{{ .title }}{{ index . "title" }}.{{ or .theme "dark" }}`, "site"))
	assert.Equal(t, failed, gostore("render", "--db", db, "--allow-missing", `{{`, "site").code)
}
