package sqlite

import (
	"errors"
	"os"

	"forge.lthn.ai/core/go-store/internal/storage/disk"
)

// mapping is a file whose pages views read, in memory where it can be mapped, and it may
// grow: of what was given out nothing moves. One goroutine at a time uses it.
type mapping struct {
	file   *os.File
	memory []byte   // the largest; nil: the file is read with calls of the system
	former [][]byte // smaller ones, which readers may still look at
	plain  bool     // it is not to be mapped, or can't be
	buffer []byte   // what part has read
}

// leastMapping is how much of the address space a mapping takes from the start, memory
// it takes none.
const leastMapping = 1 << 30

var errNotMapped = errors.New("files are not mapped into memory here")

// extent is a file as a view reads it: in memory or, if that is nil, with calls of the
// system.
type extent struct {
	memory []byte
	file   *os.File
}

// upTo is the file's first n bytes, and more. What lies behind the file's end must not
// be touched.
func (m *mapping) upTo(n int64) extent {
	if !m.plain && n > int64(len(m.memory)) {
		m.grow(max(2*n, leastMapping))
	}
	if m.plain {
		return extent{file: m.file}
	}
	return extent{m.memory, m.file}
}

// grow maps so many bytes. If it can't, the file is read with calls from here on: the
// address space may be short.
func (m *mapping) grow(size int64) {
	larger, err := []byte(nil), errNotMapped
	if canMap && size == int64(int(size)) {
		larger, err = mapAhead(m.file, int(size))
	}
	if err != nil {
		m.plain = true
		return
	}
	if m.memory != nil {
		m.former = append(m.former, m.memory)
	}
	m.memory = larger
}

// part is n bytes of the file, until it is called again.
func (m *mapping) part(at int64, n int) ([]byte, error) {
	if x := m.upTo(at + int64(n)); x.memory != nil {
		return x.memory[at : at+int64(n)], nil
	}
	if cap(m.buffer) < n {
		m.buffer = make([]byte, n)
	}
	b := m.buffer[:n]
	if read, err := disk.ReadAt(m.file, b, at); read < n {
		return nil, err
	}
	return b, nil
}

// unmap ends it. Nobody may look at it any more. The file stays open.
func (m *mapping) unmap() (err error) {
	for _, memory := range append(m.former, m.memory) {
		if memory != nil {
			err = errors.Join(err, unmapAhead(memory))
		}
	}
	m.memory, m.former, m.plain = nil, nil, true
	return err
}
