//go:build !unix

package atomicfile

import (
	"io/fs"
	"os"
)

// resemble gives a file the mode of the one that it replaces: Windows knows only
// whether it may be written to.
func resemble(file *os.File, replaced fs.FileInfo) error { return file.Chmod(replaced.Mode().Perm()) }
