package ownership

import (
	"errors"
	"io"
	"os"
	"sync"
	"time"

	"forge.lthn.ai/core/go-store/internal/storage/disk"
	"forge.lthn.ai/core/go-store/kv"
)

// Ownership is of the file, not of its name: a file may have several (hard links,
// bind mounts, a folder that was renamed), and two owners by two names would each
// have a WAL of their own. Where the system has locks that belong to an open file
// (Linux), the database itself is locked too:
//
//   - with flock, by the store that writes to it, for as long as it is open;
//   - with a lock of the open file on the bytes that SQLite locks to read, while it
//     is in WAL mode. SQLite's own locks there are the process's and are dropped
//     when *any* descriptor of the file is closed, say by a function that reads the
//     file for a download. This one is not, and keeps other programs from taking the
//     database for unused and removing its WAL.
//
// Both need a descriptor, which may be closed only when no SQLite connection of
// this process is on the file any more: hence the register of users.

// Inode is a database file that stores of this process have open.
type Inode struct {
	key    fileKey
	users  int
	owned  bool
	still  int        // stores that keep the file from being changed
	frozen int        // stores that have its -shm open for reading only, as then all connections of this process do
	file   *os.File   // nil until it is needed
	shm    []*os.File // of its -shm
}

var inodes = struct {
	sync.Mutex
	open map[fileKey]*Inode
}{open: make(map[fileKey]*Inode)}

// Enlist registers a store on the file at a path. Call leave once all its connections
// are closed.
func Enlist(path string) (*Inode, error) {
	info, err := disk.Stat(path)
	if err != nil {
		return nil, err
	}
	key := keyOf(path, info)
	inodes.Lock()
	defer inodes.Unlock()
	i := inodes.open[key]
	if i == nil {
		i = &Inode{key: key}
		inodes.open[key] = i
	}
	i.users++
	return i, nil
}

// InUseHere reports whether a store of this process has a database, or the one
// that a sidecar belongs to, open.
func InUseHere(path string) bool {
	info, err := disk.Stat(databaseOf(path))
	if err != nil {
		return false
	}
	inodes.Lock()
	defer inodes.Unlock()
	return inodes.open[keyOf(databaseOf(path), info)] != nil
}

func (i *Inode) Leave() error {
	inodes.Lock()
	defer inodes.Unlock()
	if i.users--; i.users > 0 {
		return nil
	}
	delete(inodes.open, i.key)
	var err error
	if i.file != nil {
		err = i.file.Close()
	}
	for _, shm := range i.shm {
		err = errors.Join(err, shm.Close())
	}
	return err
}

// descriptor is the file's, opened once. Call it under the lock.
func (i *Inode) descriptor(path string) (*os.File, error) {
	if i.file != nil {
		return i.file, nil
	}
	file, err := OpenNoFollow(path, os.O_RDONLY, 0)
	if err != nil {
		return nil, err
	}
	i.file = file
	return file, nil
}

// Database is the descriptor, which must not be closed.
func (i *Inode) Database(path string) (*os.File, error) {
	inodes.Lock()
	defer inodes.Unlock()
	file, err := i.descriptor(path)
	if err != nil {
		return nil, err
	}
	info, err := file.Stat()
	if err == nil && keyOf(path, info) != i.key {
		err = replacedError(path)
	}
	return file, err
}

// Opened is the descriptor, nil if there is none yet.
func (i *Inode) Opened() *os.File { return i.file }

// Own makes the store the file's only owner, whatever its name; otherwise it is a
// *kv.LockedError. It waits so long at most for stores of this process that only read.
func (i *Inode) Own(path string, wait time.Duration) error {
	for began := time.Now(); ; time.Sleep(lockPause) {
		err := i.tryOwn(path)
		if !errors.Is(err, errFrozen) {
			return err
		}
		if time.Since(began) > wait {
			return &kv.LockedError{Path: path, PID: os.Getpid()}
		}
	}
}

var errFrozen = errors.New("read here by a store that must not write")

func (i *Inode) tryOwn(path string) error {
	inodes.Lock()
	defer inodes.Unlock()
	if i.owned {
		return &kv.LockedError{Path: path, PID: os.Getpid()}
	}
	if i.frozen > 0 {
		return errFrozen
	}
	file, err := i.descriptor(path)
	if err != nil {
		return err
	}
	if info, err := file.Stat(); err != nil || keyOf(path, info) != i.key {
		return errors.Join(err, replacedError(path))
	}
	err = lockInode(file)
	if errors.Is(err, errLockHeld) {
		return &kv.LockedError{Path: path, PID: max(holderOf(file), 0)}
	}
	i.owned = err == nil
	return err
}

// Freeze has the file's -shm be opened for reading only in this process, which an
// owner in it could not work with. It is refused if there is one.
func (i *Inode) Freeze() bool {
	inodes.Lock()
	defer inodes.Unlock()
	if !i.owned {
		i.frozen++
	}
	return !i.owned
}

func (i *Inode) Thaw() error {
	inodes.Lock()
	defer inodes.Unlock()
	i.frozen--
	return nil
}

// Disown ends ownership. Other stores of the process may still read.
func (i *Inode) Disown() error {
	inodes.Lock()
	defer inodes.Unlock()
	i.owned = false
	return unlockInode(i.file)
}

// AwaitUnread waits for stores that read the file as one that does not change: in WAL
// mode SQLite would not. They look whether there is an owner after they have their
// lock, and this one has written down that it is. After that long it is a *kv.LockedError.
func (i *Inode) AwaitUnread(path string, wait time.Duration) error {
	deadline := time.Now().Add(wait)
	for {
		inodes.Lock()
		still, file := i.still > 0, i.file
		inodes.Unlock()
		if !still && holderOf(file) == 0 {
			return nil
		}
		if time.Now().After(deadline) {
			return &kv.LockedError{Path: path, PID: max(holderOf(file), 0)}
		}
		time.Sleep(lockPause)
	}
}

// Protect keeps programs that use SQLite from taking the database for unused, even
// if this process's own locks on it are dropped.
func (i *Inode) Protect(path string) error {
	inodes.Lock()
	defer inodes.Unlock()
	file, err := i.descriptor(path)
	if err != nil {
		return err
	}
	if err := lockReading(file); err != nil {
		return err
	}
	i.still++
	shm, err := OpenNoFollow(path+SHMSuffix, os.O_RDONLY, 0)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	i.shm = append(i.shm, shm)
	return lockSharedMemory(shm)
}

// SharedMemory is the file's -shm, which stays open for as long as the file is in use.
func (i *Inode) SharedMemory(path string) (*os.File, error) {
	inodes.Lock()
	defer inodes.Unlock()
	if n := len(i.shm); n > 0 {
		is, err := disk.Lstat(path + SHMSuffix)
		if err != nil {
			return nil, err
		}
		if was, err := i.shm[n-1].Stat(); err == nil && os.SameFile(was, is) {
			return i.shm[n-1], nil
		}
	}
	shm, err := OpenNoFollow(path+SHMSuffix, os.O_RDONLY, 0)
	if err == nil {
		i.shm = append(i.shm, shm)
	}
	return shm, err
}

// inWALMode reports whether the file's header says so, and true where it can't be
// read.
func (i *Inode) inWALMode() bool {
	inodes.Lock()
	file := i.file
	inodes.Unlock()
	var versions [2]byte
	if file == nil {
		return true
	}
	n, err := disk.ReadAt(file, versions[:], 18)
	if err != nil && !errors.Is(err, io.EOF) {
		return true // a disk that fails has not overwritten anything
	}
	return n == len(versions) && versions == [2]byte{2, 2}
}

// Expose ends what protect began: SQLite can't leave WAL mode under it.
func (i *Inode) Expose() error {
	inodes.Lock()
	defer inodes.Unlock()
	if i.still--; i.still > 0 {
		return nil
	}
	i.still = 0
	err := unlockReading(i.file)
	for _, shm := range i.shm { // SQLite asks whether there is a connection before it leaves WAL mode
		err = errors.Join(err, unlockSharedMemory(shm))
	}
	return err
}

// RefuseOwned refuses a file that is being written: it would be read at many
// moments.
func RefuseOwned(path string, wait time.Duration) error {
	if InUseHere(path) {
		return &kv.LockedError{Path: path, PID: os.Getpid()}
	}
	i, err := Enlist(path)
	if err != nil {
		return err
	}
	if err := i.Own(path, wait); err != nil {
		return errors.Join(err, i.Leave())
	}
	if err := errors.Join(i.Disown(), i.Leave()); err != nil {
		return err
	}
	if IsHeld(path) {
		return &kv.LockedError{Path: path, PID: ownerOf(path + LockSuffix)}
	}
	return nil
}
