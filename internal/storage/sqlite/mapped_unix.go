//go:build unix

package sqlite

import (
	"os"

	"forge.lthn.ai/core/go-store/internal/storage/disk"

	"golang.org/x/sys/unix"
)

// mapFile maps the first n bytes of a file that has them.
func mapFile(file *os.File, n int, writable bool) *mapped {
	m := &mapped{file: file}
	if info, err := file.Stat(); err != nil || info.Size() < int64(n) {
		return m
	}
	protection := unix.PROT_READ
	if writable {
		protection |= unix.PROT_WRITE
	}
	_ = disk.Do("map", file, func() (err error) { // it works without
		m.memory, err = unix.Mmap(int(file.Fd()), 0, n, protection, unix.MAP_SHARED)
		return err
	})
	return m
}

// unmap ends the mapping; the file stays open.
func (m *mapped) unmap() error {
	if m == nil || m.memory == nil {
		return nil
	}
	memory := m.memory
	m.memory = nil
	return unix.Munmap(memory)
}
