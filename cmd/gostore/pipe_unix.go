//go:build unix

package main

import (
	"context"
	"errors"
	"io"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// untilReaderGone ends a context when the reader of the output has gone, so that a
// command that waits for something to write needn't wait for it in vain. Call
// stop in any case.
//
// A goroutine sleeps in the system for it, which tells of a closed pipe or socket
// without being asked for anything else, and of a file or a terminal nothing.
// (A TCP connection of which the other side has only said that it will send no
// more is none that is closed: its reader may well be there.)
func untilReaderGone(ctx context.Context, out io.Writer) (until context.Context, stop func()) {
	until, cancel := context.WithCancel(ctx)
	file, ok := out.(*os.File)
	if !ok {
		return until, cancel
	}
	ended, end, err := os.Pipe()
	if err != nil {
		return until, cancel // the next write will say
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		if waitForHangUp(file, ended) {
			cancel()
		}
	}()
	return until, sync.OnceFunc(func() {
		cancel()
		_ = end.Close() // wakes it
		<-done
		_ = ended.Close()
	})
}

// waitForHangUp reports whether the output has no reader any more; not so, when
// the other end of the pipe was closed first.
func waitForHangUp(out, ended *os.File) (gone bool) {
	outConn, err := out.SyscallConn()
	if err != nil {
		return false
	}
	endedConn, err := ended.SyscallConn()
	if err != nil {
		return false
	}
	// Within Control a descriptor stays what it is.
	_ = outConn.Control(func(outFD uintptr) {
		_ = endedConn.Control(func(endedFD uintptr) {
			// BSD looks for a hang-up only if it is asked to.
			wanted := []unix.PollFd{
				{Fd: int32(outFD), Events: unix.POLLHUP | unix.POLLERR},
				{Fd: int32(endedFD), Events: unix.POLLIN | unix.POLLHUP},
			}
			_, err := unix.Poll(wanted, -1)
			for errors.Is(err, unix.EINTR) {
				_, err = unix.Poll(wanted, -1)
			}
			gone = err == nil && wanted[0].Revents&(unix.POLLHUP|unix.POLLERR) != 0
		})
	})
	return gone
}
