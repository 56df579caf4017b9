package cache

import "sync/atomic"

// admit reports whether a row that was not found here shall come in: any row while
// there was always room, else the row of a key that was missed lately already. A fill
// makes another row go, and costs a part of what a read of the page does: what is read
// once is not worth it.
func (s *shard) admit(hash uint64) bool {
	door := s.door.Load()
	if door == nil {
		return true
	}
	last := &(*door)[hash>>16&uint64(len(*door)-1)]
	mark := uint32(hash>>32) | 1
	if last.Load() == mark {
		return true
	}
	last.Store(mark)
	return false
}

// watch sets the door up once there is no room: half as many marks as the index has
// words, and so about as many as there are rows.
func (s *shard) watch() {
	marks, had := len(s.index.Load().words)/2, 0
	if door := s.door.Load(); door != nil {
		had = len(*door)
	}
	if had >= marks {
		return
	}
	door := make([]atomic.Uint32, marks)
	s.door.Store(&door)
	s.mu.bytes += 4 * (marks - had)
}
