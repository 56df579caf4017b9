package faultfs

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	lib "modernc.org/sqlite/lib"
)

// Operation is something that is asked of the file system.
type Operation struct {
	// Call is one of SQLite's: open, read, write, truncate, sync, filesize, lock, unlock,
	// shmmap, shmlock, delete, access; or of the store's own: "disk." and the name of
	// disk.Call.
	Call   string
	Kind   string // database, wal, shm, journal, lock, partial (a copy that is being made), folder
	Path   string
	To     string // the other name of a rename or link
	Offset int64
	Size   int64
	N      int // how many operations there were since Inject
}

func (o Operation) String() string {
	return fmt.Sprintf("call %d, %s of %s (%s, %d bytes at %d)", o.N, o.Call, o.Kind, filepath.Base(o.Path), o.Size, o.Offset)
}

// Fault decides whether an operation fails: with a syscall.Errno, which SQLite is told as
// its own VFS would tell it, with a Code of SQLite's, or Short of one of the two. It is
// called by many goroutines at a time.
type Fault func(Operation) error

// Code is a result of SQLite's.
type Code int32

func (c Code) Error() string { return fmt.Sprintf("result code %d", int32(c)) }

// Short has a read or write do half of what was asked before it fails.
type Short struct{ Err error }

func (s Short) Error() string { return "short, then " + s.Err.Error() }

// Unwrap is what it then fails with.
func (s Short) Unwrap() error { return s.Err }

type injection struct {
	fault Fault
	calls atomic.Int64
}

// current is nil while nothing is to fail.
var current atomic.Pointer[injection]

// Inject has operations fail until the test ends or heal is called.
func Inject(t testing.TB, f Fault) (heal func()) {
	t.Helper()
	if !installed.Load() {
		t.Fatal("faultfs is not installed: call faultfs.Install in TestMain")
	}
	i := &injection{fault: f}
	current.Store(i)
	heal = func() { current.CompareAndSwap(i, nil) }
	t.Cleanup(heal)
	return heal
}

// Failing fails every call of that name on files of that kind; empty means any.
func Failing(call, kind string, err error) Fault {
	return func(o Operation) error {
		if (call == "" || o.Call == call) && (kind == "" || o.Kind == kind) {
			return err
		}
		return nil
	}
}

func verdict(o Operation) error {
	if i := current.Load(); i != nil {
		if err := i.decide(o); err != nil {
			return err
		}
	}
	if f := folderOf(o.Path); f != nil {
		return f.verdict(o)
	}
	return nil
}

func (i *injection) decide(o Operation) error {
	o.Kind = kindOf(o)
	o.N = int(i.calls.Add(1)) - 1
	return i.fault(o)
}

func kindOf(o Operation) string {
	if o.Call == "disk.syncfolder" || o.Call == "disk.mkdir" || o.Call == "disk.removeall" {
		return "folder"
	}
	for suffix, kind := range kinds {
		if strings.HasSuffix(o.Path, suffix) {
			return kind
		}
	}
	return "database"
}

var kinds = map[string]string{
	"-wal": "wal", "-shm": "shm", "-journal": "journal", "-lock": "lock", ".partial": "partial", ".compacting/new": "partial",
}

// codes is what SQLite's VFS answers when a call fails.
var codes = map[string]int32{
	"open": lib.SQLITE_CANTOPEN, "read": lib.SQLITE_IOERR_READ, "write": lib.SQLITE_IOERR_WRITE,
	"truncate": lib.SQLITE_IOERR_TRUNCATE, "sync": lib.SQLITE_IOERR_FSYNC, "filesize": lib.SQLITE_IOERR_FSTAT,
	"lock": lib.SQLITE_IOERR_LOCK, "unlock": lib.SQLITE_IOERR_UNLOCK, "shmmap": lib.SQLITE_IOERR_SHMMAP,
	"shmlock": lib.SQLITE_IOERR_SHMLOCK, "delete": lib.SQLITE_IOERR_DELETE, "access": lib.SQLITE_IOERR_ACCESS,
}

// code is what SQLite is told. https://www.sqlite.org/src/file/src/os_unix.c
func code(call string, err error) int32 {
	var own Code
	if errors.As(err, &own) {
		return int32(own)
	}
	switch {
	case call == "write" && errors.Is(err, syscall.ENOSPC):
		return lib.SQLITE_FULL // and no other errno: a quota is an I/O error to it
	case (call == "lock" || call == "shmlock") && errors.Is(err, syscall.EACCES):
		return lib.SQLITE_BUSY // which says of a lock that it is held
	}
	return codes[call]
}

// Same reports whether a caller gets the same of both errors: SQLite knows fewer of them
// than the system has.
func Same(call string, a, b error) bool {
	_, ofSQLite := codes[call]
	short := errors.As(a, new(Short)) != errors.As(b, new(Short)) && (call == "read" || call == "write")
	opensToRead := call == "open" && refusesWriting(a) != refusesWriting(b)
	return ofSQLite && !short && !opensToRead && code(call, a) == code(call, b)
}

// refusesWriting reports whether SQLite's VFS, told so, opens a file to read only.
func refusesWriting(err error) bool {
	return errors.Is(err, syscall.EROFS) || errors.Is(err, syscall.EACCES)
}

// diskError is what the store itself is told.
func diskError(path string, call string, err error) error {
	var errno syscall.Errno
	if !errors.As(err, &errno) {
		errno = syscall.EIO
	}
	return &os.PathError{Op: call, Path: path, Err: errno}
}
