// Package frames finds pages: in which frame of the WAL a page lies at a given moment, and
// what was read of it before.
package frames

import "sync/atomic"

// Index says in which frames of the WAL a page lies, at any moment since the WAL
// began. Readers look while one goroutine adds: what a reader is given is right for
// the last frame that it asks with, whatever is added meanwhile.
//
// A page takes eight bytes and a frame twelve.
type Index struct {
	pages  atomic.Pointer[[]*chunk] // by page
	former atomic.Pointer[formerFrames]
}

// formerFrames says, by frame, which held the page before it, and one that did so longer
// ago: with it an old view's frame is found in steps of the logarithm of how often the page
// was written since. (Skew-binary numbers: Myers, An applicative random-access stack, 1983.)
type formerFrames []formerFrame

type formerFrame struct {
	before uint32 // 0: none
	jump   uint32 // 0: none
	depth  uint32 // how many are before it
}

// back is one step from a frame that is behind last towards the one that is not.
func (x formerFrames) back(frame, last uint32) uint32 {
	if jump := x[frame].jump; jump > last {
		return jump
	}
	return x[frame].before
}

// set notes which frame held the page before; 0 if none did.
func (x formerFrames) set(frame, before uint32) {
	if before == 0 {
		x[frame] = formerFrame{}
		return
	}
	b := x[before]
	x[frame] = formerFrame{before: before, jump: before, depth: b.depth + 1}
	if far := x[b.jump]; b.jump != 0 && b.depth-far.depth == far.depth-x[far.jump].depth && far.jump != 0 {
		x[frame].jump = far.jump
	}
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
	former := make(formerFrames, expected)
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
			frame = former.back(frame, last)
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
		grown := make(formerFrames, 2*int(frame))
		copy(grown, former)
		x.former.Store(&grown)
		former = grown
	}
	latest := &chunks[page/chunkedPages][page%chunkedPages]
	before := latest.Load()
	if uint32(before>>32) != generation {
		before = 0
	}
	former.set(frame, uint32(before))
	latest.Store(uint64(generation)<<32 | uint64(frame))
}
