package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"forge.lthn.ai/core/go-store/api"
)

const noSuchKey = "gostore: no key \"x\" in group \"g\", or it has expired\n"

func TestTTL(t *testing.T) {
	db := filled(t, func(batch *api.Batch) {
		batch.Set("g", "stays", "v").SetWithTTL("g", "goes", "v", 90*time.Minute).SetWithTTL("g", "x", "v", time.Nanosecond)
	})
	assert.Equal(t, printed("none\n"), gostore("ttl", "--db", db, "g", "stays"))
	assert.Equal(t, printed(`{"key":"stays"}`+"\n"), gostore("ttl", "--db", db, "--json", "g", "stays"))
	assert.Equal(t, outcome{failed, "", noSuchKey}, gostore("ttl", "--db", db, "g", "x"), "it has expired")
	assert.Equal(t, outcome{failed, "", strings.Replace(noSuchKey, `"x"`, `"y"`, 1)}, gostore("ttl", "--db", db, "--json", "g", "y"))

	left, err := time.ParseDuration(strings.TrimSpace(gostore("ttl", "--db", db, "g", "goes").stdout))
	require.NoError(t, err)
	assert.Greater(t, left, 80*time.Minute)
	assert.LessOrEqual(t, left, 90*time.Minute)
	var asJSON struct {
		Key         string
		ExpiresMS   int64 `json:"expires_ms"`
		RemainingMS int64 `json:"remaining_ms"`
	}
	require.NoError(t, json.Unmarshal([]byte(gostore("ttl", "--db", db, "--json", "g", "goes").stdout), &asJSON))
	assert.Equal(t, "goes", asJSON.Key)
	assert.InDelta(t, time.Now().UnixMilli()+asJSON.RemainingMS, asJSON.ExpiresMS, 60_000)
}

// Another program may have set any deadline.
func TestTTL_LongerThanADuration(t *testing.T) {
	db := withForeignDeadlines(t)
	assert.Regexp(t, `^527\d{6}h\d+m[\d.]+s\n$`, gostore("ttl", "--db", db, "g", "b").stdout)
	assert.Contains(t, gostore("ttl", "--db", db, "--json", "g", "b").stdout, `"expires_ms":1900000000000000,"remaining_ms":18`)
	for milliseconds, want := range map[int64]string{
		1: "1ms", 90_500: "1m30.5s", 9223372036854: "2562047h47m16.854s", 9223372036855: "2562047h47m16.855s",
		9223372800000: "2562048h0m0s", 1<<63 - 1: "2562047788015h12m55.807s",
	} {
		assert.Equal(t, want, durationText(milliseconds))
	}
}

func TestTouch(t *testing.T) {
	db := filled(t, func(batch *api.Batch) { batch.Set("g", "k", "v") })
	touch := func(arguments ...string) outcome {
		return gostore(append([]string{"touch", "--db", db}, arguments...)...)
	}
	assert.Equal(t, printed(""), touch("g", "k", "1h30m"))
	assert.Regexp(t, `^1h\d+m`, gostore("ttl", "--db", db, "g", "k").stdout)
	assert.Equal(t, printed(""), touch("g", "k", "1h"), "a later one wins")
	assert.Regexp(t, `^59m|^1h0m`, gostore("ttl", "--db", db, "g", "k").stdout)
	assert.Equal(t, printed(""), touch("--persist", "g", "k"))
	assert.Equal(t, printed("none\n"), gostore("ttl", "--db", db, "g", "k"))
	assert.Equal(t, printed("v\n"), gostore("get", "--db", db, "g", "k"), "the value stays")
	assert.Equal(t, outcome{failed, "", noSuchKey}, touch("g", "x", "1h"))
	assert.Equal(t, outcome{failed, "", noSuchKey}, touch("--persist", "g", "x"))
}

func TestIncrement(t *testing.T) {
	db := filepath.Join(t.TempDir(), "s.db")
	increment := func(arguments ...string) outcome {
		return gostore(append([]string{"increment", "--db", db}, arguments...)...)
	}
	assert.Equal(t, printed("1\n"), increment("hits", "total"), "the database is created")
	assert.Equal(t, printed("42\n"), increment("hits", "total", "41"))
	assert.Equal(t, printed("-8\n"), increment("--", "hits", "total", "-50"))
	assert.Equal(t, printed("-8\n"), gostore("get", "--db", db, "hits", "total"))
	assert.Equal(t, printed("9223372036854775799\n"), increment("hits", "total", "9223372036854775807"))
	for _, delta := range []string{"9", "9223372036854775807"} {
		got := increment("hits", "total", delta)
		assert.Equal(t, failed, got.code)
		assert.Contains(t, got.stderr, "exceed 64 bits")
	}
	require.Zero(t, gostore("set", "--db", db, "--ttl", "1h", "hits", "text", "05").code)
	got := increment("hits", "text")
	assert.Equal(t, failed, got.code)
	assert.Contains(t, got.stderr, "not a number")
	assert.Equal(t, printed("05\n"), gostore("get", "--db", db, "hits", "text"))
	require.Zero(t, gostore("set", "--db", db, "--ttl", "1h", "hits", "number", "5").code)
	assert.Equal(t, printed("6\n"), increment("hits", "number"))
	assert.NotEqual(t, "none\n", gostore("ttl", "--db", db, "hits", "number").stdout, "it keeps its deadline")
}

func TestCas(t *testing.T) {
	db := filepath.Join(t.TempDir(), "s.db")
	cas := func(arguments ...string) outcome {
		return gostore(append([]string{"cas", "--db", db}, arguments...)...)
	}
	const anew = ": nothing was written; read it again with 'gostore get --json' and decide anew\n"
	assert.Equal(t, failed, cas("--revision", "1", "g", "k", "v").code)
	assert.NoFileExists(t, db)

	assert.Equal(t, printed("1\n"), cas("--absent", "g", "k", "1"), "the database is created")
	assert.Equal(t, outcome{mismatched, "", `gostore: key "k" in group "g" is there, at revision 1` + anew}, cas("--absent", "g", "k", "2"))
	assert.Equal(t, printed("2\n"), cas("--revision", "1", "g", "k", "2"))
	assert.Equal(t, outcome{mismatched, "", `gostore: key "k" in group "g" has revision 2, not 1` + anew}, cas("--revision", "1", "g", "k", "3"))
	assert.Equal(t, printed("3\n"), cas("--present", "--ttl", "1h", "g", "k", "3"))
	assert.Equal(t, outcome{mismatched, "", `gostore: key "x" in group "g" is not there, or has expired` + anew}, cas("--present", "g", "x", "3"))
	assert.Equal(t, outcome{mismatched, "", `gostore: key "x" in group "g" is not there, or has expired` + anew}, cas("--revision", "3", "g", "x", "3"))
	assert.Regexp(t, `^(59m|1h0m)`, gostore("ttl", "--db", db, "g", "k").stdout)
	assert.Equal(t, printed("4\n"), cas("--revision", "3", "--", "g", "k", "-4"))
	assert.Equal(t, printed("none\n"), gostore("ttl", "--db", db, "g", "k"), "as after set")
	assert.Equal(t, printed("-4\n"), gostore("get", "--db", db, "g", "k"))

	assert.Equal(t, outcome{mismatched, "", `gostore: key "k" in group "g" has revision 4, not 3` + anew}, cas("--delete", "--revision", "3", "g", "k"))
	assert.Equal(t, printed("5\n"), cas("--delete", "--revision", "4", "g", "k"))
	assert.Equal(t, mismatched, cas("--delete", "--present", "g", "k").code)
	assert.Equal(t, printed("6\n"), cas("--absent", "--ttl", "1ns", "g", "k", "v"))
	assert.Equal(t, succeeded, cas("--absent", "g", "k", "v").code, "an expired key is absent")
}

func TestDelete_GroupsAndPrefixes(t *testing.T) {
	db := filled(t, func(batch *api.Batch) {
		for _, group := range []string{"", "a", "a:x", "a:y", "b", "\xff"} {
			batch.Set(group, "k", "v").Set(group, "l", "v")
		}
	})
	groups := func() string { return gostore("groups", "--db", db).stdout }
	for _, wrong := range [][]string{
		{}, {"a"}, {"a", "k", "l"},
		{"--group", "a", "k"}, {"--prefix", "a", "k"}, {"--group", "a", "--prefix", "a"}, {"--prefix", "a", "a", "k"},
		{"--prefix", ""}, {"--all"}, {"--all", "a", "k"}, {"--all", "--group", "a"}, {"--all", "--prefix", "a"}, {"--all", "--group", ""},
	} {
		got := gostore(append([]string{"delete", "--db", db}, wrong...)...)
		assert.Equal(t, misused, got.code, wrong)
		assert.NotEmpty(t, got.stderr)
	}
	require.Equal(t, "\na\na:x\na:y\nb\n\\xff\n", groups(), "a mistake deletes nothing")

	remove := func(flags ...string) {
		t.Helper()
		assert.Equal(t, printed(""), gostore(append([]string{"delete", "--db", db}, flags...)...))
	}
	remove("--group", "a")
	assert.Equal(t, "\na:x\na:y\nb\n\\xff\n", groups())
	remove("--group", "")
	assert.Equal(t, "a:x\na:y\nb\n\\xff\n", groups(), "the empty name is a name")
	remove("--prefix", "a:")
	remove("--prefix", "nothing")
	assert.Equal(t, "b\n\\xff\n", groups())
	remove("--prefix", "", "--all")
	assert.Empty(t, groups())
}

func TestVersion(t *testing.T) {
	var got versions
	require.NoError(t, json.Unmarshal([]byte(gostore("version", "--json").stdout), &got))
	assert.Regexp(t, `^go1\.`, got.Go)
	assert.Regexp(t, `^3\.\d+\.\d+$`, got.SQLite)
	assert.Equal(t, api.SchemaVersion(), got.Schema)
	assert.NotEmpty(t, got.Version)
	assert.Regexp(t, regexp.MustCompile(`(?s)^gostore +\S+\n.*sqlite +3\.\d+\.\d+\nschema +\d+\n$`), gostore("version").stdout)

	assert.Equal(t, "(unknown)", versionsOf(nil).Version)
	info := &debug.BuildInfo{Main: debug.Module{Version: "v1.2.3"}, Settings: []debug.BuildSetting{
		{Key: "vcs.revision", Value: "abc"}, {Key: "vcs.time", Value: "2026-01-02T03:04:05Z"}, {Key: "vcs.modified", Value: "true"},
	}}
	built := versionsOf(info)
	assert.Equal(t, []any{"v1.2.3", "abc", "2026-01-02T03:04:05Z", true}, []any{built.Version, built.Revision, built.Time, built.Modified})
	var text strings.Builder
	require.NoError(t, (&app{stdout: &text}).printVersions(built))
	assert.Contains(t, text.String(), "revision  abc of 2026-01-02T03:04:05Z, modified\n")
}

// To press a key for a completion changes nothing, whatever lies there.
func TestCompletion_NeverWrites(t *testing.T) {
	current := filled(t, func(batch *api.Batch) { batch.Set("config", "theme", "dark") })
	for _, beside := range []string{"-lock", "-wal", "-shm"} {
		_ = os.Remove(current + beside)
	}
	notes := table(t, "notes.txt", strings.Repeat("nothing but notes\n", 1000))
	for name, db := range map[string]string{
		"a database":              current,
		"one of an older layout":  ofAnOlderLayout(t),
		"no database":             notes,
		"an empty file":           table(t, "empty.db", ""),
		"nothing":                 filepath.Join(t.TempDir(), "missing.db"),
		"a folder":                t.TempDir(),
		"another program's":       foreignDatabase(t),
		"a name that is like one": "file:" + filepath.Join(t.TempDir(), "s.db") + "?mode=rwc",
	} {
		t.Run(name, func(t *testing.T) {
			var before, names any
			if name != "a folder" && name != "a name that is like one" {
				names = folder(t, db)
			}
			text, err := os.ReadFile(db)
			before = string(text) + fmt.Sprint(err)
			for _, line := range [][]string{{"get", ""}, {"get", "config", ""}, {"delete", ""}, {"touch", ""}, {"delete", "--group", ""}} {
				got := gostore(append([]string{"__complete", line[0], "--db", db, "--wait", "1h"}, line[1:]...)...)
				assert.Zero(t, got.code)
				if name == "a database" {
					assert.Regexp(t, `^(config|theme)\n:4\n$`, got.stdout, line)
				} else {
					assert.Equal(t, ":4\n", got.stdout, line)
				}
			}
			text, err = os.ReadFile(db)
			assert.Equal(t, before, string(text)+fmt.Sprint(err))
			if names != nil {
				assert.Equal(t, names, folder(t, db))
			}
		})
	}
}
