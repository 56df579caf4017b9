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
)

// shortBench is a benchmark that takes about a second and leaves its databases,
// if it leaves any, in the folder.
func shortBench(folder string, more ...string) []string {
	return append([]string{"bench", "--for", "1s", "--workloads", "set,get-missing", "--callers", "1,4", "--keys", "100",
		"--rounds", "1", "--folder", folder}, more...)
}

func TestBench_TableAndReport(t *testing.T) {
	folder := t.TempDir()
	report := filepath.Join(t.TempDir(), "r.html")
	got := gostore(shortBench(folder, "--report", report)...)
	require.Equal(t, succeeded, got.code, got.stderr)
	assert.Empty(t, got.stderr)
	for _, want := range []string{"set", "get-missing", "store-sync", "store-memory", "append", "can't: only appends to a file", "writes a commit"} {
		assert.Contains(t, got.stdout, want)
	}
	page, err := os.ReadFile(report)
	require.NoError(t, err)
	assert.Contains(t, string(page), "<svg")
	assert.Contains(t, string(page), "gostore bench --for 1s")
	left, err := os.ReadDir(folder)
	require.NoError(t, err)
	assert.Empty(t, left)
}

func TestBench_JSON(t *testing.T) {
	got := gostore(shortBench(t.TempDir(), "--json", "-", "--durability", "memory")...)
	require.Equal(t, succeeded, got.code, got.stderr)
	var result struct {
		Schema     string
		Contenders []struct{ Name string }
	}
	require.NoError(t, json.Unmarshal([]byte(got.stdout), &result))
	assert.Equal(t, "go-store-bench/1", result.Schema)
	require.Len(t, result.Contenders, 1, "in memory the disk's floor means nothing")
	assert.Equal(t, "store-memory", result.Contenders[0].Name)
}

func TestBench_InterruptedReportsWhatItHas(t *testing.T) {
	ctx, interrupt := context.WithCancel(context.Background())
	interrupt()
	report := filepath.Join(t.TempDir(), "r.html")
	got := gostoreReading(ctx, strings.NewReader(""), shortBench(t.TempDir(), "--report", report)...)
	assert.Equal(t, failed, got.code)
	assert.Contains(t, got.stdout, "INTERRUPTED")
	assert.Equal(t, "gostore: interrupted: this is what was measured by then\n", got.stderr)
	assert.FileExists(t, report)
}

func TestBench_Misuse(t *testing.T) {
	for want, arguments := range map[string][]string{
		`--workloads: no workload "sett"; there are all, set, get-hot,`:     {"--workloads", "sett"},
		`--durability "safe": use sync, buffered or memory`:                 {"--durability", "safe"},
		"--durability: sync is named twice":                                 {"--durability", "sync,sync"},
		"--durability: name sync, buffered or memory":                       {"--durability", ""},
		"--db: a benchmark makes databases of its own; --folder says where": {"--db", "x.db"},
		"--report /no/such/folder/r.html: it can't be written":              {"--report", "/no/such/folder/r.html"},
		"--full and --for": {"--full"},
		"callers [1 4 64 1]: name each number once, the least first": {"--callers", "64,1"},
		`unknown command "fast" for "gostore bench"`:                 {"fast"},
	} {
		got := gostore(shortBench(t.TempDir(), arguments...)...)
		assert.Equal(t, misused, got.code, arguments)
		assert.Empty(t, got.stdout)
		assert.True(t, strings.HasPrefix(got.stderr, "gostore: "+want), got.stderr)
		assert.True(t, strings.HasSuffix(got.stderr, "; see 'gostore bench --help'\n"), got.stderr)
		assert.Equal(t, 1, strings.Count(got.stderr, "\n"))
	}
}
