package bulk

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"

	"forge.lthn.ai/core/go-store/internal/storage/disk"
	"forge.lthn.ai/core/go-store/internal/storage/pages"
)

// RefusedError is that of a file which is not added to here: SQLite has to do it.
var RefusedError = errors.New("not a database that is added to without SQLite")

// File is a database that grows.
type File struct {
	file    *os.File
	size    int    // of a page
	usable  int    // of that, what is not reserved
	count   uint32 // pages that there are, those in buffer too
	pending uint32 // the page that is never used
	buffer  []byte // the last pages, which are not written yet
}

const (
	bufferBytes = 1 << 20

	// Of the database's header; what pages.Header does not have.
	headerCount      = 28
	headerAutoVacuum = 52

	schemaFormat = 4 // that in which small integers are types
	utf8         = 1
)

// Open is for a database in rollback mode that has no pages which are free, nor those that
// say of each page what it is for (auto-vacuum). RefusedError says that it is another.
func Open(path string) (_ *File, err error) {
	file, err := disk.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, file.Close())
		}
	}()
	first := make([]byte, pages.HeaderSize)
	if _, err := disk.ReadAt(file, first, 0); err != nil {
		return nil, err
	}
	info, err := disk.Stat(path)
	if err != nil {
		return nil, err
	}
	h := pages.ParseHeader(first)
	if !h.Valid || h.WAL || h.Freelist != 0 || h.SchemaFormat != schemaFormat || h.Encoding != utf8 ||
		binary.BigEndian.Uint32(first[headerAutoVacuum:]) != 0 || int64(h.Count)*int64(h.Size) != info.Size() {
		return nil, fmt.Errorf("%s: %w", path, RefusedError)
	}
	return &File{file: file, size: h.Size, usable: h.Size - h.Reserved, count: h.Count,
		pending: pages.Pending(h.Size), buffer: make([]byte, 0, bufferBytes+h.Size)}, nil
}

// Close closes the file, whatever it is by now.
func (f *File) Close() error { return f.file.Close() }

// Finish writes what is not written yet, and how many pages there are.
func (f *File) Finish() error {
	if err := f.flush(); err != nil {
		return err
	}
	_, err := disk.WriteAt(f.file, binary.BigEndian.AppendUint32(nil, f.count), headerCount)
	return err
}

// after is the page that follows another one.
func (f *File) after(number uint32) uint32 {
	if number++; number == f.pending {
		number++
	}
	return number
}

// append makes a page the last one. Of those that follow one another it is the next.
func (f *File) append(page []byte) (number uint32, err error) {
	number = f.after(f.count)
	if number < f.count {
		return 0, fmt.Errorf("%d pages are as many as a database can have", f.count)
	}
	for f.count++; f.count < number; f.count++ {
		f.buffer = append(f.buffer, make([]byte, f.size)...)
	}
	f.buffer = append(f.buffer, page...)
	if len(f.buffer) >= bufferBytes {
		return number, f.flush()
	}
	return number, nil
}

func (f *File) flush() error {
	at := int64(f.count)*int64(f.size) - int64(len(f.buffer))
	_, err := disk.WriteAt(f.file, f.buffer, at)
	f.buffer = f.buffer[:0]
	return err
}

// replace writes the first page of a tree, which must be that of an empty one.
func (f *File) replace(number uint32, page []byte, leaf byte) error {
	if number < 2 || number > f.count {
		return fmt.Errorf("a tree at page %d of %d: %w", number, f.count, RefusedError)
	}
	var header [5]byte
	at := int64(number-1) * int64(f.size)
	if _, err := disk.ReadAt(f.file, header[:], at); err != nil {
		return err
	}
	if header[0] != leaf || header[3] != 0 || header[4] != 0 {
		return fmt.Errorf("the tree at page %d is not an empty one of kind %d: %w", number, leaf, RefusedError)
	}
	_, err := disk.WriteAt(f.file, page, at)
	return err
}
