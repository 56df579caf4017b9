package ownership

import (
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"

	"forge.lthn.ai/core/go-store/internal/storage"
	"forge.lthn.ai/core/go-store/internal/storage/disk"
	"forge.lthn.ai/core/go-store/internal/storage/pages"
	"forge.lthn.ai/core/go-store/kv"
)

// Files beside a database: SQLite's while it is in use, and ours.
const (
	WALSuffix     = "-wal"
	SHMSuffix     = "-shm"
	JournalSuffix = "-journal"
	LockSuffix    = "-lock"
)

// Sidecars are the suffixes of all of them.
var Sidecars = []string{WALSuffix, SHMSuffix, JournalSuffix, LockSuffix}

// uri is what SQLite, and the drivers that the original used, take for more than
// a path. Here it would silently name another file.
var uri = regexp.MustCompile(`^file:|^[a-zA-Z][a-zA-Z0-9+.-]*://|^:memory:.|\?[^/=]*=[^/]*$`)

// checkName refuses a name that can't be meant as it stands.
func checkName(path string) error {
	if path == "" {
		return fmt.Errorf(`path is empty: name a file, or use %q for a store in memory: %w`, storage.MemoryPath, kv.InvalidOptionError)
	}
	if strings.ContainsRune(path, 0) {
		return fmt.Errorf("path %q holds a NUL byte: %w", path, kv.InvalidOptionError)
	}
	if uri.MatchString(path) {
		return fmt.Errorf("path %q is written like a URI or with a driver's parameters, which go-store does not take: "+
			"write %q, and what the parameters said as options of New (a file that is really called so can be renamed): %w",
			path, plainPath(path), kv.InvalidOptionError)
	}
	for _, suffix := range Sidecars {
		if strings.HasSuffix(path, suffix) && !standsAlone(path, suffix) {
			return fmt.Errorf("path %s is the name of a file that stores keep beside a database: "+
				"name the database (%s), or choose a name that does not end in %s: %w",
				path, strings.TrimSuffix(path, suffix), suffix, kv.InvalidOptionError)
		}
	}
	return nil
}

// standsAlone reports whether a file that has a sidecar's name is there, and no database
// that it could belong to: a database is called so.
func standsAlone(path, suffix string) bool {
	info, err := disk.Stat(path)
	if err != nil || info.Size() < pages.HeaderSize {
		return false
	}
	_, err = disk.Lstat(strings.TrimSuffix(path, suffix))
	return errors.Is(err, fs.ErrNotExist)
}

// plainPath is the path that a URI is likely to mean.
func plainPath(path string) string {
	bare, parameters, _ := strings.Cut(path, "?")
	if strings.Contains(bare, storage.MemoryPath) || strings.Contains(parameters, "mode=memory") {
		return storage.MemoryPath
	}
	if parsed, err := url.Parse(path); err == nil && parsed.Scheme != "" {
		if bare = parsed.Host + parsed.Path; bare == "" {
			bare = parsed.Opaque
		}
		if unescaped, err := url.PathUnescape(bare); err == nil {
			bare = unescaped
		}
	}
	if bare == "" {
		return storage.MemoryPath
	}
	return bare
}

// Resolve is the absolute path that leads to a database without links, so
// that two names of one file share one lock, and a link to a file that is yet
// to be made leads to where it will be.
func Resolve(path string) (string, error) {
	if err := checkName(path); err != nil {
		return "", err
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	for range 40 { // as many links as Linux follows
		folder, err := filepath.EvalSymlinks(filepath.Dir(path))
		if errors.Is(err, fs.ErrNotExist) {
			return "", fmt.Errorf("folder %s does not exist: %w", filepath.Dir(path), err)
		}
		if err != nil {
			return "", err
		}
		path = filepath.Join(folder, filepath.Base(path))
		target, err := os.Readlink(path)
		if err != nil {
			return path, checkName(path) // no link, or nothing there yet
		}
		if !filepath.IsAbs(target) {
			target = filepath.Join(folder, target)
		}
		path = target
	}
	return "", fmt.Errorf("%s: %w", path, syscall.ELOOP)
}

// Inspect says whether there is a file at path, refusing what can't be one.
func Inspect(path string) (exists bool, err error) {
	info, err := disk.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return false, nil
	case err != nil:
		return false, err
	case info.IsDir():
		return false, fmt.Errorf("%s is a folder, not a file: %w", path, syscall.EISDIR)
	case !info.Mode().IsRegular():
		return false, fmt.Errorf("%s is not a regular file (%v): %w", path, info.Mode().Type(), kv.NotADatabaseError)
	}
	return true, nil
}

// Create makes an empty file that only its owner can read. O_EXCL: what
// was put there in the meantime is not ours to take. It is closed
// before SQLite opens it, and its name is safe from a power cut before SQLite makes a
// journal beside it, which could be all that is left otherwise.
func Create(path string) error {
	file, err := disk.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	if err := errors.Join(file.Close(), disk.SyncFolder(filepath.Dir(path))); err != nil {
		return errors.Join(err, disk.Remove(path))
	}
	return nil
}

// Size is the size of a file, 0 if there is none.
func Size(path string) int64 {
	info, err := disk.Stat(path)
	if err != nil {
		return 0
	}
	return info.Size()
}

// databaseOf is the database that a sidecar belongs to.
func databaseOf(path string) string {
	for _, suffix := range Sidecars {
		if database, cut := strings.CutSuffix(path, suffix); cut {
			return database
		}
	}
	return path
}

func isSharedMemory(path string) bool { return strings.HasSuffix(path, SHMSuffix) }

// ShortBase is the last element of a path, or as much of it as leaves room for
// more in a name.
func ShortBase(path string) string {
	base := filepath.Base(path)
	return base[:min(len(base), 100)]
}
