//go:build !linux

package ownership

import (
	"io/fs"
	"os"
	"path/filepath"
)

// fileKey tells files apart. Here it is the name with links resolved: elsewhere
// than on Linux there are no locks of an open file that go together with SQLite's
// (flock is one and the same lock as POSIX's on the BSDs), so that a file with
// several names is protected by its name's -lock alone.
type fileKey struct{ path string }

func keyOf(path string, _ fs.FileInfo) fileKey {
	if resolved, err := filepath.EvalSymlinks(path); err == nil {
		return fileKey{resolved}
	}
	return fileKey{path}
}

func lockInode(*os.File) error          { return nil }
func unlockInode(*os.File) error        { return nil }
func lockReading(*os.File) error        { return nil }
func unlockReading(*os.File) error      { return nil }
func lockSharedMemory(*os.File) error   { return nil }
func unlockSharedMemory(*os.File) error { return nil }
func holderOf(*os.File) int             { return 0 }
func IsConnected(database string) bool  { return Size(database+SHMSuffix) > 0 }

const CanProtect = false
