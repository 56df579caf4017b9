package cache

import "sync/atomic"

// index says where the rows of a shard lie: an open-addressed table of words, of a
// power of two. One goroutine changes it, under the shard's lock; any number look into
// it meanwhile. They may overlook a word that is being moved, which makes a miss of a
// hit and does no other harm.
type index struct {
	words []atomic.Uint64 // zero: nothing
	used  int             // owned by the shard's lock
}

// A word holds the tag, which is bits of the hash; whether the row was read since it
// came; and its chunk's number, cut short, and the row's offset there in units of 8.
// The tag's low bits are the word's home in the table, so that moving words needs no
// look at their rows.
const (
	tagShift     = 40
	visited      = 1 << 39
	occupied     = 1 << 38 // so that no word is zero
	numberBits   = 25
	numberMask   = 1<<numberBits - 1
	offsetBits   = 13
	offsetMask   = 1<<offsetBits - 1
	leastIndex   = 16
	mostIndex    = 1 << (64 - tagShift) // words: more have no home
	largestChunk = 1 << offsetBits * alignment
)

func tagOf(hash uint64) uint32 { return uint32(hash >> tagShift) }

func wordOf(tag uint32, number uint64, offset int) uint64 {
	return uint64(tag)<<tagShift | occupied | number&numberMask<<offsetBits | uint64(offset/alignment)
}

func numberOf(word uint64) uint64 { return word >> offsetBits & numberMask }
func offsetOf(word uint64) int    { return int(word&offsetMask) * alignment }

func newIndex(words int) *index { return &index{words: make([]atomic.Uint64, words)} }

func (x *index) mask() uint64 { return uint64(len(x.words) - 1) }

// full reports whether one word more would make searches long.
func (x *index) full() bool { return (x.used+1)*4 > len(x.words)*3 }

func (x *index) add(word uint64) {
	at := word >> tagShift & x.mask()
	for x.words[at].Load() != 0 {
		at = (at + 1) & x.mask()
	}
	x.words[at].Store(word)
	x.used++
}

// find is where a word is, visited or not.
func (x *index) find(word uint64) (at uint64, ok bool) {
	for at = word >> tagShift & x.mask(); ; at = (at + 1) & x.mask() {
		switch w := x.words[at].Load(); w &^ visited {
		case 0:
			return 0, false
		case word:
			return at, true
		}
	}
}

// remove takes a word out, and moves those up that would not be found behind a gap.
func (x *index) remove(at uint64) {
	x.used--
	for next := at; ; {
		next = (next + 1) & x.mask()
		word := x.words[next].Load()
		if word == 0 {
			x.words[at].Store(0)
			return
		}
		if home := word >> tagShift & x.mask(); (next-home)&x.mask() >= (next-at)&x.mask() {
			x.words[at].Store(word)
			at = next
		}
	}
}

// doubled is the same in a table of twice as many.
func (x *index) doubled() *index {
	larger := newIndex(2 * len(x.words))
	for i := range x.words {
		if word := x.words[i].Load(); word != 0 {
			larger.add(word)
		}
	}
	return larger
}
