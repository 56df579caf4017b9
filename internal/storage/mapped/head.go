package mapped

import (
	"os"
	"runtime/debug"

	"forge.lthn.ai/core/go-store/internal/storage/disk"
)

// Head is the beginning of a file in memory, shared with all processes that have the
// file open: to look at it costs nothing, where a system call would cost some part of a
// commit. Where files can't be mapped it reads and writes.
type Head struct {
	File   *os.File
	Memory []byte // nil: not mapped
}

// Load reads the file's first bytes into b. It fails if they are not there, also when
// the file was cut.
func (m *Head) Load(b []byte) (ok bool) {
	if m == nil {
		return false
	}
	if m.Memory == nil {
		n, err := disk.ReadAt(m.File, b, 0)
		return err == nil && n == len(b)
	}
	return withoutFault(func() { copy(b, m.Memory) })
}

// Store writes bytes that the file has already.
func (m *Head) Store(b []byte, at int64) (ok bool) {
	if m.Memory == nil {
		_, err := disk.WriteAt(m.File, b, at)
		return err == nil
	}
	return withoutFault(func() { copy(m.Memory[at:], b) })
}

// withoutFault calls f, which may touch memory whose file was cut. The system signals
// that, and it becomes a panic here; f must be no more than the touching.
func withoutFault(f func()) (ok bool) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() { ok = recover() == nil }()
	f()
	return true
}
