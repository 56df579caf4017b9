package storage

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"time"

	"forge.lthn.ai/core/go-store/kv"
)

// lockSuffix names the sidecar that says who owns a database. SQLite's own
// locks can't: they last for one transaction, not for a store's life, and
// POSIX locks don't keep out a second opener in the same process.
const lockSuffix = "-lock"

// errLockHeld is what tryLock answers when another handle holds the lock.
var errLockHeld = errors.New("lock is held")

// lockFile is a held lock. Its content is the owner's PID in decimal digits.
type lockFile struct {
	file    *os.File
	path    string
	created bool // by this very call
}

// acquireLock takes the lock of a database at once or not at all; held by
// anybody else it is a *kv.LockedError.
func acquireLock(database string) (*lockFile, error) {
	path := database + lockSuffix
	for {
		l, err := openLockFile(path)
		if err != nil {
			return nil, fmt.Errorf("lock file: %w", err)
		}
		err = tryLock(l.file)
		if errors.Is(err, errLockHeld) {
			l.file.Close()
			return nil, &kv.LockedError{Path: database, PID: ownerOf(path)}
		}
		if err != nil {
			l.file.Close()
			return nil, fmt.Errorf("lock file %s: %w", path, err)
		}
		if !l.current() {
			// Its creator failed to open the database and removed the file
			// between our open and our lock: this lock would protect nothing.
			l.file.Close()
			continue
		}
		if err := l.write(strconv.Itoa(os.Getpid())); err != nil {
			l.abandon()
			return nil, fmt.Errorf("lock file %s: %w", path, err)
		}
		return l, nil
	}
}

func openLockFile(path string) (*lockFile, error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err == nil {
		return &lockFile{file: file, path: path, created: true}, nil
	}
	if !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	// O_CREATE still: it may vanish between the two calls.
	file, err = os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	return &lockFile{file: file, path: path}, nil
}

// current reports whether the file that is locked is the one that the path
// leads to.
func (l *lockFile) current() bool {
	locked, err := l.file.Stat()
	if err != nil {
		return false
	}
	named, err := os.Stat(l.path)
	return err == nil && os.SameFile(locked, named)
}

func (l *lockFile) write(text string) error {
	if err := l.file.Truncate(0); err != nil {
		return err
	}
	_, err := l.file.WriteAt([]byte(text), 0)
	return err
}

// release gives the lock up and leaves the file in place, empty: removing it
// would race with the next opener for no gain.
func (l *lockFile) release() error {
	return errors.Join(l.write(""), l.file.Close())
}

// abandon gives up the lock of a database that could not be opened, and leaves
// behind what was found.
func (l *lockFile) abandon() {
	if !l.created {
		_ = l.release() // the error that led here is the one to tell
		return
	}
	if removeWhileOpen {
		os.Remove(l.path)
		l.file.Close()
		return
	}
	l.file.Close()
	os.Remove(l.path) // fails if somebody else has opened it: it is theirs then
}

// ownerOf reads the PID that a lock's holder wrote, 0 if there is none. The
// holder writes it right after taking the lock, so that it may be a moment yet.
func ownerOf(path string) int {
	for range 20 {
		text, err := os.ReadFile(path)
		if err != nil {
			return 0
		}
		if pid, err := strconv.Atoi(strings.TrimSpace(string(text))); err == nil {
			return pid
		}
		time.Sleep(time.Millisecond)
	}
	return 0
}
