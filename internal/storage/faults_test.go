package storage

import (
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"unsafe"

	"forge.lthn.ai/core/go-store/internal/storage/cabi"

	"modernc.org/libc"
	"modernc.org/libc/sys/types"
	lib "modernc.org/sqlite/lib"
)

// operation is something that SQLite asks of the operating system.
type operation struct {
	call string // open, read, write, truncate, sync, shmmap, lock, delete
	file string // database, wal, journal
}

// fault decides whether an operation fails, and with which result code.
type fault func(operation) (code int32)

// currentFault is nil while nothing is to fail.
var currentFault atomic.Pointer[fault]

// inject has operations fail until the test ends or heal is called.
func inject(t testing.TB, f fault) (heal func()) {
	currentFault.Store(&f)
	heal = func() { currentFault.Store(nil) }
	t.Cleanup(heal)
	return heal
}

// failing fails every call of that kind on that file; empty means any.
func failing(call, file string, code int32) fault {
	return func(o operation) int32 {
		if (call == "" || o.call == call) && (file == "" || o.file == file) {
			return code
		}
		return lib.SQLITE_OK
	}
}

func verdict(call, file string) int32 {
	if f := currentFault.Load(); f != nil {
		return (*f)(operation{call, file})
	}
	return lib.SQLITE_OK
}

// The faulty file system is SQLite's own with some calls replaced. It is the
// default one of the test binary, so that the code under test needs no hook.
var faultyFS struct {
	sync.RWMutex
	open, remove uintptr                    // the original's
	tables       map[tableKey]uintptr       // patched method tables
	originals    map[uintptr]methodsOfAFile // by patched table
}

type tableKey struct {
	original uintptr
	file     string
}

type methodsOfAFile struct {
	lib.Tsqlite3_io_methods
	file string
}

func installFaultyFS() {
	tls := libc.NewTLS()
	lib.Xsqlite3_initialize(tls)
	faultyFS.tables = make(map[tableKey]uintptr)
	faultyFS.originals = make(map[uintptr]methodsOfAFile)
	original := cabi.At[lib.Tsqlite3_vfs](lib.Xsqlite3_vfs_find(tls, 0))
	patched := libc.Xmalloc(tls, types.Size_t(unsafe.Sizeof(*original)))
	vfs := cabi.At[lib.Tsqlite3_vfs](patched)
	*vfs = *original
	faultyFS.open, faultyFS.remove = vfs.FxOpen, vfs.FxDelete
	name, err := libc.CString("faulty")
	if err != nil {
		panic(err)
	}
	vfs.FzName = name
	vfs.FxOpen = cabi.Pointer(faultyOpen)
	vfs.FxDelete = cabi.Pointer(faultyDelete)
	if code := lib.Xsqlite3_vfs_register(tls, patched, 1); code != lib.SQLITE_OK {
		panic(code)
	}
}

func faultyOpen(tls *libc.TLS, vfs, path, file uintptr, flags int32, outFlags uintptr) int32 {
	kind := "other"
	switch {
	case flags&lib.SQLITE_OPEN_MAIN_DB != 0:
		kind = "database"
	case flags&lib.SQLITE_OPEN_WAL != 0:
		kind = "wal"
	case flags&lib.SQLITE_OPEN_MAIN_JOURNAL != 0:
		kind = "journal"
	}
	if code := verdict("open", kind); code != lib.SQLITE_OK {
		cabi.At[lib.Tsqlite3_file](file).FpMethods = 0
		return code
	}
	code := cabi.Call[func(*libc.TLS, uintptr, uintptr, uintptr, int32, uintptr) int32](faultyFS.open)(tls, vfs, path, file, flags, outFlags)
	if methods := &cabi.At[lib.Tsqlite3_file](file).FpMethods; *methods != 0 {
		*methods = patchedTable(tls, *methods, kind)
	}
	return code
}

func faultyDelete(tls *libc.TLS, vfs, path uintptr, syncFolder int32) int32 {
	kind := "journal"
	if strings.HasSuffix(libc.GoString(path), walSuffix) {
		kind = "wal"
	}
	if code := verdict("delete", kind); code != lib.SQLITE_OK {
		return code
	}
	return cabi.Call[func(*libc.TLS, uintptr, uintptr, int32) int32](faultyFS.remove)(tls, vfs, path, syncFolder)
}

func patchedTable(tls *libc.TLS, original uintptr, kind string) uintptr {
	faultyFS.Lock()
	defer faultyFS.Unlock()
	key := tableKey{original, kind}
	if table, ok := faultyFS.tables[key]; ok {
		return table
	}
	methods := *cabi.At[lib.Tsqlite3_io_methods](original)
	table := libc.Xmalloc(tls, types.Size_t(unsafe.Sizeof(methods)))
	faultyFS.tables[key] = table
	faultyFS.originals[table] = methodsOfAFile{methods, kind}
	methods.FxRead = cabi.Pointer(faultyRead)
	methods.FxWrite = cabi.Pointer(faultyWrite)
	methods.FxTruncate = cabi.Pointer(faultyTruncate)
	methods.FxSync = cabi.Pointer(faultySync)
	methods.FxLock = cabi.Pointer(faultyLock)
	if methods.FxShmMap != 0 {
		methods.FxShmMap = cabi.Pointer(faultyShmMap)
	}
	*cabi.At[lib.Tsqlite3_io_methods](table) = methods
	return table
}

func originalOf(file uintptr) methodsOfAFile {
	faultyFS.RLock()
	defer faultyFS.RUnlock()
	return faultyFS.originals[cabi.At[lib.Tsqlite3_file](file).FpMethods]
}

func faultyRead(tls *libc.TLS, file, into uintptr, n int32, offset int64) int32 {
	o := originalOf(file)
	if code := verdict("read", o.file); code != lib.SQLITE_OK {
		return code
	}
	return cabi.Call[func(*libc.TLS, uintptr, uintptr, int32, int64) int32](o.FxRead)(tls, file, into, n, offset)
}

func faultyWrite(tls *libc.TLS, file, from uintptr, n int32, offset int64) int32 {
	o := originalOf(file)
	if code := verdict("write", o.file); code != lib.SQLITE_OK {
		return code
	}
	return cabi.Call[func(*libc.TLS, uintptr, uintptr, int32, int64) int32](o.FxWrite)(tls, file, from, n, offset)
}

func faultyTruncate(tls *libc.TLS, file uintptr, size int64) int32 {
	o := originalOf(file)
	if code := verdict("truncate", o.file); code != lib.SQLITE_OK {
		return code
	}
	return cabi.Call[func(*libc.TLS, uintptr, int64) int32](o.FxTruncate)(tls, file, size)
}

func faultySync(tls *libc.TLS, file uintptr, flags int32) int32 {
	o := originalOf(file)
	if code := verdict("sync", o.file); code != lib.SQLITE_OK {
		return code
	}
	return cabi.Call[func(*libc.TLS, uintptr, int32) int32](o.FxSync)(tls, file, flags)
}

func faultyLock(tls *libc.TLS, file uintptr, level int32) int32 {
	o := originalOf(file)
	if code := verdict("lock", o.file); code != lib.SQLITE_OK {
		return code
	}
	return cabi.Call[func(*libc.TLS, uintptr, int32) int32](o.FxLock)(tls, file, level)
}

func faultyShmMap(tls *libc.TLS, file uintptr, region, size, extend int32, into uintptr) int32 {
	o := originalOf(file)
	if code := verdict("shmmap", o.file); code != lib.SQLITE_OK {
		return code
	}
	return cabi.Call[func(*libc.TLS, uintptr, int32, int32, int32, uintptr) int32](o.FxShmMap)(tls, file, region, size, extend, into)
}
