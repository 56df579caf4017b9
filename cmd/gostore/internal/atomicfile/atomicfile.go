// Package atomicfile writes a file under a temporary name beside its own, which
// it takes when it is complete: no reader ever sees half of it.
package atomicfile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
)

// File is a file that is being written.
type File struct {
	*os.File
	path string
	done bool
}

// Create begins a file of mode 0600. What stands at the path stays there until
// Commit replaces it, and takes its mode; it must be a regular file, or a link to
// one. Call Discard in any case.
func Create(path string) (*File, error) {
	_, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return nil, err
	default:
		if path, err = filepath.EvalSymlinks(path); err != nil {
			return nil, err
		}
		info, err := os.Stat(path)
		if err != nil {
			return nil, err
		}
		if !info.Mode().IsRegular() {
			return nil, fmt.Errorf("%s is no regular file: name another, or write to standard output", path)
		}
	}
	file, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*.partial")
	if err != nil {
		return nil, err
	}
	return &File{File: file, path: path}, nil
}

// Commit syncs the file to disk and gives it its name, with the mode of the file
// that it replaces and, where that is permitted, its owner.
func (f *File) Commit() error {
	err := f.resembleReplaced()
	if err == nil {
		err = f.Sync()
	}
	if err == nil {
		err = f.Close()
	}
	if err == nil {
		err = os.Rename(f.Name(), f.path)
	}
	if err != nil {
		return err
	}
	f.done = true
	return syncFolder(filepath.Dir(f.path))
}

func (f *File) resembleReplaced() error {
	replaced, err := os.Lstat(f.path) // links were followed when the file began
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case !replaced.Mode().IsRegular():
		return fmt.Errorf("%s is no regular file any more: name another", f.path)
	}
	return resemble(f.File, replaced)
}

// Discard removes what was written, unless Commit has succeeded.
func (f *File) Discard() {
	if !f.done {
		_ = f.Close() // what it holds is not wanted
		_ = os.Remove(f.Name())
	}
}

// syncFolder makes the file's name safe from a power cut. Windows can't sync
// folders.
func syncFolder(path string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	folder, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}

// Same reports whether both paths are, or would be, the same file.
func Same(a, b string) bool {
	infoA, errA := os.Stat(a)
	infoB, errB := os.Stat(b)
	if errA == nil && errB == nil {
		return os.SameFile(infoA, infoB)
	}
	return errA != nil && errB != nil && resolve(a) == resolve(b)
}

// resolve is the path of a file that need not be there.
func resolve(path string) string {
	folder, err := filepath.EvalSymlinks(filepath.Dir(path))
	if err != nil {
		folder = filepath.Dir(path)
	}
	if absolute, err := filepath.Abs(folder); err == nil {
		folder = absolute
	}
	return filepath.Join(folder, filepath.Base(path))
}
