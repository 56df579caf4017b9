package main

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"forge.lthn.ai/core/go-store/bench/soak"
)

func TestSoak_PrintsAndWrites(t *testing.T) {
	folder, out := t.TempDir(), t.TempDir()
	t.Setenv("TMPDIR", folder)
	page, samples := filepath.Join(out, "soak.html"), filepath.Join(out, "soak.json")
	got := gostore("soak", "--for", "1s", "--callers", "4", "--seed", "7", "--rate", "500", "--report", page, "--json", samples)
	require.Equal(t, succeeded, got.code, got.stderr+got.stdout)
	assert.Empty(t, got.stderr)
	assert.Contains(t, got.stdout, "calls by 4 callers in ")
	assert.Contains(t, got.stdout, "PASS: nothing grew (seed 7)\n")

	text, err := os.ReadFile(samples)
	require.NoError(t, err)
	var result soak.Result
	require.NoError(t, json.Unmarshal(text, &result))
	assert.Equal(t, "gostore soak --for 1s --callers 4 --seed 7 --rate 500", result.Command)
	assert.Equal(t, soak.Pass, result.Verdict)
	assert.NotEmpty(t, result.Samples)
	assert.NotEmpty(t, result.Machine.Go)
	text, err = os.ReadFile(page)
	require.NoError(t, err)
	assert.Contains(t, string(text), "<code>"+result.Command+"</code>")

	left, err := os.ReadDir(folder)
	require.NoError(t, err)
	assert.Empty(t, left)
}

func TestSoak_InterruptedEarly(t *testing.T) {
	db := filepath.Join(t.TempDir(), "s.db")
	ctx, interrupt := context.WithCancel(context.Background())
	interrupt()
	got := gostoreReading(ctx, strings.NewReader(""), "soak", "--db", db, "--callers", "2")
	assert.Equal(t, failed, got.code)
	assert.Contains(t, got.stderr, "not judged: it ended 0s after its begin")
	assert.FileExists(t, db)

	again := gostore("soak", "--db", db)
	assert.Equal(t, outcome{failed, "", "gostore: " + db + " exists already; soak needs a database of its own, name another\n"}, again)
}

// What grew is a failure that names it, on one line, wherever the result goes.
func TestSoak_ReportsWhatGrew(t *testing.T) {
	result := soak.Result{Verdict: soak.Fail, Growth: []soak.Growth{
		{Figure: "goroutines", Early: 82, Late: 187, Most: 87.64, Grown: true}, {Figure: "descriptors", Early: 5, Late: 5, Most: 7}}}
	for _, path := range []string{"", "-"} {
		var stdout strings.Builder
		a := &app{stdout: &stdout}
		err := a.reportSoak(result, soakFlags{jsonPath: path})
		assert.EqualError(t, err, "grew: goroutines from 82 to 187 (at most 87.64)")
		assert.Contains(t, stdout.String(), "descriptors")
	}
}

func TestSoak_AFileThatCannotBeWritten(t *testing.T) {
	var stdout strings.Builder
	a := &app{stdout: &stdout}
	err := a.reportSoak(soak.Result{Verdict: soak.Pass}, soakFlags{reportPath: filepath.Join(t.TempDir(), "missing", "s.html")})
	require.ErrorIs(t, err, os.ErrNotExist)
	assert.Contains(t, stdout.String(), "PASS")
}
