//go:build unix

package atomicfile

import (
	"io/fs"
	"os"
	"syscall"
)

// resemble gives a file the mode of the one that it replaces and, as far as that
// is permitted, its owner and group. If the group can't be had, the one that the
// file has may do no more with it than every user may: it is another.
func resemble(file *os.File, replaced fs.FileInfo) error {
	mode := replaced.Mode().Perm()
	if was, ok := replaced.Sys().(*syscall.Stat_t); ok {
		_ = file.Chown(int(was.Uid), -1) // only root may
		if err := file.Chown(-1, int(was.Gid)); err != nil {
			mode &^= (^mode & 0o007) << 3
		}
	}
	return file.Chmod(mode)
}
