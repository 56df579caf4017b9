package faultfs

import (
	"errors"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"unsafe"

	"forge.lthn.ai/core/go-store/internal/planted"
	"forge.lthn.ai/core/go-store/internal/storage/cabi"
	"forge.lthn.ai/core/go-store/internal/storage/disk"

	"modernc.org/libc"
	"modernc.org/libc/sys/types"
	lib "modernc.org/sqlite/lib"
)

var (
	installed atomic.Bool
	noSyncs   atomic.Bool
	frames    atomic.Int64 // written to WALs, for a bug that is planted
)

// SkipSyncs has every sync be written down, and fail if it is to, but not made: the disk
// of this machine is not what is tested. Call it in TestMain or around a test.
func SkipSyncs(skip bool) (before bool) { return noSyncs.Swap(skip) }

// The calls of the default VFS, and the files that are open.
var vfs struct {
	sync.RWMutex
	open, remove, access uintptr
	tables               map[uintptr]uintptr // the replaced method table of an original
	files                map[uintptr]*openFile
}

// openFile is a file of SQLite's.
type openFile struct {
	methods    lib.Tsqlite3_io_methods // the original's
	path       string
	recording  *Recording // nil: calls are not written down
	inode      int
	syncFolder atomic.Bool // with the next sync the folder is synced too
}

// Install puts the file system in the place of SQLite's default one and in the way of
// package disk, for good. Call it before SQLite is used.
func Install() {
	if installed.Swap(true) {
		return
	}
	tls := libc.NewTLS()
	lib.Xsqlite3_initialize(tls)
	vfs.tables = make(map[uintptr]uintptr)
	vfs.files = make(map[uintptr]*openFile)
	original := cabi.At[lib.Tsqlite3_vfs](lib.Xsqlite3_vfs_find(tls, 0))
	address := libc.Xmalloc(tls, types.Size_t(unsafe.Sizeof(*original)))
	replaced := cabi.At[lib.Tsqlite3_vfs](address)
	*replaced = *original
	vfs.open, vfs.remove, vfs.access = original.FxOpen, original.FxDelete, original.FxAccess
	name, err := libc.CString("faultfs")
	if err != nil {
		panic(err)
	}
	replaced.FzName = name
	replaced.FxOpen = cabi.Pointer(xOpen)
	replaced.FxDelete = cabi.Pointer(xDelete)
	replaced.FxAccess = cabi.Pointer(xAccess)
	if code := lib.Xsqlite3_vfs_register(tls, address, 1); code != lib.SQLITE_OK {
		panic(code)
	}
	disk.Intercept(intercept)
}

func xOpen(tls *libc.TLS, self, name, file uintptr, flags int32, outFlags uintptr) int32 {
	do := func(flags int32) int32 {
		return cabi.Call[func(*libc.TLS, uintptr, uintptr, uintptr, int32, uintptr) int32](vfs.open)(tls, self, name, file, flags, outFlags)
	}
	path := ""
	if name != 0 {
		path = libc.GoString(name)
	}
	if err := verdict(Operation{Call: "open", Path: path}); err != nil {
		readOnly := refusesWriting(err) && flags&lib.SQLITE_OPEN_READWRITE != 0
		if _, missing := os.Lstat(path); !readOnly || missing != nil {
			cabi.At[lib.Tsqlite3_file](file).FpMethods = 0
			return code("open", err)
		}
		// SQLite's VFS then opens it to read.
		flags = flags&^(lib.SQLITE_OPEN_READWRITE|lib.SQLITE_OPEN_CREATE) | lib.SQLITE_OPEN_READONLY
	}
	r := recordingOf(path)
	defer r.begin()()
	result := do(flags)
	methods := &cabi.At[lib.Tsqlite3_file](file).FpMethods
	if *methods == 0 {
		return result
	}
	f := &openFile{methods: *cabi.At[lib.Tsqlite3_io_methods](*methods), path: path, recording: r}
	if r != nil {
		f.inode = r.opened(path, false)
	}
	// os_unix.c: UNIXFILE_DIRSYNC
	const journals = lib.SQLITE_OPEN_WAL | lib.SQLITE_OPEN_MAIN_JOURNAL | lib.SQLITE_OPEN_SUPER_JOURNAL
	f.syncFolder.Store(flags&lib.SQLITE_OPEN_CREATE != 0 && flags&journals != 0)
	vfs.Lock()
	defer vfs.Unlock()
	*methods = replacedTable(tls, *methods)
	vfs.files[file] = f
	return result
}

// replacedTable is called under the lock.
func replacedTable(tls *libc.TLS, original uintptr) uintptr {
	if table, ok := vfs.tables[original]; ok {
		return table
	}
	methods := *cabi.At[lib.Tsqlite3_io_methods](original)
	table := libc.Xmalloc(tls, types.Size_t(unsafe.Sizeof(methods)))
	vfs.tables[original] = table
	methods.FxClose = cabi.Pointer(xClose)
	methods.FxRead = cabi.Pointer(xRead)
	methods.FxWrite = cabi.Pointer(xWrite)
	methods.FxTruncate = cabi.Pointer(xTruncate)
	methods.FxSync = cabi.Pointer(xSync)
	methods.FxFileSize = cabi.Pointer(xFileSize)
	methods.FxLock = cabi.Pointer(xLock)
	methods.FxUnlock = cabi.Pointer(xUnlock)
	if methods.FxShmMap != 0 {
		methods.FxShmMap = cabi.Pointer(xShmMap)
		methods.FxShmLock = cabi.Pointer(xShmLock)
	}
	*cabi.At[lib.Tsqlite3_io_methods](table) = methods
	return table
}

func fileAt(file uintptr) *openFile {
	vfs.RLock()
	defer vfs.RUnlock()
	return vfs.files[file]
}

func xClose(tls *libc.TLS, file uintptr) int32 {
	f := fileAt(file)
	vfs.Lock()
	delete(vfs.files, file)
	vfs.Unlock()
	return cabi.Call[func(*libc.TLS, uintptr) int32](f.methods.FxClose)(tls, file)
}

func xRead(tls *libc.TLS, file, into uintptr, n int32, offset int64) int32 {
	f := fileAt(file)
	do := func(n int32) int32 {
		return cabi.Call[func(*libc.TLS, uintptr, uintptr, int32, int64) int32](f.methods.FxRead)(tls, file, into, n, offset)
	}
	if err := verdict(Operation{Call: "read", Path: f.path, Offset: offset, Size: int64(n)}); err != nil {
		if errors.As(err, new(Short)) {
			_ = do(n / 2)
		}
		return code("read", err)
	}
	return do(n)
}

func xWrite(tls *libc.TLS, file, from uintptr, n int32, offset int64) int32 {
	f := fileAt(file)
	do := func(n int32) int32 {
		defer f.recording.begin()()
		result := cabi.Call[func(*libc.TLS, uintptr, uintptr, int32, int64) int32](f.methods.FxWrite)(tls, file, from, n, offset)
		if result == lib.SQLITE_OK && f.recording != nil {
			f.recording.wrote(f.inode, unsafe.Slice(cabi.At[byte](from), n), offset)
		}
		return result
	}
	o := Operation{Call: "write", Path: f.path, Offset: offset, Size: int64(n)}
	if err := verdict(o); err != nil {
		if errors.As(err, new(Short)) {
			_ = do(n / 2)
		}
		return code("write", err)
	}
	if planted.TornFrame && kindOf(o) == "wal" && n > sectorSize && frames.Add(1)%planted.TornFrameRate == 0 {
		return do(sectorSize)
	}
	return do(n)
}

func xTruncate(tls *libc.TLS, file uintptr, size int64) int32 {
	f := fileAt(file)
	if err := verdict(Operation{Call: "truncate", Path: f.path, Size: size}); err != nil {
		return code("truncate", err)
	}
	defer f.recording.begin()()
	result := cabi.Call[func(*libc.TLS, uintptr, int64) int32](f.methods.FxTruncate)(tls, file, size)
	if result == lib.SQLITE_OK && f.recording != nil {
		f.recording.truncated(f.inode, size)
	}
	return result
}

func xSync(tls *libc.TLS, file uintptr, flags int32) int32 {
	f := fileAt(file)
	if err := verdict(Operation{Call: "sync", Path: f.path}); err != nil {
		return code("sync", err)
	}
	defer f.recording.begin()()
	if f.recording.syncs() {
		if result := cabi.Call[func(*libc.TLS, uintptr, int32) int32](f.methods.FxSync)(tls, file, flags); result != lib.SQLITE_OK {
			return result
		}
	}
	folder := f.syncFolder.Swap(false)
	if f.recording != nil {
		f.recording.synced(f.inode)
		if folder {
			f.recording.syncedFolder(filepath.Dir(f.path))
		}
	}
	return lib.SQLITE_OK
}

func xFileSize(tls *libc.TLS, file, into uintptr) int32 {
	f := fileAt(file)
	if err := verdict(Operation{Call: "filesize", Path: f.path}); err != nil {
		return code("filesize", err)
	}
	return cabi.Call[func(*libc.TLS, uintptr, uintptr) int32](f.methods.FxFileSize)(tls, file, into)
}

func xLock(tls *libc.TLS, file uintptr, level int32) int32 {
	f := fileAt(file)
	if err := verdict(Operation{Call: "lock", Path: f.path}); err != nil {
		return code("lock", err)
	}
	return cabi.Call[func(*libc.TLS, uintptr, int32) int32](f.methods.FxLock)(tls, file, level)
}

func xUnlock(tls *libc.TLS, file uintptr, level int32) int32 {
	f := fileAt(file)
	if err := verdict(Operation{Call: "unlock", Path: f.path}); err != nil {
		return code("unlock", err)
	}
	return cabi.Call[func(*libc.TLS, uintptr, int32) int32](f.methods.FxUnlock)(tls, file, level)
}

func xShmMap(tls *libc.TLS, file uintptr, region, size, extend int32, into uintptr) int32 {
	f := fileAt(file)
	if err := verdict(Operation{Call: "shmmap", Path: f.path + "-shm", Offset: int64(region) * int64(size), Size: int64(size)}); err != nil {
		return code("shmmap", err)
	}
	return cabi.Call[func(*libc.TLS, uintptr, int32, int32, int32, uintptr) int32](f.methods.FxShmMap)(tls, file, region, size, extend, into)
}

func xShmLock(tls *libc.TLS, file uintptr, offset, n, flags int32) int32 {
	f := fileAt(file)
	if flags&lib.SQLITE_SHM_UNLOCK == 0 { // what SQLite is told of an unlock that fails it ignores
		if err := verdict(Operation{Call: "shmlock", Path: f.path + "-shm", Offset: int64(offset), Size: int64(n)}); err != nil {
			return code("shmlock", err)
		}
	}
	return cabi.Call[func(*libc.TLS, uintptr, int32, int32, int32) int32](f.methods.FxShmLock)(tls, file, offset, n, flags)
}

func xDelete(tls *libc.TLS, self, name uintptr, syncFolder int32) int32 {
	path := libc.GoString(name)
	if err := verdict(Operation{Call: "delete", Path: path}); err != nil {
		return code("delete", err)
	}
	r := recordingOf(path)
	defer r.begin()()
	does := syncFolder
	if !r.syncs() {
		does = 0
	}
	result := cabi.Call[func(*libc.TLS, uintptr, uintptr, int32) int32](vfs.remove)(tls, self, name, does)
	if r != nil && result == lib.SQLITE_OK {
		r.removed(path)
		if syncFolder&1 != 0 {
			r.syncedFolder(filepath.Dir(path))
		}
	}
	return result
}

func xAccess(tls *libc.TLS, self, name uintptr, flags int32, into uintptr) int32 {
	if err := verdict(Operation{Call: "access", Path: libc.GoString(name)}); err != nil {
		return code("access", err)
	}
	return cabi.Call[func(*libc.TLS, uintptr, uintptr, int32, uintptr) int32](vfs.access)(tls, self, name, flags, into)
}

// intercept is the store's own calls.
func intercept(c *disk.Call, do func() error) error {
	o := Operation{Call: "disk." + c.Name, Path: c.Path, To: c.To, Offset: c.Offset, Size: c.Size}
	err := verdict(o)
	if err != nil {
		if errors.As(err, new(Short)) && c.Name == "write" && len(c.Data) > 1 {
			half := c.Data[:len(c.Data)/2]
			r := recordingOf(c.Path)
			end := r.begin()
			if _, writing := c.File.WriteAt(half, c.Offset); writing == nil && r != nil {
				r.wrote(r.inodeOf(c.File), half, c.Offset)
			}
			end()
		}
		return diskError(c.Path, c.Name, err)
	}
	r := recordingOf(c.Path)
	defer r.begin()()
	if r.syncs() || c.Name != "sync" && c.Name != "syncfolder" {
		err = do()
	}
	if err == nil && r != nil {
		r.called(c)
	}
	return err
}
