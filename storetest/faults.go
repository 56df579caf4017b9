package storetest

import (
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"forge.lthn.ai/core/go-store/internal/storage/faultfs"
)

// Fault is a way for a disk to fail. The zero value fails nothing.
type Fault struct {
	name   string
	strike func() func(faultfs.Operation) error // a new one each time, with counts of its own
}

func (f Fault) String() string { return f.name }

// The calls of the file system by what they do. Those beginning in "disk." are the store's
// own, the others SQLite's.
var (
	writing   = []string{"write", "disk.write"}
	syncing   = []string{"sync", "disk.sync", "disk.syncfolder"}
	reading   = []string{"read", "disk.read"}
	replacing = []string{"write", "truncate", "delete", "disk.write", "disk.truncate", "disk.remove", "disk.removeall",
		"disk.rename", "disk.link", "disk.mkdir", "disk.chmod", "disk.chown"}
)

// Faults by name.
var (
	// DiskFull: there is no space left (ENOSPC). Reads go on, writes fail with
	// api.DegradedError, and the store recovers once it is healed.
	DiskFull = failing("DiskFull", syscall.ENOSPC, writing)
	// WritesFail: what is written does not arrive (EIO).
	WritesFail = failing("WritesFail", syscall.EIO, writing)
	// TornWrites: half of what is written arrives, and the call fails (EIO).
	TornWrites = failing("TornWrites", faultfs.Short{Err: syscall.EIO}, writing)
	// SyncFails: fsync fails (EIO). What was written before it may or may not be safe, and
	// the store does not trust it until it has written it again.
	SyncFails = failing("SyncFails", syscall.EIO, syncing)
	// ReadsFail: what is read from the disk fails (EIO). What is in the store's caches is
	// read all the same.
	ReadsFail = failing("ReadsFail", syscall.EIO, reading)
	// ReadOnlyDisk: the file system was mounted anew to read only, as Linux does after an
	// error (EROFS).
	ReadOnlyDisk = failing("ReadOnlyDisk", syscall.EROFS, replacing)
)

func failing(name string, err error, calls []string) Fault {
	return Fault{name, func() func(faultfs.Operation) error {
		return func(o faultfs.Operation) error {
			if slices.Contains(calls, o.Call) {
				return err
			}
			return nil
		}
	}}
}

// SlowDisk has every fsync take so much longer. In a bubble of testing/synctest that is the
// bubble's time.
func SlowDisk(wait time.Duration) Fault {
	return Fault{fmt.Sprintf("SlowDisk(%v)", wait), func() func(faultfs.Operation) error {
		return func(o faultfs.Operation) error {
			if slices.Contains(syncing, o.Call) {
				time.Sleep(wait)
			}
			return nil
		}
	}}
}

// Once has the fault strike a single call, the next one that it would have fail.
func (f Fault) Once() Fault { return f.times(f.name+".Once()", 0, 1) }

// After lets so many calls pass that the fault would have fail, then it strikes.
func (f Fault) After(calls int) Fault {
	return f.times(fmt.Sprintf("%s.After(%d)", f.name, calls), int64(calls), 0)
}

func (f Fault) times(name string, after, times int64) Fault {
	return Fault{name, func() func(faultfs.Operation) error {
		if f.strike == nil {
			return func(faultfs.Operation) error { return nil }
		}
		decide, calls := f.strike(), new(atomic.Int64)
		return func(o faultfs.Operation) error {
			err := decide(o)
			if err == nil {
				return nil
			}
			if n := calls.Add(1); n <= after || times > 0 && n > after+times {
				return nil
			}
			return err
		}
	}}
}

// OnLog confines the fault to the write-ahead log, where commits go.
func (f Fault) OnLog() Fault {
	return f.on(f.name+".OnLog()", func(path string) bool { return strings.HasSuffix(path, "-wal") })
}

// OnDatabase confines the fault to the database file, where checkpoints move commits to
// and from which is read what the log doesn't hold.
func (f Fault) OnDatabase() Fault {
	return f.on(f.name+".OnDatabase()", func(path string) bool {
		return !slices.ContainsFunc([]string{"-wal", "-shm", "-journal", "-lock"}, func(suffix string) bool { return strings.HasSuffix(path, suffix) })
	})
}

func (f Fault) on(name string, files func(path string) bool) Fault {
	return Fault{name, func() func(faultfs.Operation) error {
		if f.strike == nil {
			return func(faultfs.Operation) error { return nil }
		}
		decide := f.strike()
		return func(o faultfs.Operation) error {
			if !files(o.Path) {
				return nil
			}
			return decide(o)
		}
	}}
}

// Fault has the store's disk fail, in its folder and nowhere else, until heal is called or
// the test ends. Several faults may be there at a time; healing twice is harmless. It fails
// the test for a store in memory.
func (s *Store) Fault(fault Fault) (heal func()) {
	s.t.Helper()
	if s.folder == nil {
		s.t.Fatalf("storetest: Fault(%v): a store in memory has no disk", fault)
	}
	if fault.strike == nil {
		return func() {}
	}
	s.faulted = true
	return s.folder.Inject(fault.strike())
}
