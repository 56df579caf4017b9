package main

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"forge.lthn.ai/core/go-store/bench/stress"
)

func stressed(t *testing.T, arguments ...string) (result stress.Result) {
	t.Helper()
	folder := t.TempDir()
	t.Setenv("TMPDIR", folder)
	got := gostore(append([]string{"stress", "--json", "--callers", "8", "--seed", "7"}, arguments...)...)
	require.Equal(t, succeeded, got.code, got.stderr+got.stdout)
	assert.Empty(t, got.stderr)
	assert.Equal(t, 1, strings.Count(got.stdout, "\n"))
	require.NoError(t, json.Unmarshal([]byte(got.stdout), &result))
	assert.Equal(t, "pass", result.Verdict)
	assert.Empty(t, result.Findings)
	assert.EqualValues(t, 7, result.Seed)
	assert.NotZero(t, result.Acknowledged)
	assert.NotZero(t, result.Calls["Get"])
	assert.NotZero(t, result.Most.Goroutines)
	assert.True(t, result.Reopened)

	left, err := os.ReadDir(folder)
	require.NoError(t, err)
	assert.Empty(t, left)
	return result
}

func TestStress_JSON(t *testing.T) {
	result := stressed(t, "--for", "500ms")
	assert.Equal(t, "gostore stress --for 500ms --callers 8 --seed 7", result.Command)
	require.NotEmpty(t, result.Watchers)
	for _, seen := range result.Watchers {
		if seen.Gaps > 0 {
			continue // it was told of revisions, not of how many events they had
		}
		assert.Equal(t, seen.Committed, seen.Received+seen.Dropped, seen.Name)
	}
	assert.NotZero(t, result.MostLog)
	assert.Nil(t, result.Killed)
}

func TestStress_Kill(t *testing.T) {
	result := stressed(t, "--for", "1s", "--kill")
	assert.Equal(t, "gostore stress --for 1s --callers 8 --seed 7 --kill", result.Command)
	assert.NotZero(t, result.Killed.Kills)
	require.NotEmpty(t, result.Watchers, "subscribers go on where they were")
}

func TestStress_InterruptedEarly(t *testing.T) {
	db := filepath.Join(t.TempDir(), "s.db")
	ctx, interrupt := context.WithCancel(context.Background())
	interrupt()
	began := time.Now()
	got := gostoreReading(ctx, strings.NewReader(""), "stress", "--for", "1h", "--db", db, "--callers", "2")
	require.Equal(t, succeeded, got.code, got.stderr)
	assert.Less(t, time.Since(began), time.Minute)
	assert.Contains(t, got.stdout, "PASS: no promise was broken")
	assert.FileExists(t, db)

	again := gostore("stress", "--db", db)
	assert.Equal(t, outcome{failed, "", "gostore: " + db + " exists already; stress needs a database of its own, name another\n"}, again)
}

func TestStress_InMemory(t *testing.T) {
	got := gostore("stress", "--for", "200ms", "--db", ":memory:", "--callers", "2")
	require.Equal(t, succeeded, got.code, got.stderr)
	assert.NoFileExists(t, ":memory:")
}

func TestStress_AFolderThatIsNotThere(t *testing.T) {
	for _, kill := range []string{"--kill=false", "--kill"} {
		got := gostore("stress", kill, "--db", filepath.Join(t.TempDir(), "missing", "s.db"))
		assert.Equal(t, failed, got.code)
		assert.Empty(t, got.stdout)
		assert.Contains(t, got.stderr, "does not exist")
		assert.Equal(t, 1, strings.Count(got.stderr, "\n"), got.stderr)
	}
}

// A verdict against the store is a failure that names the promise and the
// command to see it broken again.
func TestStress_ReportsWhatIsBroken(t *testing.T) {
	result := stress.Result{Command: "gostore stress --seed 7", Seed: 7, Verdict: "fail",
		Violations: map[stress.Violation]uint64{stress.LostWrite: 2, stress.EventMissing: 1},
		Findings:   []stress.Finding{{Violation: stress.LostWrite, Detail: "own-0001/key-02: found nothing"}}}
	for _, asJSON := range []bool{true, false} {
		var stdout strings.Builder
		a := &app{stdout: &stdout}
		err := a.reportStress(result, asJSON)
		assert.EqualError(t, err, "promises were broken: event-missing 1×, lost-write 2×; the same workload again: gostore stress --seed 7")
		assert.Contains(t, stdout.String(), "own-0001/key-02: found nothing")
	}
}

// What a parent that is gone leaves behind: nothing. Its end is the end of the
// child's standard input, however it came about.
func TestStress_TheServingProcessEndsWithItsInput(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("needs a pipe of the system's")
	}
	db := filepath.Join(t.TempDir(), "s.db")
	got := gostoreReading(context.Background(), strings.NewReader(""), "stress", serveName, "--db", db)
	assert.Equal(t, succeeded, got.code, got.stderr)
	assert.FileExists(t, db)
}
