package cache

import (
	"math/bits"
	"sync"
	"sync/atomic"

	"forge.lthn.ai/core/go-store/kv"
)

// shard is a part of the cache. Its rows lie in chunks, in the order in which they
// came: a queue from the tail, the oldest, to the head.
//
// Reads take no lock. What they find in the index leads to a chunk, whose bytes are
// written before the index says so and never changed. A chunk that is let go of stays
// in memory while a read is in it: the garbage collector sees to that. Its place goes
// to another with another number, which such a read notices.
type shard struct {
	index atomic.Pointer[index]
	ring  ring
	door  atomic.Pointer[[]atomic.Uint32] // which keys were missed lately; nil: there was always room
	ready ready
	limit int // bytes, those of ready not counted
	most  int // bytes of a chunk of many rows

	_      [64]byte // what follows changes, what is above is read by every reader
	misses atomic.Uint64
	hits   counter

	mu struct {
		sync.Mutex
		head, tail uint64 // numbers: chunks are those from tail on, before head
		current    *chunk // that rows are added to, or nil
		bytes      int    // of chunks and tables
		live       int    // of those, of rows that are in the index
	}
}

// ring has the chunks by number. Its places come in pieces, with the chunks that need them:
// a cache may be far larger than what it will ever hold.
type ring struct {
	pieces []atomic.Pointer[piece]
	places uint64 // a power of two
}

// piece is as many places as a shard of the default cache has. Once there it stays, and so
// do its places: a read finds them without a lock.
type piece [256]atomic.Pointer[chunk]

func newRing(places int) ring {
	return ring{make([]atomic.Pointer[piece], max(places/len(piece{}), 1)), uint64(places)}
}

// place is where the chunk of a number is, nil if none was there yet.
func (r *ring) place(number uint64) *atomic.Pointer[chunk] {
	number &= r.places - 1
	p := r.pieces[number/uint64(len(piece{}))].Load()
	if p == nil {
		return nil
	}
	return &p[number%uint64(len(piece{}))]
}

// put has a place for the chunk. Only one goroutine changes the ring.
func (r *ring) put(c *chunk) {
	if r.place(c.number) == nil {
		r.pieces[c.number&(r.places-1)/uint64(len(piece{}))].Store(new(piece))
	}
	r.place(c.number).Store(c)
}

// clear lets go of all chunks.
func (r *ring) clear() {
	for i := range r.pieces {
		r.pieces[i].Store(nil)
	}
}

// chunk is bytes with rows one behind the other.
type chunk struct {
	data   []byte
	number uint64
	single bool // one row has it to itself
	used   int  // owned by the shard's lock
	live   int  // the same: bytes of rows that are in the index
}

const (
	// A shard's chunks are a small part of it, or of what it holds by now if that is
	// less: what goes at once should be little, and a store of a few rows small.
	chunkShare = 32
	leastChunk = 4 << 10
	leastPart  = 64 // even of a shard that is too small for anything
	chunkCost  = 96 // beside its bytes
	// largestShare is the part of a shard that one row may take, and of a chunk that it
	// shares with others.
	largestShare = 4
	// mostTries is after how many chunks room is made by force.
	mostTries = 8
)

func (s *shard) open(limit int) {
	s.ready.open(limit / readyShare)
	limit -= limit / readyShare
	s.limit = limit
	s.most = chunkSize(min(max(limit/chunkShare, leastChunk), max(limit/largestShare, leastPart), largestChunk))
	places := 16
	for places < largestShare*limit/s.most {
		places *= 2
	}
	s.ring = newRing(places)
	s.mu.head, s.mu.tail = 1, 1
	s.index.Store(newIndex(leastIndex))
	s.mu.bytes = 8 * leastIndex
}

// clear lets go of everything. What is added after it stays.
func (s *shard) clear() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.index.Store(newIndex(leastIndex))
	s.ring.clear()
	s.door.Store(nil)
	s.ready.clear()
	s.mu.tail, s.mu.current, s.mu.bytes, s.mu.live = s.mu.head, nil, 8*leastIndex, 0
}

// size is what a row takes, and whether it may come in: a larger one would push too
// many others out.
func (s *shard) size(group, key string, r kv.Row) (size int, fits bool) {
	size, fits = sizeOf(group, key, r)
	return size, fits && size <= s.limit/largestShare
}

// look is a key's row, or nil, and the chunk that it is in. It notes that it was read.
func (s *shard) look(hash uint64, group, key string) (in *chunk, r row) {
	x := s.index.Load()
	at, word, in, r := s.search(x, hash, group, key)
	if r != nil && word&visited == 0 {
		x.words[at].CompareAndSwap(word, word|visited) // or the word was moved: then at another read
	}
	return in, r
}

// prefer has a key's row ready from now on, if it is here still.
func (s *shard) prefer(hash uint64, group, key string) {
	if len(s.ready.rows) == 0 || !s.mu.TryLock() {
		return
	}
	defer s.mu.Unlock()
	if _, _, in, r := s.search(s.index.Load(), hash, group, key); r != nil {
		s.ready.keep(hash, in, r, group, key)
	}
}

func (s *shard) search(x *index, hash uint64, group, key string) (at, word uint64, c *chunk, r row) {
	tag := uint64(tagOf(hash))
	at = tag & x.mask()
	for range x.words {
		if word = x.words[at].Load(); word == 0 {
			break
		}
		if word>>tagShift == tag {
			if c = s.chunk(numberOf(word)); c != nil {
				if r = row(c.data[offsetOf(word):]); r.is(group, key) {
					return at, word, c, r
				}
			}
		}
		at = (at + 1) & x.mask()
	}
	return 0, 0, nil, nil
}

// chunk is the one of a number, as a word has it, unless it has gone.
func (s *shard) chunk(number uint64) *chunk {
	place := s.ring.place(number)
	if place == nil {
		return nil
	}
	if c := place.Load(); c != nil && c.number&numberMask == number {
		return c
	}
	return nil
}

// take removes a key's row and says whether there was one, and whether it was read
// since it came.
func (s *shard) take(hash uint64, group, key string) (present, read bool) {
	present = s.ready.remove(hash, group, key)
	x := s.index.Load()
	at, word, c, r := s.search(x, hash, group, key)
	if r == nil {
		return present, present
	}
	c.live -= r.size()
	s.mu.live -= r.size()
	x.remove(at)
	return true, present || word&visited != 0
}

// remove is take without the lock.
func (s *shard) remove(hash uint64, group, key string) (present, read bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.take(hash, group, key)
}

// put adds a row, in the place of the row that its key has.
func (s *shard) put(hash uint64, from kv.Row, found bool, epoch uint64, size int, read bool) {
	s.take(hash, from.Group, from.Key)
	s.prepare()
	in, at := s.append(size)
	row(in.data[at:at+size]).encode(tagOf(hash), from, found, epoch)
	word := wordOf(tagOf(hash), in.number, at)
	if read {
		word |= visited
	}
	s.index.Load().add(word)
}

// prepare sees to it that the index has a place for a word more. It takes at most a
// quarter of the shard.
func (s *shard) prepare() {
	x := s.index.Load()
	if more := 8 * len(x.words); x.full() && len(x.words) < mostIndex && 2*more <= max(s.limit/largestShare, 16*leastIndex) {
		x = x.doubled()
		s.mu.bytes += more
		s.index.Store(x)
	}
	for tries := 0; x.full() && s.evict(modeOf(tries, false)); tries++ {
	}
}

// append is a place for a row behind the newest. It may let go of the oldest.
func (s *shard) append(size int) (in *chunk, at int) {
	most := min(chunkSize(max(s.mu.bytes/chunkShare, leastChunk)), s.most)
	single := size > most/largestShare
	if single {
		most = size
	}
	for tries := 0; ; tries++ {
		if in = s.mu.current; in != nil && !single && len(in.data)-in.used >= size {
			break
		}
		if s.mu.bytes+most+chunkCost <= s.limit && !s.spread() || !s.evict(modeOf(tries, s.mu.live < s.limit/4*3)) {
			in = s.begin(make([]byte, most), single)
			break
		}
	}
	at = in.used
	in.used += size
	in.live += size
	s.mu.live += size
	return in, at
}

// chunkSize is one that the allocator rounds up by nothing, at most n.
func chunkSize(n int) int {
	const page = 8 << 10
	if n >= page {
		return n &^ (page - 1)
	}
	return 1 << (bits.Len(uint(n)) - 1)
}

// begin puts a chunk at the head.
func (s *shard) begin(data []byte, single bool) *chunk {
	c := &chunk{data: data, number: s.mu.head, single: single}
	s.ring.put(c)
	s.mu.head++
	s.mu.bytes += len(data) + chunkCost
	if !single {
		s.mu.current = c
	}
	return c
}

// mode is how a chunk is let go of.
type mode int

const (
	compacting mode = iota // the one with the least good rows for its size, or the oldest; they stay
	second                 // the oldest; what was read since it came, or came here, stays
	whole                  // the oldest
)

// modeOf is the one for a try after so many. What lies here of rows that are no longer
// good goes first. All that stays gains little: after some tries one goes whole.
func modeOf(tries int, wasted bool) mode {
	switch {
	case tries >= mostTries:
		return whole
	case wasted && tries < mostTries/2:
		return compacting
	default:
		return second
	}
}

// evict lets go of a chunk, if there is one.
func (s *shard) evict(how mode) bool {
	if s.mu.tail == s.mu.head {
		return false
	}
	s.watch()
	victim := s.mu.tail
	if how == compacting && !s.spread() {
		victim = s.emptiest()
	}
	place := s.ring.place(victim)
	c := place.Load()
	place.Store(nil)
	for s.mu.tail != s.mu.head && s.ring.place(s.mu.tail).Load() == nil {
		s.mu.tail++
	}
	s.mu.bytes -= len(c.data) + chunkCost
	if s.mu.current == c {
		s.mu.current = nil
	}
	x := s.index.Load()
	for from, size := 0, 0; from < c.used; from += size {
		r := row(c.data[from:])
		size = r.size()
		at, ok := x.find(wordOf(r.tag(), c.number, from))
		if !ok {
			continue // it was replaced or taken
		}
		s.mu.live -= size
		if how == whole || how == second && x.words[at].Load()&visited == 0 {
			x.remove(at)
			continue
		}
		to, offset := s.again(c, r[:size])
		x.words[at].Store(wordOf(r.tag(), to.number, offset))
	}
	return true
}

// emptiest is the chunk that has the least good rows for its size.
func (s *shard) emptiest() (number uint64) {
	least := 2.0
	for n := s.mu.tail; n != s.mu.head; n++ {
		if c := s.ring.place(n).Load(); c != nil {
			if full := float64(c.live) / float64(len(c.data)); full < least {
				least, number = full, n
			}
		}
	}
	return number
}

// spread reports whether the chunks' numbers take the whole ring: then the oldest has to
// go, whatever its rows.
func (s *shard) spread() bool { return s.mu.head-s.mu.tail >= s.ring.places }

// again puts a row of a chunk that goes behind the newest.
func (s *shard) again(from *chunk, r row) (to *chunk, at int) {
	switch to = s.mu.current; {
	case from.single:
		to = s.begin(from.data, true)
	case to == nil || len(to.data)-to.used < len(r):
		to = s.begin(make([]byte, max(len(from.data), len(r))), false)
	}
	at = to.used
	if !from.single {
		copy(to.data[at:], r)
	}
	to.used += len(r)
	to.live += len(r)
	s.mu.live += len(r)
	return to, at
}
