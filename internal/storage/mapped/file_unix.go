//go:build (linux || darwin || freebsd) && (amd64 || arm64 || s390x || ppc64le || riscv64)

package mapped

import (
	"os"

	"forge.lthn.ai/core/go-store/internal/storage/disk"

	"golang.org/x/sys/unix"
)

// CanMap: the address space is large enough to map files with room to grow, and what is
// written to a file shows in its mapping at once.
const CanMap = true

func mapAhead(file *os.File, size int) (memory []byte, err error) {
	err = disk.Do("map", file, func() (err error) {
		memory, err = unix.Mmap(int(file.Fd()), 0, size, unix.PROT_READ, unix.MAP_SHARED)
		return err
	})
	return memory, err
}

func unmapAhead(memory []byte) error { return unix.Munmap(memory) }
