// Package frames finds pages: in which frame of the WAL a page lies at a given moment, and
// what was read of it before.
package frames

import "sync/atomic"

// Index says in which frames of the WAL a page lies, at any moment since the WAL
// began. Readers look while one goroutine adds: what a reader is given is right for
// the last frame that it asks with, whatever is added meanwhile.
//
// A page takes eight bytes and a frame four.
type Index struct {
	pages  atomic.Pointer[[]*chunk] // by page
	former atomic.Pointer[[]uint32] // by frame: the one that held the page before it; 0: none
}

// chunkedPages is how many pages a chunk is of: with it the index grows without a copy
// of what readers look at.
const chunkedPages = 16 << 10

// chunk holds, by page, the WAL's generation in the upper half and in the lower
// one the latest frame of the page.
type chunk [chunkedPages]atomic.Uint64

// New is an index of no frames, with room for as many as are expected.
func New(expected int) *Index {
	x := new(Index)
	x.pages.Store(new([]*chunk))
	former := make([]uint32, expected)
	x.former.Store(&former)
	return x
}

// Find is the latest frame of a page, in a generation, that is not behind last; 0 if
// there is none.
func (x *Index) Find(page, generation, last uint32) uint32 {
	latest := x.Latest(page)
	if uint32(latest>>32) != generation {
		return 0
	}
	frame := uint32(latest)
	if frame > last {
		former := *x.former.Load()
		for frame > last {
			frame = former[frame]
		}
	}
	return frame
}

// Latest is the latest frame of a page, its generation in the upper half; 0 if it was in
// none.
func (x *Index) Latest(page uint32) uint64 {
	chunks := *x.pages.Load()
	c := int(page / chunkedPages)
	if c >= len(chunks) || chunks[c] == nil {
		return 0
	}
	return chunks[c][page%chunkedPages].Load()
}

// Add notes that a frame holds a page. Frames of a generation come in their order.
func (x *Index) Add(page, frame, generation uint32) {
	chunks := *x.pages.Load()
	if c := int(page / chunkedPages); c >= len(chunks) || chunks[c] == nil {
		grown := make([]*chunk, max(c+1, len(chunks)))
		copy(grown, chunks)
		grown[c] = new(chunk)
		x.pages.Store(&grown)
		chunks = grown
	}
	former := *x.former.Load()
	if int(frame) >= len(former) {
		grown := make([]uint32, 2*int(frame))
		copy(grown, former)
		x.former.Store(&grown)
		former = grown
	}
	latest := &chunks[page/chunkedPages][page%chunkedPages]
	former[frame] = 0
	if before := latest.Load(); uint32(before>>32) == generation {
		former[frame] = uint32(before)
	}
	latest.Store(uint64(generation)<<32 | uint64(frame))
}
