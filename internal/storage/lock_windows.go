//go:build windows

package storage

import (
	"errors"
	"os"

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
