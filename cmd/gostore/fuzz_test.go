package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// FuzzCommandLine: whatever a user types, the program ends with one of its codes,
// and a failure is a line that says why.
func FuzzCommandLine(f *testing.F) {
	folder := f.TempDir()
	database := filepath.Join(folder, "s.db")
	require.Zero(f, gostore("set", "--db", database, "g", "k", "v").code)
	content, err := os.ReadFile(database)
	require.NoError(f, err)
	require.NoError(f, os.Chdir(folder))
	for _, line := range []string{"get g k", "set g k v --ttl 1h", "cas g k v --revision 3", "increment g n -- -5", "ttl g k", "touch g k 1h", "delete g k", "delete --prefix x",
		"count g", "list g --limit 2 --json", "groups --prefix g", "render {{.k}} g", "stats --json", "export", "import --format csv -", "history g k", "check", "compact",
		"backup out.db", "salvage out.db", "restore out.db", "version", "--help", "completion bash", "set --wait 1ns g k v", "get --db s.db --db", "=", "-", "--", "get -h g"} {
		f.Add(strings.ReplaceAll(line, " ", "\x00"), "g,k,v\n")
	}
	// What takes as long as it is told to, or goes on until it is ended.
	endless := []string{"demo", "stress", "bench", "watch"}
	f.Fuzz(func(t *testing.T, line, input string) {
		arguments := strings.Split(line, "\x00")
		if strings.ContainsAny(line, "/\\") || slices.ContainsFunc(arguments, func(a string) bool {
			return slices.Contains(endless, a) || strings.Contains(a, "wait") || strings.Contains(a, "..")
		}) {
			return // no file elsewhere is any of its business
		}
		require.NoError(t, os.WriteFile("s.db", content, 0o600))
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		var stdout, stderr bytes.Buffer
		code := run(ctx, append([]string{"--db", "s.db"}, arguments...), strings.NewReader(input), &stdout, &stderr)
		require.NoError(t, ctx.Err(), "%q takes too long", arguments)
		require.Contains(t, []int{succeeded, failed, misused, mismatched}, code)
		if code != succeeded {
			last := strings.TrimSuffix(stderr.String(), "\n")
			last = last[strings.LastIndexByte(last, '\n')+1:]
			require.Regexp(t, "^gostore: .", last, "%q", arguments)
		}
		left, err := os.ReadDir(".")
		require.NoError(t, err)
		for _, entry := range left {
			if entry.Name() != "s.db" {
				require.NoError(t, os.RemoveAll(entry.Name()))
			}
		}
	})
}
