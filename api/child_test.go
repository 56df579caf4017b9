package api_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"forge.lthn.ai/core/go-store/api"
)

// Some tests need a second process. It is this test binary, started again with
// a task and a path in its environment.
const (
	childTask = "GOSTORE_TEST_TASK"
	childPath = "GOSTORE_TEST_PATH"

	taskHold  = "hold"  // open the store, keep it until standard input ends
	taskWrite = "write" // set key after key, print the number of each that was acknowledged, until killed
	taskSeed  = "seed"  // write childRows keys with the original's design, keep it open until killed
	// See kill_test.go.
	taskTorrent = "torrent"
	taskFollow  = "follow"
	// See revisions_test.go.
	taskRevisions = "revisions"
	taskRead      = "read"     // open the store read-only, keep it until standard input ends
	taskBuffered  = "buffered" // serve, without syncing
	taskServe     = "serve"    // obey the lines of standard input: see childServe

	childGroup = "child"
	childRows  = 100
)

func runChild(task, path string) (code int) {
	if err := childWork(task, path); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

func childWork(task, path string) error {
	switch task {
	case taskSeed:
		return childSeed(path)
	case taskTorrent:
		return childTorrent(path)
	case taskFollow:
		return childFollow(path)
	}
	var options []api.Option
	switch task {
	case taskRead:
		options = append(options, api.WithReadOnly())
	case taskBuffered:
		options = append(options, api.WithDurability(api.DurabilityBuffered))
	}
	store, err := api.New(path, options...)
	if err != nil {
		return err
	}
	fmt.Println("ready")
	if task == taskHold || task == taskRead {
		if _, err := io.Copy(io.Discard, os.Stdin); err != nil {
			return err
		}
		return store.Close()
	}
	switch task {
	case taskRevisions:
		return childRevisions(store)
	case taskServe, taskBuffered:
		return childServe(store, path)
	}
	for i := 0; ; i++ {
		if err := store.Set(childGroup, strconv.Itoa(i), strconv.Itoa(i)); err != nil {
			return err
		}
		fmt.Println(i)
	}
}

// childServe does what each line says, and prints "ok" or what went wrong: "set KEY",
// "health", "fold", "read" (the database as a file, as a download would) and "close".
func childServe(store *api.Store, path string) error {
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		if err := obey(store, path, lines.Text()); err == nil {
			fmt.Println("ok")
		} else {
			fmt.Println(strings.ReplaceAll(err.Error(), "\n", " "))
		}
	}
	return lines.Err()
}

func obey(store *api.Store, path, line string) (err error) {
	switch verb, key, _ := strings.Cut(line, " "); verb {
	case "set":
		err = store.Set(childGroup, key, key)
	case "health":
		err = store.Health().Err
	case "fold":
		err = store.Fold(context.Background())
	case "read":
		_, err = os.ReadFile(path)
	case "close":
		err = store.Close()
	}
	return err
}

func childSeed(path string) error {
	store, err := newSeedStore(path)
	if err != nil {
		return err
	}
	for i := range childRows {
		if err := store.Set(childGroup, strconv.Itoa(i), strconv.Itoa(i)); err != nil {
			return err
		}
	}
	fmt.Println("ready")
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}

// child is a running second process.
type child struct {
	t     *testing.T
	cmd   *exec.Cmd
	stdin io.WriteCloser
	lines *bufio.Scanner
}

// startChild returns once the child has opened the store.
func startChild(t *testing.T, task, path string) *child {
	t.Helper()
	program, err := os.Executable()
	require.NoError(t, err)
	c := &child{t: t, cmd: exec.Command(program)}
	c.cmd.Env = append(os.Environ(), childTask+"="+task, childPath+"="+path)
	c.cmd.Stderr = os.Stderr
	c.stdin, err = c.cmd.StdinPipe()
	require.NoError(t, err)
	stdout, err := c.cmd.StdoutPipe()
	require.NoError(t, err)
	c.lines = bufio.NewScanner(stdout)
	require.NoError(t, c.cmd.Start())
	t.Cleanup(func() {
		if c.cmd.ProcessState == nil {
			c.kill()
		}
	})
	require.Equal(t, "ready", c.line())
	return c
}

// line is the next line that the child prints.
func (c *child) line() string {
	c.t.Helper()
	require.True(c.t, c.lines.Scan(), "the child has ended: %v", c.lines.Err())
	return c.lines.Text()
}

// tell has a serving child do something and returns what it answers.
func (c *child) tell(line string) string {
	c.t.Helper()
	_, err := fmt.Fprintln(c.stdin, line)
	require.NoError(c.t, err)
	return c.line()
}

// sets has it set the keys of these numbers, which must succeed.
func (c *child) sets(from, to int) {
	c.t.Helper()
	for i := from; i < to; i++ {
		require.Equal(c.t, "ok", c.tell(fmt.Sprint("set ", i)))
	}
}

// finish ends a child that holds a store and waits for it.
func (c *child) finish() {
	c.t.Helper()
	require.NoError(c.t, c.stdin.Close())
	require.NoError(c.t, c.cmd.Wait())
}

// kill ends the child without a chance to clean up, and returns the lines that
// it had printed and that were not read yet.
func (c *child) kill() (unread []string) {
	_ = c.cmd.Process.Kill()
	for c.lines.Scan() {
		unread = append(unread, c.lines.Text())
	}
	_ = c.cmd.Wait()
	return unread
}
