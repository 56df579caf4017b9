package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"forge.lthn.ai/core/go-store/api"
)

// stored is a database with some entries.
func stored(t *testing.T) (db string) {
	t.Helper()
	db = filepath.Join(t.TempDir(), "s.db")
	var lines strings.Builder
	for i := range 2000 {
		fmt.Fprintf(&lines, "key-%04d\tsome value\n", i)
	}
	got := gostoreReading(context.Background(), strings.NewReader(lines.String()),
		"import", "--db", db, "--group", "many", "--key-column", "1", "--value-rest")
	require.Zero(t, got.code, got.stderr)
	require.Zero(t, gostore("set", "--db", db, "g", "k", "v").code)
	return db
}

func size(t *testing.T, path string) int64 {
	t.Helper()
	info, err := os.Stat(path)
	require.NoError(t, err)
	return info.Size()
}

func listing(t *testing.T, path string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(path)
	require.NoError(t, err)
	for _, entry := range entries {
		names = append(names, entry.Name())
	}
	return names
}

func TestBackupAndRestore(t *testing.T) {
	db := stored(t)
	folder := t.TempDir()
	to := filepath.Join(folder, "backup.db")
	got := gostore("backup", "--db", db, to)
	assert.Equal(t, printed(fmt.Sprintf("backed up to %s: %d bytes\n", to, size(t, to))), got)
	assert.Equal(t, []string{"backup.db"}, listing(t, folder))

	// Of a database that a program has open, and over the backup before.
	owner, err := api.New(db)
	require.NoError(t, err)
	require.NoError(t, owner.Set("g", "k", "later"))
	require.Zero(t, gostore("backup", "--db", db, to).code)
	assert.Equal(t, printed("later\n"), gostore("get", "--db", to, "g", "k"))
	got = gostore("restore", "--db", db, to)
	assert.Equal(t, failed, got.code)
	assert.Contains(t, got.stderr, "is in use by process")
	require.NoError(t, owner.Set("g", "k", "a mistake"))
	require.NoError(t, owner.Close())
	other, err := api.New(to)
	require.NoError(t, err)
	assert.Equal(t, outcome{failed, "", fmt.Sprintf("gostore: %s is in use by process %d; name another file\n", to, os.Getpid())},
		gostore("backup", "--db", db, to))
	require.NoError(t, other.Close())

	got = gostore("restore", "--db", db, to)
	assert.Equal(t, printed(fmt.Sprintf("restored %s: %d bytes\n", db, size(t, db))), got)
	assert.Equal(t, printed("later\n"), gostore("get", "--db", db, "g", "k"))
	assert.Equal(t, printed("2000\n"), gostore("count", "--db", db, "many"))

	text := filepath.Join(folder, "text")
	require.NoError(t, os.WriteFile(text, []byte("precious"), 0o600))
	for _, arguments := range [][]string{{"backup", "--db", db, text}, {"backup", "--db", db, db}, {"backup", "--db", db, folder},
		{"restore", "--db", text, to}, {"restore", "--db", db, text}, {"restore", "--db", db, db + ".missing"}} {
		got := gostore(arguments...)
		assert.Equal(t, failed, got.code, arguments)
		assert.Equal(t, 1, strings.Count(got.stderr, "\n"), got.stderr)
	}
	content, err := os.ReadFile(text)
	require.NoError(t, err)
	assert.Equal(t, "precious", string(content))
	assert.Equal(t, printed(fmt.Sprintf("restored %s: %d bytes\n", text, size(t, to))), gostore("restore", "--force", "--db", text, to))
}

func TestCheckAndSalvage(t *testing.T) {
	db := stored(t)
	got := gostore("check", "--db", db)
	assert.Zero(t, got.code, got.stderr)
	assert.Regexp(t, `^whole: 2001 entries and \d+ records of the log, revision \d+\n$`, got.stdout)
	got = gostore("check", "--db", db, "--json")
	require.Zero(t, got.code)
	var report checked
	require.NoError(t, json.Unmarshal([]byte(got.stdout), &report))
	assert.True(t, report.Whole)
	assert.Equal(t, int64(2001), report.Entries)
	assert.NotNil(t, report.Findings)

	content, err := os.ReadFile(db)
	require.NoError(t, err)
	half := len(content) / 2 / 4096 * 4096
	copy(content[half:], bytes.Repeat([]byte{0xDE}, 3*4096))
	require.NoError(t, os.WriteFile(db, content, 0o600))
	before := listing(t, filepath.Dir(db))
	got = gostore("check", "--db", db)
	assert.Equal(t, failed, got.code)
	assert.Contains(t, got.stdout, "structure: ")
	assert.Contains(t, got.stderr, "is not whole: ")
	got = gostore("check", "--db", db, "--json")
	assert.Equal(t, failed, got.code)
	require.NoError(t, json.Unmarshal([]byte(got.stdout), &report))
	assert.False(t, report.Whole)
	assert.NotEmpty(t, report.Findings)
	assert.Equal(t, failed, gostore("backup", "--db", db, db+".backup").code)

	out := filepath.Join(t.TempDir(), "out.db")
	got = gostore("salvage", "--db", db, out)
	require.Zero(t, got.code, got.stderr)
	assert.Contains(t, got.stdout, "salvaged 2001 entries")
	assert.Contains(t, got.stdout, "structure: ")
	assert.Equal(t, before, listing(t, filepath.Dir(db)))
	after, err := os.ReadFile(db)
	require.NoError(t, err)
	assert.Equal(t, content, after)
	assert.Zero(t, gostore("check", "--db", out).code)
	assert.Equal(t, printed("v\n"), gostore("get", "--db", out, "g", "k"))
	got = gostore("salvage", "--db", db, out)
	assert.Equal(t, failed, got.code)
	assert.Contains(t, got.stderr, "is there already")
	got = gostore("salvage", "--json", "--db", db, out+"2")
	require.Zero(t, got.code, got.stderr)
	var salvaged salvagedJSON
	require.NoError(t, json.Unmarshal([]byte(got.stdout), &salvaged))
	assert.Equal(t, int64(2001), salvaged.Entries)
	assert.NotEmpty(t, salvaged.Unreadable)
}

func TestCompact(t *testing.T) {
	db := stored(t)
	require.NoError(t, func() error {
		store, err := api.New(db)
		if err == nil {
			err = store.DeleteGroup("many")
		}
		if err == nil {
			err = store.Close()
		}
		return err
	}())
	before := size(t, db)
	got := gostore("compact", "--db", db)
	assert.Equal(t, printed(fmt.Sprintf("%d bytes before, %d after\n", before, size(t, db))), got)
	assert.Less(t, size(t, db), before)
	assert.Equal(t, printed("v\n"), gostore("get", "--db", db, "g", "k"))
	assert.Zero(t, gostore("check", "--db", db).code)
}

func TestOperations_Misuse(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "missing.db")
	for _, arguments := range [][]string{{"backup", missing}, {"backup", "--db", missing}, {"restore", "--db", missing}, {"restore", missing},
		{"check"}, {"check", "--db", ":memory:"}, {"compact"}, {"salvage", "--db", missing}, {"salvage", missing}} {
		assert.Equal(t, misused, gostore(arguments...).code, arguments)
	}
	for _, arguments := range [][]string{{"backup", "--db", missing, missing + "2"}, {"check", "--db", missing}, {"compact", "--db", missing},
		{"salvage", "--db", missing, missing + "2"}, {"restore", "--db", missing, missing + "2"}} {
		got := gostore(arguments...)
		assert.Equal(t, failed, got.code, arguments)
		assert.Contains(t, got.stderr, "does not exist")
	}
	assert.Empty(t, listing(t, filepath.Dir(missing)))
}

func TestOperations_Interrupted(t *testing.T) {
	db := stored(t)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	to := filepath.Join(t.TempDir(), "to.db")
	for _, arguments := range [][]string{{"backup", "--db", db, to}, {"restore", "--db", to, db}, {"check", "--db", db},
		{"compact", "--db", db}, {"salvage", "--db", db, to}} {
		got := gostoreReading(ctx, strings.NewReader(""), arguments...)
		assert.Equal(t, outcome{failed, "", "gostore: interrupted\n"}, got, arguments)
	}
	assert.Empty(t, listing(t, filepath.Dir(to)))
}
