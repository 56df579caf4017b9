// Package disk is what the store asks of the file system by itself, beside what SQLite
// asks: all of it goes through here, so that tests can have any call fail, or write down
// what was asked in which order and play a power cut on it (see faultfs). It decides
// nothing. Outside tests nothing stands in the way, which costs one comparison a call.
package disk

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"sync/atomic"
	"syscall"
)

// Call is one call, before or after it was made.
type Call struct {
	Name   string   // open, read, write, truncate, sync, syncfolder, rename, remove, removeall, link, mkdir, chmod, chown, stat, flock, map
	Path   string   // of the file, as it was opened; of a folder with syncfolder
	To     string   // the other name of rename and link
	File   *os.File // nil until it is open
	Flags  int      // of open
	Data   []byte   // of write
	Offset int64
	Size   int64
}

// Interceptor stands in the way of every call: it makes it with do, or not, and says
// what came of it.
type Interceptor func(c *Call, do func() error) error

var interceptor atomic.Pointer[Interceptor]

// Intercept puts an interceptor in the way for good. Only tests call it.
func Intercept(i Interceptor) { interceptor.Store(&i) }

func through(c *Call, do func() error) error {
	if i := interceptor.Load(); i != nil {
		return (*i)(c, do)
	}
	return do()
}

// Do makes a call of another kind, by its name.
func Do(name string, file *os.File, do func() error) error {
	if interceptor.Load() == nil {
		return do()
	}
	return through(&Call{Name: name, Path: file.Name(), File: file}, do)
}

// OpenFile is os.OpenFile.
func OpenFile(path string, flags int, mode fs.FileMode) (file *os.File, err error) {
	c := &Call{Name: "open", Path: path, Flags: flags}
	err = through(c, func() (err error) {
		file, err = os.OpenFile(path, flags, mode)
		c.File = file
		return err
	})
	return file, err
}

// CreateTemp is os.CreateTemp.
func CreateTemp(folder, pattern string) (file *os.File, err error) {
	c := &Call{Name: "open", Path: filepath.Join(folder, pattern), Flags: os.O_RDWR | os.O_CREATE | os.O_EXCL}
	err = through(c, func() (err error) {
		if file, err = os.CreateTemp(folder, pattern); err == nil {
			c.Path, c.File = file.Name(), file
		}
		return err
	})
	return file, err
}

// MkdirTemp is os.MkdirTemp.
func MkdirTemp(folder, pattern string) (path string, err error) {
	c := &Call{Name: "mkdir", Path: filepath.Join(folder, pattern)}
	err = through(c, func() (err error) {
		path, err = os.MkdirTemp(folder, pattern)
		c.Path = path
		return err
	})
	return path, err
}

// Stat is os.Stat.
func Stat(path string) (info fs.FileInfo, err error) {
	err = through(&Call{Name: "stat", Path: path}, func() (err error) {
		info, err = os.Stat(path)
		return err
	})
	return info, err
}

// Lstat is os.Lstat.
func Lstat(path string) (info fs.FileInfo, err error) {
	err = through(&Call{Name: "stat", Path: path}, func() (err error) {
		info, err = os.Lstat(path)
		return err
	})
	return info, err
}

// Remove is os.Remove.
func Remove(path string) error {
	return through(&Call{Name: "remove", Path: path}, func() error { return os.Remove(path) })
}

// RemoveAll is os.RemoveAll.
func RemoveAll(path string) error {
	return through(&Call{Name: "removeall", Path: path}, func() error { return os.RemoveAll(path) })
}

// Rename is os.Rename.
func Rename(from, to string) error {
	return through(&Call{Name: "rename", Path: from, To: to}, func() error { return os.Rename(from, to) })
}

// Link is os.Link.
func Link(from, to string) error {
	return through(&Call{Name: "link", Path: from, To: to}, func() error { return os.Link(from, to) })
}

// Chmod is os.Chmod.
func Chmod(path string, mode fs.FileMode) error {
	return through(&Call{Name: "chmod", Path: path}, func() error { return os.Chmod(path, mode) })
}

// Chown is os.Chown.
func Chown(path string, uid, gid int) error {
	return through(&Call{Name: "chown", Path: path}, func() error { return os.Chown(path, uid, gid) })
}

// ReadAt is file.ReadAt.
func ReadAt(file *os.File, into []byte, offset int64) (n int, err error) {
	if interceptor.Load() == nil { // without memory of its own: a read may take a microsecond
		return file.ReadAt(into, offset)
	}
	err = through(&Call{Name: "read", Path: file.Name(), File: file, Offset: offset, Size: int64(len(into))}, func() (err error) {
		n, err = file.ReadAt(into, offset)
		return err
	})
	return n, err
}

// WriteAt is file.WriteAt.
func WriteAt(file *os.File, data []byte, offset int64) (n int, err error) {
	err = through(&Call{Name: "write", Path: file.Name(), File: file, Data: data, Offset: offset, Size: int64(len(data))}, func() (err error) {
		n, err = file.WriteAt(data, offset)
		return err
	})
	return n, err
}

// Truncate is file.Truncate.
func Truncate(file *os.File, size int64) error {
	return through(&Call{Name: "truncate", Path: file.Name(), File: file, Size: size}, func() error { return file.Truncate(size) })
}

// Sync is file.Sync.
func Sync(file *os.File) error {
	return through(&Call{Name: "sync", Path: file.Name(), File: file}, file.Sync)
}

// SyncFolder makes the names in a folder safe from a power cut, as far as that can be
// asked for: Windows can't sync folders, nor can some network file systems, and a folder
// may be one to write into but not to open. SQLite takes both as they are.
func SyncFolder(path string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	return through(&Call{Name: "syncfolder", Path: path}, func() error {
		folder, err := os.Open(path)
		if errors.Is(err, fs.ErrPermission) {
			return nil
		}
		if err != nil {
			return err
		}
		if err = folder.Sync(); errors.Is(err, syscall.EINVAL) || errors.Is(err, errors.ErrUnsupported) {
			err = nil
		}
		return errors.Join(err, folder.Close())
	})
}

// Reader reads a file from its current position.
func Reader(file *os.File) io.Reader { return reader{file} }

type reader struct{ file *os.File }

func (r reader) Read(into []byte) (n int, err error) {
	err = through(&Call{Name: "read", Path: r.file.Name(), File: r.file, Size: int64(len(into))}, func() (err error) {
		n, err = r.file.Read(into)
		return err
	})
	return n, err
}
