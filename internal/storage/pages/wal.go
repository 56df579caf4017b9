package pages

import (
	"encoding/binary"
	"io"
)

const (
	// WALHeaderSize and FrameHeaderSize are in bytes. A WAL is its header, then frames,
	// each a header and a page.
	WALHeaderSize   = 32
	FrameHeaderSize = 24

	walMagic   = 0x377f0682 // the last bit says how checksums are made
	walVersion = 3007000
)

// WAL goes through the frames of a write-ahead log. It is a value: a copy goes on by
// itself from where it was made.
type WAL struct {
	Size   int     // of a page, in bytes
	Salts  [8]byte // others when the log begins anew
	Frames uint32  // those that have been gone through; they are counted from 1

	order binary.ByteOrder
	sum   checksum // of all before the next frame
}

// NewWAL is before the first frame of the log that begins with a header. ok is false
// where there is none that is whole.
func NewWAL(header []byte) (w WAL, ok bool) {
	if len(header) < WALHeaderSize {
		return w, false
	}
	magic, size := word(header, 0), int64(word(header, 2))
	if magic&^1 != walMagic || word(header, 1) != walVersion || size < leastPage || size > mostPage || size&(size-1) != 0 {
		return w, false
	}
	w = WAL{Size: int(size), Salts: [8]byte(header[16:24]), order: binary.LittleEndian}
	if magic&1 != 0 {
		w.order = binary.BigEndian
	}
	w.sum.add(w.order, header[:24])
	return w, w.sum == checksum{word(header, 6), word(header, 7)}
}

// Offset is where in the log a frame's header lies. Its page follows.
func (w *WAL) Offset(frame uint32) int64 {
	return WALHeaderSize + int64(frame-1)*int64(FrameHeaderSize+w.Size)
}

// Next goes through the next frame: its header and its page. If commit is not 0 it ends
// a transaction, after which the database has so many pages. ok is false, and nothing
// has changed, if what lies there is no frame that follows: its salts are another log's,
// or the checksum of all up to its end is another.
func (w *WAL) Next(frame []byte) (page, commit uint32, ok bool) {
	if len(frame) < FrameHeaderSize+w.Size || [8]byte(frame[8:16]) != w.Salts || word(frame, 0) == 0 {
		return 0, 0, false
	}
	sum := w.sum
	sum.add(w.order, frame[:8])
	sum.add(w.order, frame[FrameHeaderSize:FrameHeaderSize+w.Size])
	if sum != (checksum{word(frame, 4), word(frame, 5)}) {
		return 0, 0, false
	}
	w.sum = sum
	w.Frames++
	return word(frame, 0), word(frame, 1), true
}

func word(b []byte, i int) uint32 { return binary.BigEndian.Uint32(b[4*i:]) }

// readWAL finds the frames that are committed: those up to the last commit before
// the first that does not follow. It returns how many pages the database has then.
func (f *File) readWAL(size int64) (count uint32) {
	header := make([]byte, WALHeaderSize)
	if _, err := f.wal.ReadAt(header, 0); err != nil {
		return 0
	}
	w, ok := NewWAL(header)
	if !ok || w.Size != f.Size {
		return 0
	}
	pending := make(map[uint32]int64)
	frame := make([]byte, FrameHeaderSize+f.Size)
	for offset := w.Offset(1); offset+int64(len(frame)) <= size; offset += int64(len(frame)) {
		if n, err := f.wal.ReadAt(frame, offset); n < len(frame) && err != nil && err != io.EOF {
			break
		}
		page, committed, ok := w.Next(frame)
		if !ok {
			break
		}
		pending[page] = offset + FrameHeaderSize
		if committed > 0 {
			for page, at := range pending {
				f.overlay[page] = at
			}
			clear(pending)
			count, f.Frames = committed, int(w.Frames)
		}
	}
	return count
}

// checksum is that of a WAL: each is one of all that comes before it.
type checksum [2]uint32

func (c *checksum) add(order binary.ByteOrder, b []byte) {
	if order == binary.BigEndian {
		for ; len(b) >= 8; b = b[8:] {
			c[0] += binary.BigEndian.Uint32(b) + c[1]
			c[1] += binary.BigEndian.Uint32(b[4:]) + c[0]
		}
		return
	}
	for ; len(b) >= 8; b = b[8:] {
		c[0] += binary.LittleEndian.Uint32(b) + c[1]
		c[1] += binary.LittleEndian.Uint32(b[4:]) + c[0]
	}
}
