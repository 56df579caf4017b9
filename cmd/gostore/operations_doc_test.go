package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestOperationsDoc_Commands: each block of docs/OPERATIONS.md works as it stands.
func TestOperationsDoc_Commands(t *testing.T) {
	page, err := os.ReadFile("../../docs/OPERATIONS.md")
	require.NoError(t, err)
	ran := map[string]bool{}
	for _, block := range regexp.MustCompile("(?s)```sh\n(.*?)```").FindAllStringSubmatch(string(page), -1) {
		folder := t.TempDir()
		t.Chdir(folder)
		require.NoError(t, os.Mkdir("backups", 0o700))
		for _, db := range []string{"app.db", "copy.db", filepath.Join("backups", "monday.db")} {
			require.Zero(t, gostore("set", "--db", db, "g", "k", "v").code)
		}
		for line := range strings.Lines(block[1]) {
			arguments := strings.Fields(line)
			if len(arguments) == 0 || arguments[0] != "gostore" {
				continue // of other programs
			}
			got := gostore(arguments[1:]...)
			assert.Zero(t, got.code, "%s%s", line, got.stderr)
			ran[arguments[1]] = true
		}
	}
	for _, command := range []string{"backup", "restore", "check", "compact", "salvage"} {
		assert.True(t, ran[command], command)
	}
}
