//go:build windows

package ownership

import (
	"errors"
	"io/fs"
	"os"

	"forge.lthn.ai/core/go-store/internal/storage/disk"

	"golang.org/x/sys/windows"
)

const removeWhileOpen = false

// tryLock locks one byte far behind the PID: locks are mandatory here, and a
// second opener must be able to read the PID.
func tryLock(file *os.File) error {
	region := windows.Overlapped{OffsetHigh: 1 << 30}
	err := windows.LockFileEx(windows.Handle(file.Fd()),
		windows.LOCKFILE_EXCLUSIVE_LOCK|windows.LOCKFILE_FAIL_IMMEDIATELY, 0, 1, 0, &region)
	if errors.Is(err, windows.ERROR_LOCK_VIOLATION) || errors.Is(err, windows.ERROR_IO_PENDING) {
		return errLockHeld
	}
	return err
}

// isAlive: a number that is not in use can't be told from one that may not be asked
// about.
func isAlive(pid int) bool { return pid > 0 }

// OpenNoFollow opens a file that is no symbolic link.
func OpenNoFollow(path string, flags int, mode fs.FileMode) (*os.File, error) {
	if info, err := disk.Lstat(path); err == nil && info.Mode()&fs.ModeSymlink != 0 {
		return nil, &fs.PathError{Op: "open", Path: path, Err: errors.New("is a symbolic link")}
	}
	return disk.OpenFile(path, flags, mode)
}
