//go:build unix

package mapped

import (
	"os"

	"forge.lthn.ai/core/go-store/internal/storage/disk"

	"golang.org/x/sys/unix"
)

// NewHead maps the first n bytes of a file that has them.
func NewHead(file *os.File, n int, writable bool) *Head {
	m := &Head{File: file}
	if info, err := file.Stat(); err != nil || info.Size() < int64(n) {
		return m
	}
	protection := unix.PROT_READ
	if writable {
		protection |= unix.PROT_WRITE
	}
	_ = disk.Do("map", file, func() (err error) { // it works without
		m.Memory, err = unix.Mmap(int(file.Fd()), 0, n, protection, unix.MAP_SHARED)
		return err
	})
	return m
}

// Unmap ends the mapping; the file stays open.
func (m *Head) Unmap() error {
	if m == nil || m.Memory == nil {
		return nil
	}
	memory := m.Memory
	m.Memory = nil
	return unix.Munmap(memory)
}
