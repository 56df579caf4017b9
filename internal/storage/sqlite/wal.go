package sqlite

import (
	"bufio"
	"encoding/binary"
	"errors"
	"io"
	"io/fs"
	"os"

	"forge.lthn.ai/core/go-store/internal/storage/disk"
	"forge.lthn.ai/core/go-store/internal/storage/ownership"
)

// walContent is what a -wal file holds, read without SQLite, which would replay it.
// https://www.sqlite.org/fileformat.html#the_write_ahead_log
type walContent struct {
	size   int64
	whole  bool   // it begins with an intact header
	salt   uint32 // the first, which is counted up whenever the WAL begins anew
	salts  [8]byte
	frames int     // those up to the last commit
	pages  uint32  // of the database after that
	stamps []stamp // the stamps in them, in order
	others []stamp // stamps of other databases, or of this one if it can't be told
	first  []byte  // the database's first page after that; nil: it is not in them
}

// committed reports whether SQLite would replay anything.
func (w *walContent) committed() bool { return w.frames > 0 }

const (
	walHeaderSize   = 32
	frameHeaderSize = 24
)

// walSum is the checksum that runs through a WAL, in the byte order that its header
// names.
type walSum struct {
	order binary.ByteOrder
	a, b  uint32
}

func (s *walSum) add(b []byte) {
	for ; len(b) >= 8; b = b[8:] {
		s.a += s.order.Uint32(b) + s.b
		s.b += s.order.Uint32(b[4:]) + s.a
	}
}

// equals compares with two numbers in big-endian order.
func (s *walSum) equals(b []byte) bool {
	return s.a == binary.BigEndian.Uint32(b) && s.b == binary.BigEndian.Uint32(b[4:])
}

// readWAL reads a -wal file as SQLite would recover it: up to the last commit that
// is whole. The stamps in it are those of the database with the UUID, which may be
// empty. It reads any bytes without harm.
func readWAL(path, uuid string) (w walContent, err error) {
	file, err := ownership.OpenNoFollow(path, os.O_RDONLY, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return w, nil
	}
	if err != nil {
		return w, err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	info, err := file.Stat()
	if err != nil {
		return w, err
	}
	w.size = info.Size()
	in := bufio.NewReaderSize(disk.Reader(file), int(min(max(w.size, 4<<10), 1<<20)))
	header := make([]byte, walHeaderSize)
	if _, err := io.ReadFull(in, header); err != nil {
		return w, unlessEnd(err)
	}
	pageSize, sum, ok := w.begin(header)
	if !ok {
		return w, nil
	}
	frame := make([]byte, frameHeaderSize+pageSize)
	var stamps, others []stamp
	var first []byte
	for n := 1; ; n++ {
		if _, err := io.ReadFull(in, frame); err != nil {
			return w, unlessEnd(err)
		}
		if !w.follows(frame, &sum) {
			return w, nil
		}
		if binary.BigEndian.Uint32(frame) == 1 {
			first = append(first[:0], frame[frameHeaderSize:]...)
		}
		if s, ours, ok := stampInPage(frame[frameHeaderSize:], uuid); ok && ours {
			stamps = append(stamps, s)
		} else if ok {
			others = append(others, s)
		}
		if size := binary.BigEndian.Uint32(frame[4:]); size != 0 {
			w.frames, w.pages = n, size
			w.stamps, w.others = append(w.stamps, stamps...), append(w.others, others...)
			if first != nil {
				w.first = append(w.first[:0], first...)
			}
			stamps, others, first = stamps[:0], others[:0], nil
		}
	}
}

// begin reads a WAL's header.
func (w *walContent) begin(header []byte) (pageSize int, sum walSum, ok bool) {
	if !ownership.ProvesToBe(ownership.WALSuffix, header) || header[0] == 0 {
		return 0, sum, false
	}
	sum.order = binary.LittleEndian
	if header[3]&1 != 0 {
		sum.order = binary.BigEndian
	}
	sum.add(header[:24])
	size := binary.BigEndian.Uint32(header[8:])
	if size < 512 || size > 65536 || size&(size-1) != 0 || !sum.equals(header[24:]) {
		return 0, sum, false
	}
	w.whole = true
	w.salt = binary.BigEndian.Uint32(header[16:])
	w.salts = [8]byte(header[16:24])
	return int(size), sum, true
}

// follows reports whether a frame is of this WAL, and whole, behind those that the
// checksum has run through.
func (w *walContent) follows(frame []byte, sum *walSum) bool {
	sum.add(frame[:8])
	sum.add(frame[frameHeaderSize:])
	return binary.BigEndian.Uint32(frame) != 0 && [8]byte(frame[8:16]) == w.salts && sum.equals(frame[16:])
}

func unlessEnd(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return nil
	}
	return err
}

// stampInPage is the stamp in a page that is all of the table store_meta: a leaf
// with one row, which has the database's UUID if it is ours. By values alone a page
// can't be made to look so: entries have no column for bytes that are no text.
func stampInPage(page []byte, uuid string) (s stamp, ours, ok bool) {
	const leafHeader = 8
	if page[0] != 0x0d || binary.BigEndian.Uint16(page[3:]) != 1 {
		return s, false, false
	}
	at := int(binary.BigEndian.Uint16(page[leafHeader:]))
	if at < leafHeader || at >= len(page) {
		return s, false, false
	}
	record, ok := leafRecord(page[at:])
	if !ok {
		return s, false, false
	}
	return stampInRecord(record, uuid)
}

// leafRecord is the record of a table leaf's cell that spills into no other page.
func leafRecord(cell []byte) (record []byte, ok bool) {
	size, n := varint(cell)
	_, m := varint(cell[n:])
	if n == 0 || m == 0 || size > uint64(len(cell)-n-m) {
		return nil, false
	}
	return cell[n+m:][:size], true
}

// stampInRecord looks for the UUID and the stamp among a record's columns.
func stampInRecord(record []byte, uuid string) (s stamp, ours, ok bool) {
	header, n := varint(record)
	if n == 0 || header < uint64(n) || header > uint64(len(record)) {
		return s, false, false
	}
	types, body := record[n:header], record[header:]
	for len(types) > 0 {
		kind, n := varint(types)
		size := columnSize(kind)
		if n == 0 || size > uint64(len(body)) {
			return s, false, false
		}
		ours = ours || uuid != "" && string(body[:size]) == uuid
		if kind >= 12 && kind%2 == 0 && size == stampSize {
			if found, whole := decodeStamp(body[:size]); whole {
				s, ok = found, true
			}
		}
		types, body = types[n:], body[size:]
	}
	return s, ours, ok
}

// columnSize is how many bytes a column of a record takes.
func columnSize(kind uint64) uint64 {
	if kind >= 12 {
		return (kind - 12) / 2
	}
	return [...]uint64{0, 1, 2, 3, 4, 6, 8, 8, 0, 0, 0, 0}[kind]
}

// varint reads SQLite's: seven bits a byte, the most significant ones first, and
// all eight of a ninth. n is 0 if there is none.
func varint(b []byte) (value uint64, n int) {
	for n < len(b) && n < 8 {
		value = value<<7 | uint64(b[n]&0x7f)
		n++
		if b[n-1] < 0x80 {
			return value, n
		}
	}
	if n < 8 || len(b) < 9 {
		return 0, 0
	}
	return value<<8 | uint64(b[8]), 9
}

// walSalt is the salt in the header of a WAL, 0 if there is none yet.
func walSalt(wal *os.File) uint32 {
	var header [walHeaderSize]byte
	if wal == nil {
		return 0
	}
	if n, err := disk.ReadAt(wal, header[:], 0); err != nil || n < len(header) {
		return 0
	}
	return binary.BigEndian.Uint32(header[16:])
}
