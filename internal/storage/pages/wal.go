package pages

import (
	"encoding/binary"
	"io"
)

const (
	walHeaderSize   = 32
	frameHeaderSize = 24
	walMagic        = 0x377f0682 // the last bit says how checksums are made
	walVersion      = 3007000
)

// readWAL finds the frames that are committed: those up to the last commit before
// the first whose salt or checksum is another. It returns how many pages the
// database has then.
func (f *File) readWAL(size int64) (count uint32) {
	header := make([]byte, walHeaderSize)
	if _, err := f.wal.ReadAt(header, 0); err != nil {
		return 0
	}
	var order binary.ByteOrder = binary.LittleEndian
	word := func(b []byte, i int) uint32 { return binary.BigEndian.Uint32(b[4*i:]) }
	if word(header, 0)&^1 != walMagic || word(header, 1) != walVersion || int64(word(header, 2)) != int64(f.Size) {
		return 0
	}
	if word(header, 0)&1 != 0 {
		order = binary.BigEndian
	}
	var sum checksum
	sum.add(order, header[:24])
	if sum != (checksum{word(header, 6), word(header, 7)}) {
		return 0
	}
	pending, frames := make(map[uint32]int64), 0
	frame := make([]byte, frameHeaderSize+f.Size)
	for offset := int64(walHeaderSize); offset+int64(len(frame)) <= size; offset += int64(len(frame)) {
		if n, err := f.wal.ReadAt(frame, offset); n < len(frame) && err != nil && err != io.EOF {
			break
		}
		if word(frame, 2) != word(header, 4) || word(frame, 3) != word(header, 5) {
			break
		}
		sum.add(order, frame[:8])
		sum.add(order, frame[frameHeaderSize:])
		if sum != (checksum{word(frame, 4), word(frame, 5)}) || word(frame, 0) == 0 {
			break
		}
		frames++
		pending[word(frame, 0)] = offset + frameHeaderSize
		if committed := word(frame, 1); committed > 0 {
			for page, at := range pending {
				f.overlay[page] = at
			}
			clear(pending)
			count, f.Frames = committed, frames
		}
	}
	return count
}

// checksum is that of a WAL: each is one of all that comes before it.
type checksum [2]uint32

func (c *checksum) add(order binary.ByteOrder, b []byte) {
	for ; len(b) >= 8; b = b[8:] {
		c[0] += order.Uint32(b) + c[1]
		c[1] += order.Uint32(b[4:]) + c[0]
	}
}
