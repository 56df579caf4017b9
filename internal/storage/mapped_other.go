//go:build !unix

package storage

import "os"

func mapFile(file *os.File, _ int, _ bool) *mapped { return &mapped{file: file} }

func (m *mapped) unmap() error { return nil }

// sizeOnDisk is how long a file is; what it takes on the disk is not known.
func sizeOnDisk(file *os.File) (size, blocks int64) {
	info, err := file.Stat()
	if err != nil {
		return 0, 0
	}
	return info.Size(), 0
}
