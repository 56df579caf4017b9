package ownership

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// fileKey tells files apart, whatever their names.
type fileKey struct{ device, inode uint64 }

func keyOf(_ string, info fs.FileInfo) fileKey {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return fileKey{}
	}
	return fileKey{uint64(stat.Dev), stat.Ino}
}

// Where SQLite's locks are: of a database, the bytes that are locked to read (after
// the pending and the reserved byte); of its shared memory, the byte that every
// connection holds. https://www.sqlite.org/src/file/src/os.h, os_unix.c
const (
	sharedFirst = 0x40000002
	sharedSize  = 510
	connected   = 128
)

// lockInode takes the flock of a database. File systems that have no such locks, or
// none for a file that is open for reading, leave it at the -lock.
func lockInode(file *os.File) error {
	err := tryLock(file)
	if errors.Is(err, unix.EBADF) || errors.Is(err, unix.ENOLCK) || errors.Is(err, unix.ENOTSUP) || errors.Is(err, unix.EINVAL) {
		return nil
	}
	return err
}

func unlockInode(file *os.File) error {
	if file == nil {
		return nil
	}
	return unix.Flock(int(file.Fd()), unix.LOCK_UN)
}

// rangeLock asks for a lock of the open file, which SQLite's, of the process, are
// compatible with as long as both are shared.
func rangeLock(file *os.File, kind int16, start, length int64) error {
	return unix.FcntlFlock(file.Fd(), unix.F_OFD_SETLK,
		&unix.Flock_t{Type: kind, Whence: io.SeekStart, Start: start, Len: length})
}

func lockReading(file *os.File) error { return rangeLock(file, unix.F_RDLCK, sharedFirst, sharedSize) }

func unlockReading(file *os.File) error {
	if file == nil {
		return nil
	}
	return rangeLock(file, unix.F_UNLCK, sharedFirst, sharedSize)
}

func lockSharedMemory(file *os.File) error   { return rangeLock(file, unix.F_RDLCK, connected, 1) }
func unlockSharedMemory(file *os.File) error { return rangeLock(file, unix.F_UNLCK, connected, 1) }

// holderOf is a process that has the database open through SQLite, 0 if none is
// known; negative: there is one, and its PID is not to be had.
func holderOf(file *os.File) int {
	lock := unix.Flock_t{Type: unix.F_WRLCK, Whence: io.SeekStart, Start: sharedFirst, Len: sharedSize}
	if err := unix.FcntlFlock(file.Fd(), unix.F_GETLK, &lock); err != nil || lock.Type == unix.F_UNLCK {
		return 0
	}
	return int(lock.Pid)
}

// IsConnected reports whether any connection is open to the shared memory of a
// database: then SQLite keeps its WAL. What can't be told counts as yes.
func IsConnected(database string) bool {
	if InUseHere(database) {
		return true
	}
	file, err := OpenNoFollow(database+SHMSuffix, os.O_RDONLY, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return false
	}
	if err != nil {
		return true
	}
	defer file.Close()
	lock := unix.Flock_t{Type: unix.F_WRLCK, Whence: io.SeekStart, Start: connected, Len: 1}
	err = unix.FcntlFlock(file.Fd(), unix.F_OFD_GETLK, &lock)
	return err != nil || lock.Type != unix.F_UNLCK
}

// CanProtect: a file can be kept from being changed by a lock of ours.
const CanProtect = true
