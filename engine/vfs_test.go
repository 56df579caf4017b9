package engine

import (
	"sync"
	"sync/atomic"
	"unsafe"

	"forge.lthn.ai/core/go-store/internal/storage/cabi"

	"modernc.org/libc"
	"modernc.org/libc/sys/types"
	lib "modernc.org/sqlite/lib"
)

// disk fails when told to: its log can't be written or synced. It is a copy of
// SQLite's own file system with two calls replaced, and the default one of this
// test binary, so that the code under test needs no hook. (The tests of
// internal/storage have a whole one; here only the store's answers matter.)
var disk struct {
	write, sync atomic.Pointer[func() int32] // nil, or what says whether a call fails and how

	open   uintptr  // the original's
	tables sync.Map // by patched table (uintptr): methodTable, the original
}

// times is a fault that hits so often.
func times(n int64, code int32) *func() int32 {
	var left atomic.Int64
	left.Store(n)
	f := func() int32 {
		if left.Add(-1) < 0 {
			return lib.SQLITE_OK
		}
		return code
	}
	return &f
}

func verdict(f *atomic.Pointer[func() int32]) int32 {
	if fault := f.Load(); fault != nil {
		return (*fault)()
	}
	return lib.SQLITE_OK
}

func installDisk() {
	tls := libc.NewTLS()
	lib.Xsqlite3_initialize(tls)
	original := cabi.At[lib.Tsqlite3_vfs](lib.Xsqlite3_vfs_find(tls, 0))
	patched := libc.Xmalloc(tls, types.Size_t(unsafe.Sizeof(*original)))
	vfs := cabi.At[lib.Tsqlite3_vfs](patched)
	*vfs = *original
	disk.open = vfs.FxOpen
	name, err := libc.CString("disk")
	if err != nil {
		panic(err)
	}
	vfs.FzName, vfs.FxOpen = name, cabi.Pointer(openOnDisk)
	if code := lib.Xsqlite3_vfs_register(tls, patched, 1); code != lib.SQLITE_OK {
		panic(code)
	}
}

var patching sync.Mutex

func openOnDisk(tls *libc.TLS, vfs, path, file uintptr, flags int32, outFlags uintptr) int32 {
	code := cabi.Call[func(*libc.TLS, uintptr, uintptr, uintptr, int32, uintptr) int32](disk.open)(tls, vfs, path, file, flags, outFlags)
	methods := &cabi.At[lib.Tsqlite3_file](file).FpMethods
	if flags&lib.SQLITE_OPEN_WAL == 0 || *methods == 0 {
		return code
	}
	patching.Lock()
	defer patching.Unlock()
	var table uintptr
	disk.tables.Range(func(patched, original any) bool {
		if original.(methodTable).address == *methods {
			table = patched.(uintptr)
		}
		return table == 0
	})
	if table == 0 {
		o := methodTable{*methods, *cabi.At[lib.Tsqlite3_io_methods](*methods)}
		table = libc.Xmalloc(tls, types.Size_t(unsafe.Sizeof(o.methods)))
		patched := o.methods
		patched.FxWrite, patched.FxSync = cabi.Pointer(writeOnDisk), cabi.Pointer(syncOnDisk)
		*cabi.At[lib.Tsqlite3_io_methods](table) = patched
		disk.tables.Store(table, o)
	}
	*methods = table
	return code
}

type methodTable struct {
	address uintptr
	methods lib.Tsqlite3_io_methods
}

func originalOf(file uintptr) lib.Tsqlite3_io_methods {
	o, _ := disk.tables.Load(cabi.At[lib.Tsqlite3_file](file).FpMethods)
	return o.(methodTable).methods
}

func writeOnDisk(tls *libc.TLS, file, from uintptr, n int32, offset int64) int32 {
	if code := verdict(&disk.write); code != lib.SQLITE_OK {
		return code
	}
	return cabi.Call[func(*libc.TLS, uintptr, uintptr, int32, int64) int32](originalOf(file).FxWrite)(tls, file, from, n, offset)
}

func syncOnDisk(tls *libc.TLS, file uintptr, flags int32) int32 {
	if code := verdict(&disk.sync); code != lib.SQLITE_OK {
		return code
	}
	return cabi.Call[func(*libc.TLS, uintptr, int32) int32](originalOf(file).FxSync)(tls, file, flags)
}
