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

func TestDemo_JSON(t *testing.T) {
	folder := t.TempDir()
	t.Setenv("TMPDIR", folder)
	got := gostore("demo", "--for", "1s", "--json")
	require.Equal(t, succeeded, got.code, got.stderr)
	assert.Empty(t, got.stderr)

	var result map[string]uint64
	require.NoError(t, json.Unmarshal([]byte(got.stdout), &result))
	assert.Equal(t, 1, strings.Count(got.stdout, "\n"))
	var names []string
	for name := range result {
		names = append(names, name)
		if name != "lost" && name != "dropped" {
			assert.NotZero(t, result[name], name)
		}
	}
	assert.ElementsMatch(t, []string{"acknowledged", "verified", "lost", "expired", "refused", "events",
		"dropped", "sets_per_second", "gets_per_second"}, names)
	assert.Zero(t, result["lost"])
	assert.Equal(t, result["acknowledged"], result["verified"])
	assert.Equal(t, result["acknowledged"]+result["expired"], result["events"]+result["dropped"],
		"every write changed something, and so did every expiry")

	left, err := os.ReadDir(folder)
	require.NoError(t, err)
	assert.Empty(t, left)
}

func TestDemo_TableAndDatabaseOfItsOwn(t *testing.T) {
	db := filepath.Join(t.TempDir(), "d.db")
	ctx, interrupt := context.WithCancel(context.Background())
	interrupt() // an early end must leave a whole database too
	got := gostoreReading(ctx, strings.NewReader(""), "demo", "--db", db)
	require.Equal(t, succeeded, got.code, got.stderr)
	assert.Contains(t, got.stdout, "writes verified")
	assert.FileExists(t, db)

	again := gostore("demo", "--db", db, "--for", "1s")
	assert.Equal(t, outcome{failed, "", "gostore: " + db + " exists already; the demo needs a database of its own, name another\n"}, again)
}

func TestDemo_AFolderThatIsNotThere(t *testing.T) {
	got := gostore("demo", "--db", filepath.Join(t.TempDir(), "missing", "d.db"))
	assert.Equal(t, failed, got.code)
	assert.Empty(t, got.stdout)
	assert.Equal(t, 1, strings.Count(got.stderr, "\n"), got.stderr)
}
