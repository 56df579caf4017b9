//go:build unix

package main

import (
	"bufio"
	"bytes"
	"context"
	"net"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// runInto starts the program with an output of its own and returns what ends
// with it.
func runInto(t *testing.T, stdout *os.File, arguments ...string) (ended <-chan error, stderr *bytes.Buffer) {
	t.Helper()
	program, err := os.Executable()
	require.NoError(t, err)
	command := exec.Command(program, arguments...)
	command.Env = append(os.Environ(), asProgram+"=1")
	stderr = new(bytes.Buffer)
	command.Stdout, command.Stderr = stdout, stderr
	require.NoError(t, command.Start())
	require.NoError(t, stdout.Close())
	done := make(chan error, 1)
	go func() { done <- command.Wait() }()
	t.Cleanup(func() { _ = command.Process.Kill() })
	return done, stderr
}

// closedOnExec is a descriptor that no process inherits by accident.
func closedOnExec(descriptor int) *os.File {
	unix.CloseOnExec(descriptor)
	return os.NewFile(uintptr(descriptor), "socket")
}

// A reader that has gone ends a watch at once, though nothing happens that it
// would have to write, as in 'gostore watch … | head -1'.
func TestWatch_EndsWithItsReader(t *testing.T) {
	pairs := map[string]func(t *testing.T) (reader, writer *os.File){
		"a pipe": func(t *testing.T) (*os.File, *os.File) {
			reader, writer, err := os.Pipe()
			require.NoError(t, err)
			return reader, writer
		},
		"a socket": func(t *testing.T) (*os.File, *os.File) {
			pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
			require.NoError(t, err)
			return closedOnExec(pair[0]), closedOnExec(pair[1])
		},
		"a connection that is reset": func(t *testing.T) (*os.File, *os.File) {
			listener, err := net.Listen("tcp", "127.0.0.1:0")
			require.NoError(t, err)
			defer listener.Close()
			reader, err := net.Dial("tcp", listener.Addr().String())
			require.NoError(t, err)
			defer reader.Close()
			writer, err := listener.Accept()
			require.NoError(t, err)
			defer writer.Close()
			require.NoError(t, reader.(*net.TCPConn).SetLinger(0))
			readerFile, err := reader.(*net.TCPConn).File()
			require.NoError(t, err)
			writerFile, err := writer.(*net.TCPConn).File()
			require.NoError(t, err)
			return readerFile, writerFile
		},
	}
	for name, pair := range pairs {
		t.Run(name, func(t *testing.T) {
			owner, db := openOwner(t)
			require.NoError(t, owner.Set("g", "k", "v"))
			reader, writer := pair(t)
			ended, stderr := runInto(t, writer, "watch", "--db", db, "--state", "g")
			lines := bufio.NewReader(reader)
			for range 2 { // the state and its end: from now on there is nothing to write
				_, err := lines.ReadString('\n')
				require.NoError(t, err)
			}
			require.NoError(t, reader.Close())
			select {
			case err := <-ended:
				assert.NoError(t, err, "its exit code is 0")
				assert.Empty(t, stderr.String())
			case <-time.After(30 * time.Second):
				assert.Fail(t, "the watch goes on")
			}
		})
	}
}

// A reader that only has nothing more to say is still there.
func TestWatch_GoesOnForAReaderThatIsSilent(t *testing.T) {
	owner, db := openOwner(t)
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	require.NoError(t, err)
	reader := closedOnExec(pair[0])
	require.NoError(t, unix.Shutdown(pair[0], unix.SHUT_WR))
	ended, _ := runInto(t, closedOnExec(pair[1]), "watch", "--db", db, "--from", "1", "g")
	lines := bufio.NewReader(reader)
	for range 3 {
		require.NoError(t, owner.Set("g", "k", "v"))
		_, err := lines.ReadString('\n')
		require.NoError(t, err)
	}
	require.NoError(t, reader.Close())
	assert.NoError(t, <-ended)
}

// Its own end leaves nothing behind, whatever the output is: goleak looks.
func TestUntilReaderGone_EndsWithItsCaller(t *testing.T) {
	reader, writer, err := os.Pipe()
	require.NoError(t, err)
	file, err := os.Create(t.TempDir() + "/x")
	require.NoError(t, err)
	closed, err := os.Create(t.TempDir() + "/y")
	require.NoError(t, err)
	require.NoError(t, closed.Close())
	for _, out := range []*os.File{writer, file, closed} {
		ctx, stop := untilReaderGone(context.Background(), out)
		assert.NoError(t, ctx.Err())
		stop()
		assert.Error(t, ctx.Err())
		stop()
	}
	ctx, stop := untilReaderGone(context.Background(), new(bytes.Buffer))
	assert.NoError(t, ctx.Err())
	stop()

	ctx, stop = untilReaderGone(context.Background(), writer)
	require.NoError(t, reader.Close())
	<-ctx.Done()
	stop()
	require.NoError(t, writer.Close())
	require.NoError(t, file.Close())
}
