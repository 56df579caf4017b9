package mapped

import (
	"errors"
	"os"

	"forge.lthn.ai/core/go-store/internal/storage/disk"
)

// File is a file whose pages views read, in memory where it can be mapped, and it may
// grow: of what was given out nothing moves. One goroutine at a time uses it.
type File struct {
	File   *os.File
	memory []byte   // the largest; nil: the file is read with calls of the system
	former [][]byte // smaller ones, which readers may still look at
	Plain  bool     // it is not to be mapped, or can't be
	buffer []byte   // what part has read
}

// leastMapping is how much of the address space a mapping takes from the start, memory
// it takes none.
const leastMapping = 1 << 30

var errNotMapped = errors.New("files are not mapped into memory here")

// Extent is a file as a view reads it: in memory or, if that is nil, with calls of the
// system.
type Extent struct {
	Memory []byte
	File   *os.File
}

// UpTo is the file's first n bytes, and more. What lies behind the file's end must not
// be touched.
func (m *File) UpTo(n int64) Extent {
	if !m.Plain && n > int64(len(m.memory)) {
		m.grow(max(2*n, leastMapping))
	}
	if m.Plain {
		return Extent{File: m.File}
	}
	return Extent{m.memory, m.File}
}

// grow maps so many bytes. If it can't, the file is read with calls from here on: the
// address space may be short.
func (m *File) grow(size int64) {
	larger, err := []byte(nil), errNotMapped
	if CanMap && size == int64(int(size)) {
		larger, err = mapAhead(m.File, int(size))
	}
	if err != nil {
		m.Plain = true
		return
	}
	if m.memory != nil {
		m.former = append(m.former, m.memory)
	}
	m.memory = larger
}

// Part is n bytes of the file, until it is called again.
func (m *File) Part(at int64, n int) ([]byte, error) {
	if x := m.UpTo(at + int64(n)); x.Memory != nil {
		return x.Memory[at : at+int64(n)], nil
	}
	if cap(m.buffer) < n {
		m.buffer = make([]byte, n)
	}
	b := m.buffer[:n]
	if read, err := disk.ReadAt(m.File, b, at); read < n {
		return nil, err
	}
	return b, nil
}

// Unmap ends it. No goroutine may look at it any more. The file stays open.
func (m *File) Unmap() (err error) {
	for _, memory := range append(m.former, m.memory) {
		if memory != nil {
			err = errors.Join(err, unmapAhead(memory))
		}
	}
	m.memory, m.former, m.Plain = nil, nil, true
	return err
}
