package examples_test

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"forge.lthn.ai/core/go-store/api"

	"github.com/stretchr/testify/require"
)

// programs are the examples, with what they are started with here.
var programs = map[string]struct {
	arguments []string
	says      string // a part of what it prints
}{
	"hello":    {nil, "visits: 1"},
	"sessions": {[]string{"-for=1s"}, "no answer was wrong"},
	"bank":     {[]string{"-for=2s"}, "all of them are there"},
	"queue":    {[]string{"-for=1s"}, "each done once"},
	"config":   {[]string{"-for=1s"}, "all copies are equal"},
	"inspect":  {[]string{"-for=1s"}, "visits: true"},
	"child":    {[]string{"-for=1s"}, "and are there"},
}

// build makes all programs, without what only debuggers need: linking takes most of this
// test.
func build(t *testing.T) (folder string) {
	t.Helper()
	folder = t.TempDir()
	output, err := exec.Command("go", "build", "-ldflags=-s -w", "-o", folder+string(filepath.Separator), "./...").CombinedOutput()
	require.NoError(t, err, "%s", output)
	return folder
}

// run runs a program, which is to end by itself and to leave nothing in the folder for
// temporary files.
func run(t *testing.T, folder, name string, arguments ...string) (code int, output string) {
	t.Helper()
	return runIn(t, t.TempDir(), folder, name, arguments...)
}

func runIn(t *testing.T, directory, folder, name string, arguments ...string) (code int, output string) {
	t.Helper()
	temporary := t.TempDir()
	command := exec.CommandContext(t.Context(), filepath.Join(folder, name), arguments...)
	command.Dir = directory
	command.Env = append(os.Environ(), "TMPDIR="+temporary, "TMP="+temporary)
	command.WaitDelay = time.Second
	var both bytes.Buffer
	command.Stdout, command.Stderr = &both, &both
	began := time.Now()
	err := command.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	require.Less(t, time.Since(began), time.Minute, "%s", &both)
	left, err := os.ReadDir(temporary)
	require.NoError(t, err)
	require.Empty(t, left, "it leaves files\n%s", &both)
	return command.ProcessState.ExitCode(), both.String()
}

// TestExamples runs every program.
func TestExamples(t *testing.T) {
	folder := build(t)
	built, err := os.ReadDir(folder)
	require.NoError(t, err)
	require.Len(t, built, len(programs), "a program is not in the list")
	for name, program := range programs {
		t.Run(name, func(t *testing.T) {
			code, output := run(t, folder, name, program.arguments...)
			require.Zero(t, code, output)
			require.Contains(t, output, program.says)
			require.NotContains(t, output, "<nil>")
			t.Log("\n" + output)
		})
	}
	t.Run("hello again", func(t *testing.T) {
		readme, err := os.ReadFile("README.md")
		require.NoError(t, err)
		for name := range programs {
			require.Contains(t, string(readme), "`"+name+"`")
		}
		source, err := os.ReadFile("hello/main.go")
		require.NoError(t, err)
		require.LessOrEqual(t, strings.Count(string(source), "\n"), 20, "the smallest program")
		front, err := os.ReadFile("../README.md")
		require.NoError(t, err)
		require.Contains(t, string(front), "```go\n"+string(source)+"```")
	})
	t.Run("hello that is refused", func(t *testing.T) {
		directory := t.TempDir()
		store, err := api.New(filepath.Join(directory, "hello.db"))
		require.NoError(t, err)
		require.NoError(t, store.Set("visits", "hello", "many"))
		require.NoError(t, store.Close())
		code, output := runIn(t, directory, folder, "hello")
		require.Equal(t, 1, code, output)
		require.NotContains(t, output, "visits:")
		require.NotContains(t, output, "<nil>")
	})
	for name, prepare := range map[string]func(t *testing.T, path string){
		"locked": func(t *testing.T, path string) {
			owner, err := api.New(path)
			require.NoError(t, err)
			t.Cleanup(func() { require.NoError(t, owner.Close()) })
		},
		"not a database": func(t *testing.T, path string) {
			require.NoError(t, os.WriteFile(path, []byte(strings.Repeat("something else ", 1000)), 0o600))
		},
		"a folder": func(t *testing.T, path string) { require.NoError(t, os.Mkdir(path, 0o700)) },
	} {
		t.Run("hello, whose file is "+name, func(t *testing.T) {
			directory := t.TempDir()
			prepare(t, filepath.Join(directory, "hello.db"))
			code, output := runIn(t, directory, folder, "hello")
			require.Equal(t, 1, code, output)
			require.Contains(t, output, "store.Props: ")
			require.NotContains(t, output, "visits:")
		})
	}
	// A check that can't fail would prove nothing.
	t.Run("bank with a bug", func(t *testing.T) {
		code, output := run(t, folder, "bank", "-for=10s", "-bug")
		require.Equal(t, 1, code, output)
		require.Contains(t, output, "bank: after")
		require.Contains(t, output, "16000 in the beginning")
	})
}
