package storefs

import (
	"io"
	"io/fs"
	"path"
	"strings"
	"time"
)

// info is what is known of a file or a folder.
type info struct {
	name     string // the last part of the path
	mode     fs.FileMode
	size     int64
	revision uint64 // 0 for a folder
}

func (i info) Name() string       { return i.name }
func (i info) Size() int64        { return i.size }
func (i info) Mode() fs.FileMode  { return i.mode }
func (i info) ModTime() time.Time { return time.Time{} }
func (i info) IsDir() bool        { return i.mode.IsDir() }

// Sys is the revision of a file; nil for a folder.
func (i info) Sys() any {
	if i.IsDir() {
		return nil
	}
	return i.revision
}

// child is what a folder holds.
type child struct {
	fs     *FS
	path   string
	folder bool
}

func (c *child) Name() string               { return path.Base(c.path) }
func (c *child) IsDir() bool                { return c.folder }
func (c *child) Info() (fs.FileInfo, error) { return c.fs.Stat(c.path) }
func (c *child) String() string             { return fs.FormatDirEntry(c) }

func (c *child) Type() fs.FileMode {
	if c.folder {
		return fs.ModeDir
	}
	return 0
}

// file is an open file. Like an os.File it is of use to one goroutine at a time.
type file struct {
	reader *strings.Reader // nil once it is closed
	name   string
	info   info
}

func (f *file) Stat() (fs.FileInfo, error) { return f.info, f.open("stat") }

func (f *file) Read(p []byte) (int, error) {
	if err := f.open("read"); err != nil {
		return 0, err
	}
	return f.reader.Read(p)
}

// ReadAt is io.ReaderAt.
func (f *file) ReadAt(p []byte, offset int64) (int, error) {
	if err := f.open("read"); err != nil {
		return 0, err
	}
	if offset < 0 {
		return 0, &fs.PathError{Op: "read", Path: f.name, Err: fs.ErrInvalid}
	}
	return f.reader.ReadAt(p, offset)
}

// Seek is io.Seeker.
func (f *file) Seek(offset int64, whence int) (int64, error) {
	if err := f.open("seek"); err != nil {
		return 0, err
	}
	at, err := f.reader.Seek(offset, whence)
	if err != nil {
		return 0, &fs.PathError{Op: "seek", Path: f.name, Err: fs.ErrInvalid}
	}
	return at, nil
}

func (f *file) Close() error {
	err := f.open("close")
	f.reader = nil
	return err
}

func (f *file) open(operation string) error {
	if f.reader == nil {
		return &fs.PathError{Op: operation, Path: f.name, Err: fs.ErrClosed}
	}
	return nil
}

// folder is an open folder, of use to one goroutine at a time.
type folder struct {
	fs     *FS
	name   string
	info   info
	closed bool
	read   bool          // rest was read
	rest   []fs.DirEntry // what ReadDir has not returned yet
}

func (f *folder) Stat() (fs.FileInfo, error) { return f.info, f.open("stat") }

func (f *folder) Read([]byte) (int, error) {
	if err := f.open("read"); err != nil {
		return 0, err
	}
	return 0, &fs.PathError{Op: "read", Path: f.name, Err: errIsDir}
}

// ReadDir is fs.ReadDirFile: all of it is read at the first call.
func (f *folder) ReadDir(n int) ([]fs.DirEntry, error) {
	if err := f.open("readdir"); err != nil {
		return nil, err
	}
	if !f.read {
		list, err := f.fs.list(f.name)
		if err != nil {
			return nil, err
		}
		f.rest, f.read = list, true
	}
	if n <= 0 {
		n = len(f.rest)
	} else if len(f.rest) == 0 {
		return nil, io.EOF
	}
	list := f.rest[:min(n, len(f.rest)):min(n, len(f.rest))]
	f.rest = f.rest[len(list):]
	return list, nil
}

func (f *folder) Close() error {
	err := f.open("close")
	f.closed = true
	return err
}

func (f *folder) open(operation string) error {
	if f.closed {
		return &fs.PathError{Op: operation, Path: f.name, Err: fs.ErrClosed}
	}
	return nil
}
