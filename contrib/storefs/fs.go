package storefs

import (
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"path"
	"slices"
	"strings"

	"forge.lthn.ai/core/go-store/api"
)

// Reader is what the files are read from: an *api.Store or *api.ScopedStore, as they are
// now, or an *api.Snapshot, as they were.
type Reader interface {
	Entry(group, key string) (api.Entry, error)
	Scan(options api.ScanOptions) iter.Seq2[api.ScanEntry, error]
}

var (
	_ fs.ReadDirFS  = (*FS)(nil)
	_ fs.ReadFileFS = (*FS)(nil)
	_ fs.StatFS     = (*FS)(nil)
)

// FS is a group as a file system. It is safe for use by any number of goroutines.
type FS struct {
	reader Reader
	group  string
}

// New is the file system of a group. Files are keys that are valid paths (fs.ValidPath):
// others, such as "", "/a", "a/" and "a/../b", are not seen. If there are keys "a" and
// "a/b", "a" is a folder, and its own value is not seen. The root is there in any case.
//
// Files have mode 0444 and no time of modification: a store knows none. FileInfo.Sys is
// the revision of a file, a uint64. Calls take a context that reader was given
// (WithContext). With a nil reader they fail with api.NilStoreError.
func New(reader Reader, group string) *FS {
	if reader == nil {
		reader = (*api.Store)(nil)
	}
	return &FS{reader, group}
}

// Open opens a file or a folder. A file is read whole, into memory; it is an
// io.ReadSeeker and an io.ReaderAt. A folder is read when it is asked what it holds. The
// errors are *fs.PathError; they wrap fs.ErrNotExist and fs.ErrInvalid, or what the store
// says.
func (f *FS) Open(name string) (fs.File, error) {
	found, err := f.look("open", name)
	switch {
	case err != nil:
		return nil, err
	case found.IsDir():
		return &folder{fs: f, name: name, info: found.info}, nil
	}
	return &file{reader: strings.NewReader(found.value), name: name, info: found.info}, nil
}

// ReadFile is the bytes of a file, a slice that is the caller's.
func (f *FS) ReadFile(name string) ([]byte, error) {
	found, err := f.look("readfile", name)
	switch {
	case err != nil:
		return nil, err
	case found.IsDir():
		return nil, &fs.PathError{Op: "readfile", Path: name, Err: errIsDir}
	}
	return []byte(found.value), nil
}

// Stat says what there is of a name.
func (f *FS) Stat(name string) (fs.FileInfo, error) {
	found, err := f.look("stat", name)
	if err != nil {
		return nil, err
	}
	return found.info, nil
}

// ReadDir is what a folder holds, sorted by name, as of one moment. It reads names alone,
// and passes over what lies deeper; the Info of an entry is what there is when it is asked
// for.
func (f *FS) ReadDir(name string) ([]fs.DirEntry, error) {
	found, err := f.look("readdir", name)
	switch {
	case err != nil:
		return nil, err
	case !found.IsDir():
		return nil, &fs.PathError{Op: "readdir", Path: name, Err: errNotDir}
	}
	return f.list(name)
}

var (
	errIsDir  = errors.New("is a folder")
	errNotDir = errors.New("is not a folder")
)

// found is what look has found: a value for a file.
type found struct {
	info
	value string
}

func (f *FS) look(operation, name string) (found, error) {
	if !fs.ValidPath(name) {
		return found{}, &fs.PathError{Op: operation, Path: name, Err: fs.ErrInvalid}
	}
	isFolder, err := f.isFolder(name)
	if err == nil && isFolder {
		return found{info: info{name: path.Base(name), mode: fs.ModeDir | 0o555}}, nil
	}
	var entry api.Entry
	if err == nil {
		entry, err = f.reader.Entry(f.group, name)
	}
	switch {
	case errors.Is(err, api.NotFoundError), errors.Is(err, api.TooLargeError):
		err = fmt.Errorf("%w: %w", fs.ErrNotExist, err)
		fallthrough
	case err != nil:
		return found{}, &fs.PathError{Op: operation, Path: name, Err: err}
	}
	return found{info{path.Base(name), 0o444, int64(len(entry.Value)), entry.Revision}, entry.Value}, nil
}

// isFolder reports whether there is a file somewhere below the name.
func (f *FS) isFolder(name string) (bool, error) {
	if name == "." {
		return true, f.check()
	}
	for key, err := range f.keys(f.reader, name+"/", name+"0") { // '0' follows '/'
		return err == nil && key != "", err
	}
	return false, nil
}

// check asks for the root what look asks for others by the way: whether anything can be read.
func (f *FS) check() error {
	for _, err := range f.keys(f.reader, "", "") {
		return err
	}
	return nil
}

// keys are those that are names of files, from one on and before another. What is wrong is
// yielded last.
func (f *FS) keys(reader Reader, from, to string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for entry, err := range reader.Scan(api.ScanOptions{Groups: api.Exactly(f.group), From: from, To: to, KeysOnly: true}) {
			switch {
			case err == nil && (entry.Key == "." || !fs.ValidPath(entry.Key)):
				continue
			case !yield(entry.Key, err):
				return
			}
		}
	}
}

// list reads a folder, in one snapshot.
func (f *FS) list(name string) ([]fs.DirEntry, error) {
	reader := f.reader
	if store, ok := reader.(interface{ Snapshot() (*api.Snapshot, error) }); ok {
		snapshot, err := store.Snapshot()
		if err != nil {
			return nil, &fs.PathError{Op: "readdir", Path: name, Err: err}
		}
		defer snapshot.Close()
		reader = snapshot
	}
	prefix, to := "", ""
	if name != "." {
		prefix, to = name+"/", name+"0"
	}
	children := map[string]*child{}
	for from, more := prefix, true; more; {
		more = false
		for key, err := range f.keys(reader, from, to) {
			if err != nil {
				return nil, &fs.PathError{Op: "readdir", Path: name, Err: err}
			}
			at, _, deeper := strings.Cut(key[len(prefix):], "/")
			children[at] = &child{fs: f, path: prefix + at, folder: deeper}
			if deeper { // the next scan begins behind it, however much it holds
				from, more = prefix+at+"0", true
				break
			}
		}
	}
	list := make([]fs.DirEntry, 0, len(children))
	for _, child := range children {
		list = append(list, child)
	}
	slices.SortFunc(list, func(a, b fs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
	return list, nil
}
