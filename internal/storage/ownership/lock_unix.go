//go:build unix

package ownership

import (
	"errors"
	"io/fs"
	"os"

	"forge.lthn.ai/core/go-store/internal/storage/disk"

	"golang.org/x/sys/unix"
)

const removeWhileOpen = true

// tryLock takes an exclusive flock: it belongs to the open file, not to the
// process, so it keeps out a second opener in the same process too.
func tryLock(file *os.File) error {
	for {
		err := disk.Do("flock", file, func() error { return unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB) })
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case errors.Is(err, unix.EWOULDBLOCK):
			return errLockHeld
		default:
			return err
		}
	}
}

// isAlive reports whether there is a process of this number.
func isAlive(pid int) bool { return pid > 0 && !errors.Is(unix.Kill(pid, 0), unix.ESRCH) }

// OpenNoFollow opens a file that is no symbolic link. It does not wait for a FIFO.
func OpenNoFollow(path string, flags int, mode fs.FileMode) (*os.File, error) {
	return disk.OpenFile(path, flags|unix.O_NOFOLLOW|unix.O_NONBLOCK, mode)
}
