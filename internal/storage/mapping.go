package storage

import (
	"errors"
	"os"
)

// mapping is a file in memory, which may grow: of what was given out nothing moves.
// One goroutine at a time uses it.
type mapping struct {
	file   *os.File
	memory []byte   // the largest
	former [][]byte // smaller ones, which readers may still look at
}

// leastMapping is how much of the address space a mapping takes from the start, memory
// it takes none.
const leastMapping = 1 << 30

var errNotMapped = errors.New("files are not mapped into memory here")

// upTo is the file's first n bytes, and more. What lies behind the file's end must not
// be touched.
func (m *mapping) upTo(n int64) ([]byte, error) {
	if n <= int64(len(m.memory)) {
		return m.memory, nil
	}
	size := max(2*n, leastMapping)
	if !canMap || size != int64(int(size)) {
		return nil, errNotMapped
	}
	larger, err := mapAhead(m.file, int(size))
	if err != nil {
		return nil, err
	}
	if m.memory != nil {
		m.former = append(m.former, m.memory)
	}
	m.memory = larger
	return larger, nil
}

// unmap ends it. Nobody may look at it any more. The file stays open.
func (m *mapping) unmap() (err error) {
	for _, memory := range append(m.former, m.memory) {
		if memory != nil {
			err = errors.Join(err, unmapAhead(memory))
		}
	}
	m.memory, m.former = nil, nil
	return err
}
