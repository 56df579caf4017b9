package ownership

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"

	"forge.lthn.ai/core/go-store/internal/storage/disk"
	"forge.lthn.ai/core/go-store/internal/storage/mapped"
	"forge.lthn.ai/core/go-store/kv"
)

// The sidecar -lock says which process owns a database. SQLite's own locks can't: they last
// for one transaction, not for a store's life, and POSIX locks don't keep out a
// second opener in the same process. Beside it the database file itself is locked
// where that can be done (inode), since one file may have many names.

// errLockHeld is what tryLock answers when another handle holds the lock.
var errLockHeld = errors.New("lock is held")

// Lock is a held lock. Its content is two decimal numbers of a fixed width, each
// on a line: the owner's PID and, once there is one, the last revision that was
// acknowledged. It is synced once, when the store opens: it tells, after the owner was
// killed, whether the WAL was cut or removed since. After a database was closed it says so:
// then one that is empty was emptied.
type Lock struct {
	file    *os.File
	path    string
	created bool // by this very call

	text   *mapped.Head // once it is signed and has a revision
	before string       // what the file said
	found  uint64       // what the last owner acknowledged, if it did not close
	known  bool
}

// lockContent is what stores have ever written into a lock: numbers, or that the database
// was closed, or a part of one where a write was cut short, over what the file said before.
var lockContent = regexp.MustCompile(`^(closed\n|closed|close|clos|clo|cl|c)?[0-9]{0,20}\n?[0-9]{0,20}\n?$|^[0-9]{1,5}(losed|osed|sed|ed|d)\n$`)

const closedMark = "closed\n"

const (
	lockNumber     = 20 // digits, and a line end behind them
	lockContentMax = 2 * (lockNumber + 1)
)

// A lock that is held for a look alone (IsHeld) is waited for so often, and so long.
const (
	lockPause = 2 * time.Millisecond
	lockTries = 3
)

// Acquire takes the lock of a database at once or not at all; held by
// another owner it is a *kv.LockedError. It changes nothing in a file that is no
// lock of ours: that is a kv.ForeignFileError.
func Acquire(database string) (*Lock, error) {
	path := database + LockSuffix
	for {
		l, err := openLockFile(database)
		if err != nil {
			return nil, fmt.Errorf("lock file: %w", err)
		}
		err = tryLock(l.file)
		for try := 0; errors.Is(err, errLockHeld) && try < lockTries; try++ {
			time.Sleep(lockPause)
			err = tryLock(l.file)
		}
		if errors.Is(err, errLockHeld) {
			l.file.Close()
			return nil, &kv.LockedError{Path: database, PID: ownerOf(path)}
		}
		if err != nil {
			l.forget()
			return nil, fmt.Errorf("lock file %s: %w", path, err)
		}
		if err := l.prove(); err != nil {
			l.file.Close()
			return nil, err
		}
		current, err := l.current()
		if err != nil {
			l.forget()
			return nil, fmt.Errorf("lock file: %w", err)
		}
		if !current {
			// Its creator failed to open the database and removed the file
			// between our open and our lock: this lock would protect nothing.
			l.file.Close()
			continue
		}
		if l.found, l.known = LastAcknowledged(database); l.known {
			return l, nil // it stays until the database has been seen to be whole
		}
		if err := l.sign(); err != nil {
			l.Abandon()
			return nil, fmt.Errorf("lock file %s: %w", path, err)
		}
		return l, nil
	}
}

// openLockFile opens the lock of a database, or makes it. Its mode, and where
// that is permitted its owner, are the database's: a process that may open the
// one may open the other.
func openLockFile(database string) (*Lock, error) {
	path := database + LockSuffix
	file, err := OpenNoFollow(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err == nil {
		likeDatabase(file, database)
		return &Lock{file: file, path: path, created: true}, nil
	}
	if errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EROFS) {
		return nil, fmt.Errorf("%w: files can't be made in that folder, which a store that is written to needs; open it read-only, or change that", err)
	}
	if !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	info, err := disk.Lstat(path)
	if err == nil && !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is a %s, not a file: remove it, or see what it is for: %w",
			path, kindOf(info.Mode()), kv.ForeignFileError)
	}
	// O_CREATE still: it may vanish between the two calls.
	file, err = OpenNoFollow(path, os.O_RDWR|os.O_CREATE, 0o600)
	if errors.Is(err, fs.ErrPermission) {
		return nil, fmt.Errorf("%w: it was made by another user; give it the owner and mode of %s, "+
			"or remove it while no store is open on that: %w", err, database, fs.ErrPermission)
	}
	if err != nil {
		return nil, err
	}
	return &Lock{file: file, path: path}, nil
}

// prove reads what the file says, and refuses one that no store has left. The lock is
// held: while it is not, its owner may be half-way through writing to it. Where the
// database's mode has changed since the lock was made, so does the lock's.
func (l *Lock) prove() error {
	if l.created {
		return nil
	}
	content := make([]byte, lockContentMax+1)
	n, err := disk.ReadAt(l.file, content, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("lock file: %w", err)
	}
	content = content[:n]
	info, err := l.file.Stat()
	if err != nil {
		return fmt.Errorf("lock file: %w", err)
	}
	if info.Size() > lockContentMax || !lockContent.Match(bytes.Trim(content, "\x00")) { // NULs: it was cut while in use
		return fmt.Errorf("lock file: %s is no lock that a store has left, and would be overwritten: move it away: %w", l.path, kv.ForeignFileError)
	}
	l.before = string(content)
	likeDatabase(l.file, databaseOf(l.path))
	return nil
}

// likeDatabase gives a lock that was just made the mode and, as root, the owner of
// its database. A database that is yet to be made will be its owner's alone, as the
// lock is. What is refused is left: the lock works all the same for its maker.
func likeDatabase(lock *os.File, database string) {
	info, err := disk.Stat(database)
	if err != nil {
		return
	}
	if is, err := lock.Stat(); err == nil && is.Mode().Perm() == info.Mode().Perm()&0o666 && sameOwner(is, info) {
		return
	}
	if uid, gid, known := ownerIDs(info); known && os.Geteuid() == 0 {
		_ = lock.Chown(uid, gid)
	}
	_ = lock.Chmod(info.Mode().Perm() & 0o666)
}

func sameOwner(a, b fs.FileInfo) bool {
	uidA, gidA, _ := ownerIDs(a)
	uidB, gidB, _ := ownerIDs(b)
	return uidA == uidB && gidA == gidB
}

// current reports whether the file that is locked is the one that the path
// leads to.
func (l *Lock) current() (bool, error) {
	locked, err := l.file.Stat()
	if err != nil {
		return false, err
	}
	named, err := disk.Lstat(l.path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil && os.SameFile(locked, named), err
}

// Unclosed is the last revision that the owner before acknowledged, if it has not closed the
// database; until that has been seen to be whole.
func (l *Lock) Unclosed() (last uint64, known bool) { return l.found, l.known }

// WasUsed reports whether the lock was left by an owner before, so that a database was there.
func (l *Lock) WasUsed() bool { return l.known || l.before == closedMark }

// sign writes the owner's PID down, and that nothing is acknowledged yet.
func (l *Lock) sign() error {
	l.known = false
	return l.write(signature + "\n")
}

// Adopt writes the owner's PID and the last revision down, safe from a power cut: what
// the last owner has noted and lost, as may be, is not to come back beside a stamp of
// this one, and without a note no opener could tell a WAL that was about to begin anew from
// one that was cut.
func (l *Lock) Adopt(last uint64) error {
	l.known = false
	note := acknowledgement(last)
	return errors.Join(l.write(signature+"\n"+string(note[:])), disk.Sync(l.file))
}

// signed reports whether the file still begins with the owner's PID. If it was
// cut, nothing else was written into it.
func (l *Lock) signed() bool {
	var text [lockNumber]byte
	if l.text != nil && l.text.Load(text[:]) {
		return string(text[:]) == signature || text == [lockNumber]byte{}
	}
	n, err := disk.ReadAt(l.file, text[:], 0)
	if n == 0 || err != nil && !errors.Is(err, io.EOF) {
		return true
	}
	return string(text[:n]) == signature || len(bytes.Trim(text[:n], "\x00")) == 0
}

// signature is the PID as owners write it.
var signature = fmt.Sprintf("%0*d", lockNumber, os.Getpid())

// Acknowledge notes a revision that is about to be acknowledged. Other content
// of the file is left as it is: the guard will find it.
func (l *Lock) Acknowledge(revision uint64) error {
	if !l.signed() {
		return nil
	}
	text := acknowledgement(revision)
	if l.text != nil {
		l.text.Store(text[:], lockNumber+1) // a file that was cut is found by the guard
		return nil
	}
	_, err := disk.WriteAt(l.file, text[:], lockNumber+1)
	return err
}

func acknowledgement(revision uint64) (text [lockNumber + 1]byte) {
	for i := lockNumber - 1; i >= 0; i-- {
		text[i] = '0' + byte(revision%10)
		revision /= 10
	}
	text[lockNumber] = '\n'
	return text
}

// Share maps a lock that has its full length, so that a note costs no system call.
func (l *Lock) Share() {
	if l.text == nil {
		l.text = mapped.NewHead(l.file, lockContentMax, true)
	}
}

// become has the owner hold another lock file than before, which is without a name,
// with the same text.
func (l *Lock) become(other *Lock) {
	text := make([]byte, lockContentMax)
	old := Lock{file: l.file, text: l.text}
	l.file, l.text, l.created = other.file, nil, false
	if old.text.Load(text) && l.write(string(text)) == nil {
		l.Share()
	}
	_ = old.close()
}

// close closes the file. A mapping that is left would keep the lock.
func (l *Lock) close() error { return errors.Join(l.text.Unmap(), l.file.Close()) }

// write replaces what the file says, in place: at no moment does it say nothing.
func (l *Lock) write(text string) error {
	if _, err := disk.WriteAt(l.file, []byte(text), 0); err != nil {
		return err
	}
	return disk.Truncate(l.file, int64(len(text)))
}

// Release gives the lock of a database that was closed up and leaves the file in
// place: removing it would race with the next opener for no gain.
func (l *Lock) Release() error {
	if !l.signed() {
		return l.close() // its content is not the store's
	}
	return errors.Join(l.write(closedMark), l.close())
}

// Keep gives the lock up and leaves what it says of revisions, under no owner's number:
// the database was not closed whole.
func (l *Lock) Keep() error {
	var err error
	if l.signed() {
		_, err = disk.WriteAt(l.file, []byte(strings.Repeat("0", lockNumber)), 0)
	}
	return errors.Join(err, l.close())
}

// Abandon gives up the lock of a database that could not be opened, and leaves
// behind what was found.
func (l *Lock) Abandon() {
	if l.known {
		l.close()
		return
	}
	if current, err := l.current(); !l.created || !current || err != nil {
		_ = errors.Join(l.write(l.before), l.close()) // the error that led here is the one to tell
		return
	}
	l.forget()
}

// forget closes the file, and removes one that is of this very call.
func (l *Lock) forget() {
	if !l.created {
		l.close()
		return
	}
	if removeWhileOpen {
		_ = disk.Remove(l.path)
		l.close()
		return
	}
	l.close()
	_ = disk.Remove(l.path) // fails if another process has opened it, whose it is then
}

// ownerOf reads the PID that a lock's holder wrote, 0 if there is none. The
// holder writes it right after taking the lock, so that it may be a moment yet.
func ownerOf(path string) int {
	for range 20 {
		text, err := ReadSidecar(path, lockContentMax)
		if err != nil {
			return 0
		}
		first, _, _ := strings.Cut(string(text), "\n")
		if pid, err := strconv.Atoi(strings.TrimSpace(first)); err == nil {
			return pid
		}
		time.Sleep(time.Millisecond)
	}
	return 0
}

// IsHeld reports whether the lock is held right now, from wherever the holder's process is
// seen. It holds the lock itself for a moment, which acquireLock allows for.
func IsHeld(database string) bool {
	file, err := OpenNoFollow(database+LockSuffix, os.O_RDONLY, 0)
	if err != nil {
		return !errors.Is(err, fs.ErrNotExist)
	}
	defer file.Close()
	return tryLock(file) != nil
}

// HasLiveOwner reports whether the database has an owner whose process is still there, as
// far as can be told.
func HasLiveOwner(database string) bool {
	text, _ := ReadSidecar(database+LockSuffix, lockContentMax)
	first, _, _ := strings.Cut(string(text), "\n")
	pid, err := strconv.Atoi(first)
	return err == nil && isAlive(pid)
}

// LastAcknowledged is the last revision that was acknowledged by an owner that has not
// closed the database, if one is known.
func LastAcknowledged(database string) (revision uint64, known bool) {
	text, err := ReadSidecar(database+LockSuffix, lockContentMax)
	_, second, _ := strings.Cut(string(text), "\n")
	if err != nil || len(second) < lockNumber {
		return 0, false
	}
	revision, err = strconv.ParseUint(second[:lockNumber], 10, 64)
	return revision, err == nil
}
