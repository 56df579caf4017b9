// Package gather has the frames of a COMMIT written to the WAL some dozens at a time.
//
// SQLite writes each page in two calls, one for the frame's header and one for the page:
// where a call costs some microseconds, those are a third of what a commit of many pages
// costs. What is gathered goes to the file before the file is synced, read, measured or
// cut, and SQLite makes a commit visible only after it has synced it: no program can tell the
// difference but by counting the calls.
//
// It stands in front of the calls of one open file, so it is not in the way of those that
// stand there already (see faultfs): they see what is really written.
package gather

import (
	"errors"
	"sync"
	"time"
	"unsafe"

	"forge.lthn.ai/core/go-store/internal/storage/cabi"

	"modernc.org/libc"
	"modernc.org/libc/sys/types"
	lib "modernc.org/sqlite/lib"
)

// room is how much is written at a time: 31 frames of 4 KiB. SQLite's unixWrite takes less
// than 128 KiB.
const room = 31 * (4096 + 24)

// WAL is the file of a connection's WAL. One goroutine at a time uses the connection.
type WAL struct {
	file      uintptr                 // SQLite's
	methods   lib.Tsqlite3_io_methods // the file's own
	original  uintptr                 // where they are
	table     uintptr                 // ours, outside the Go heap, and behind them the buffer
	gathering bool
	unsynced  bool  // what is gathered is written, and synced by the next sync
	from      int64 // where in the file the buffer belongs
	held      int   // bytes in it

	// Synced is told how long each sync took. nil: not measured.
	Synced func(time.Duration)
}

// wals are known to SQLite by their files.
var wals sync.Map // of uintptr to *WAL

// Of stands in front of the WAL of a connection, given SQLite's own handle, that is in
// WAL mode and has written. Until Begin everything is as it was.
func Of(handle uintptr) (*WAL, error) {
	tls := libc.NewTLS()
	defer tls.Close()
	size := aligned(int(unsafe.Sizeof(lib.Tsqlite3_io_methods{})))
	w := &WAL{table: libc.Xmalloc(tls, types.Size_t(size+room))}
	if w.table == 0 {
		return nil, errors.New("no memory outside the Go heap")
	}
	// The answers go where the methods will be.
	if !w.overwritesSafely(tls, handle) {
		libc.Xfree(tls, w.table)
		return nil, errors.New("the file system does not promise that what lies beside a write stays whole")
	}
	if code := lib.Xsqlite3_file_control(tls, handle, 0, lib.SQLITE_FCNTL_JOURNAL_POINTER, w.table); code != lib.SQLITE_OK {
		libc.Xfree(tls, w.table)
		return nil, errors.New("the connection does not tell its WAL")
	}
	w.file = *cabi.At[uintptr](w.table)
	methods := &cabi.At[lib.Tsqlite3_file](w.file).FpMethods
	if *methods == 0 {
		libc.Xfree(tls, w.table)
		return nil, errors.New("the connection has no WAL open")
	}
	w.original, w.methods = *methods, *cabi.At[lib.Tsqlite3_io_methods](*methods)
	ours := w.methods
	ours.FxClose, ours.FxRead, ours.FxWrite = cabi.Pointer(xClose), cabi.Pointer(xRead), cabi.Pointer(xWrite)
	ours.FxTruncate, ours.FxSync, ours.FxFileSize = cabi.Pointer(xTruncate), cabi.Pointer(xSync), cabi.Pointer(xFileSize)
	*cabi.At[lib.Tsqlite3_io_methods](w.table) = ours
	wals.Store(w.file, w)
	*methods = w.table
	return w, nil
}

// overwritesSafely reports whether SQLite takes a write for leaving what lies beside it
// whole. Otherwise it pads a commit with frames, and writes a part of them after the sync
// that should have brought them to the disk. It asks the database's file.
func (w *WAL) overwritesSafely(tls *libc.TLS, handle uintptr) bool {
	if lib.Xsqlite3_file_control(tls, handle, 0, lib.SQLITE_FCNTL_FILE_POINTER, w.table) != lib.SQLITE_OK {
		return false
	}
	file := *cabi.At[uintptr](w.table)
	methods := cabi.At[lib.Tsqlite3_file](file).FpMethods
	if methods == 0 {
		return false
	}
	ask := cabi.At[lib.Tsqlite3_io_methods](methods).FxDeviceCharacteristics
	return ask != 0 && cabi.Call[func(*libc.TLS, uintptr) int32](ask)(tls, file)&lib.SQLITE_IOCAP_POWERSAFE_OVERWRITE != 0
}

func aligned(n int) int { return (n + 15) &^ 15 }

func (w *WAL) buffer() uintptr {
	return w.table + uintptr(aligned(int(unsafe.Sizeof(lib.Tsqlite3_io_methods{}))))
}

// Begin has what is written from now on gathered. Until End the connection may only
// commit, and sync what it commits. A nil WAL gathers nothing.
func (w *WAL) Begin() {
	if w != nil {
		w.gathering = true
	}
}

// BeginUnsynced is Begin for a commit that need not be durable before the next one is. It
// must not be the first of a WAL, whose header has to be on the disk before its frames count.
func (w *WAL) BeginUnsynced() {
	if w != nil {
		w.gathering, w.unsynced = true, true
	}
}

// End ends it, and reports whether everything has been written. What has not is
// forgotten: after a COMMIT that failed no reader misses it.
func (w *WAL) End() (written bool) {
	if w == nil {
		return true
	}
	written = w.held == 0
	w.gathering, w.unsynced, w.held = false, false, 0
	return written
}

// flush writes what is held. After an error nothing of it is to be tried again: the
// commit has failed.
func (w *WAL) flush(tls *libc.TLS) int32 {
	n := w.held
	if n == 0 {
		return lib.SQLITE_OK
	}
	w.held = 0
	return w.write(tls, w.buffer(), int32(n), w.from)
}

func (w *WAL) write(tls *libc.TLS, from uintptr, n int32, offset int64) int32 {
	return cabi.Call[func(*libc.TLS, uintptr, uintptr, int32, int64) int32](w.methods.FxWrite)(tls, w.file, from, n, offset)
}

func at(file uintptr) *WAL {
	w, _ := wals.Load(file)
	return w.(*WAL)
}

func xWrite(tls *libc.TLS, file, from uintptr, n int32, offset int64) int32 {
	w := at(file)
	if !w.gathering {
		return w.write(tls, from, n, offset)
	}
	if w.held > 0 && (offset != w.from+int64(w.held) || w.held+int(n) > room) {
		if code := w.flush(tls); code != lib.SQLITE_OK {
			return code
		}
	}
	if int(n) > room {
		return w.write(tls, from, n, offset)
	}
	if w.held == 0 {
		w.from = offset
	}
	copy(unsafe.Slice(cabi.At[byte](w.buffer()+uintptr(w.held)), n), unsafe.Slice(cabi.At[byte](from), n))
	w.held += int(n)
	return lib.SQLITE_OK
}

func xRead(tls *libc.TLS, file, into uintptr, n int32, offset int64) int32 {
	w := at(file)
	if code := w.flush(tls); code != lib.SQLITE_OK {
		return code
	}
	return cabi.Call[func(*libc.TLS, uintptr, uintptr, int32, int64) int32](w.methods.FxRead)(tls, file, into, n, offset)
}

func xTruncate(tls *libc.TLS, file uintptr, size int64) int32 {
	w := at(file)
	if code := w.flush(tls); code != lib.SQLITE_OK {
		return code
	}
	return cabi.Call[func(*libc.TLS, uintptr, int64) int32](w.methods.FxTruncate)(tls, file, size)
}

func xSync(tls *libc.TLS, file uintptr, flags int32) int32 {
	w := at(file)
	if code := w.flush(tls); code != lib.SQLITE_OK {
		return code
	}
	if w.unsynced {
		return lib.SQLITE_OK
	}
	if w.Synced != nil {
		defer func(began time.Time) { w.Synced(time.Since(began)) }(time.Now())
	}
	return cabi.Call[func(*libc.TLS, uintptr, int32) int32](w.methods.FxSync)(tls, file, flags)
}

func xFileSize(tls *libc.TLS, file, into uintptr) int32 {
	w := at(file)
	if code := w.flush(tls); code != lib.SQLITE_OK {
		return code
	}
	return cabi.Call[func(*libc.TLS, uintptr, uintptr) int32](w.methods.FxFileSize)(tls, file, into)
}

// xClose closes the file, and leaves nothing of this package behind.
func xClose(tls *libc.TLS, file uintptr) int32 {
	w := at(file)
	wals.Delete(file)
	cabi.At[lib.Tsqlite3_file](file).FpMethods = w.original
	libc.Xfree(tls, w.table)
	w.gathering, w.unsynced, w.held, w.table = false, false, 0, 0
	return cabi.Call[func(*libc.TLS, uintptr) int32](w.methods.FxClose)(tls, file)
}
