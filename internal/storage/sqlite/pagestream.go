package sqlite

import (
	"context"
	"errors"
	"iter"
	"runtime/debug"
	"slices"
	"time"

	"forge.lthn.ai/core/go-store/internal/storage"
	"forge.lthn.ai/core/go-store/internal/storage/moment"
	"forge.lthn.ai/core/go-store/kv"
)

// pageSource is source for the pages of a view: it stands between two chunks where it was,
// and the view must be the same.
type pageSource[T any] interface {
	begin(v *view) error
	// chunk appends until one of the limits is reached; more says that there may be
	// others behind.
	chunk(v *view, into []T, rows, bytes int) (_ []T, more bool, err error)
	// wide says that even the first chunk may pass over any number of rows.
	wide() bool
	// behind is what SQLite is to be asked instead: all, or what is behind the last that
	// was yielded.
	behind(last *T) source[T]
	// room is a buffer for the first chunk, or none. free gives it back, and whatever else
	// the source has: no code uses either any more.
	room() []T
	free(room []T)
}

// streamPages is stream for what is read from the pages of a view: the loop's body runs
// between chunks, while the view is held.
func streamPages[T any](ctx context.Context, p *pool, begin func() pageSource[T]) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		s := &pageLoop[T]{pool: p, begin: begin}
		defer s.end()
		err := s.first(ctx)
		if errors.Is(err, errUnread) { // nothing was yielded
			for row, again := range stream(ctx, p, func() source[T] { return begin().behind(nil) }) {
				if !yield(row, naming(err, again)) {
					return
				}
			}
			return
		}
		s.loop(ctx, err, yield)
	}
}

// streamHeldPages is streamPages of a view that the caller does not own.
func streamHeldPages[T any](ctx context.Context, h *hold, begin func() pageSource[T]) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		s := &pageLoop[T]{pool: h.pool, hold: h, begin: begin}
		defer s.free()
		s.loop(ctx, s.firstHeld(ctx), yield)
	}
}

// pageLoop is a pageSource in the middle of a loop.
type pageLoop[T any] struct {
	pool  *pool
	begin func() pageSource[T]
	scan  pageSource[T]
	rows  []T   // the present chunk
	last  *T    // the last that was yielded
	hold  *hold // the view for the next chunk
	more  bool
	seen  uint64 // sequence when the last chunk had been read
}

func (s *pageLoop[T]) loop(ctx context.Context, err error, yield func(T, error) bool) {
	for {
		for i := range s.rows {
			if !yield(s.rows[i], nil) {
				return
			}
		}
		if n := len(s.rows); n > 0 {
			last := s.rows[n-1]
			s.last = &last
		}
		if err != nil {
			var none T
			yield(none, s.explain(ctx, err))
			return
		}
		if !s.more {
			return
		}
		err = s.next(ctx)
	}
}

// first reads the first chunk, where most scans end. A scan that goes on holds its view from
// then on, unless the WAL is at its bound: then it waits, and begins again.
func (s *pageLoop[T]) first(ctx context.Context) error {
	leave, err := s.start(ctx)
	if err != nil {
		return err
	}
	defer leave()
	p, err := s.now()
	if err != nil || !s.more {
		return err
	}
	if s.pool.gate.isShut() {
		s.pool.views.leave(p)
		s.drop()
		if err := s.pool.gate.pass(ctx, s.pool.closed); err != nil {
			return err
		}
		s.restart()
		if p, err = s.now(); err != nil || !s.more {
			return err
		}
	}
	if s.hold, err = s.pool.holdView(p); err != nil {
		s.drop()
	}
	return err
}

// start begins the scan. A scan whose first chunk may take long waits for its turn.
func (s *pageLoop[T]) start(ctx context.Context) (leave func(), err error) {
	if err := s.pool.check(ctx); err != nil {
		return nil, err
	}
	s.restart()
	s.seen = s.pool.views.sequence.Before()
	if s.scan.wide() {
		return s.pool.turn(ctx)
	}
	return func() {}, nil
}

// restart has the scan begin at its beginning.
func (s *pageLoop[T]) restart() {
	s.drop()
	s.free()
	s.scan, s.more = s.begin(), false
	s.rows = s.scan.room()
}

// free gives back what the scan has, if there is one.
func (s *pageLoop[T]) free() {
	if s.scan != nil {
		s.scan.free(s.rows)
		s.scan, s.rows = nil, nil
	}
}

// drop forgets a chunk that is not to be yielded.
func (s *pageLoop[T]) drop() {
	clear(s.rows)
	s.rows = s.rows[:0]
}

// now reads the first chunk of what is committed now. The pin is to be released if there
// is more and no error.
func (s *pageLoop[T]) now() (p pin, err error) {
	defer moment.OnFault(debug.SetPanicOnFault(true), &err)
	p, ok := s.pool.views.look()
	if !ok {
		return p, errUnread
	}
	done := false
	defer func() {
		if !done || err != nil || !s.more {
			s.pool.views.leave(p)
		}
	}()
	err = s.chunk(p.view, firstChunkRows, firstChunkBytes)
	done = true
	return p, err
}

// firstHeld reads the first chunk of a view that is held.
func (s *pageLoop[T]) firstHeld(ctx context.Context) error {
	leave, err := s.start(ctx)
	if err != nil {
		return err
	}
	defer leave()
	return s.hold.look(func(v *view) error { return s.chunk(v, firstChunkRows, firstChunkBytes) })
}

// chunk reads a chunk, the first one too.
func (s *pageLoop[T]) chunk(v *view, rows, bytes int) (err error) {
	if !s.more {
		if err := s.scan.begin(v); err != nil {
			return left(err)
		}
	}
	s.rows, s.more, err = s.scan.chunk(v, s.rows, rows, bytes)
	return left(err)
}

// next reads a chunk. Scans that have come this far take turns, as with scan.turn.
func (s *pageLoop[T]) next(ctx context.Context) error {
	n := len(s.rows)
	s.drop()
	s.rows = slices.Grow(s.rows, min(chunkRows, 4*n))
	leave, err := s.pool.turn(ctx)
	if err != nil {
		return err
	}
	defer leave()
	rows, bytes := s.pool.laterChunk()
	err = s.hold.look(func(v *view) error { return s.chunk(v, rows, bytes) })
	if seen := s.pool.views.sequence.Before(); seen != s.seen {
		s.seen = seen
		if err == nil && s.more && len(s.pool.turns) == cap(s.pool.turns) {
			breathe()
		}
	}
	return err
}

// breathe leaves a processor to others after a chunk, where scans have as many as they may and
// something was committed since the chunk before. Callers that a commit has answered lie in the
// queue of the writer's processor: a processor that has nothing to do takes half of them over,
// one that goes on with the next scan takes none, and the p99 of a Set by 64 callers beside four
// scans was three times what it is alone. Only tests change it.
var breathe = sleepABreath

func sleepABreath() { time.Sleep(breath) }

// breath is short beside what a chunk takes. (The runtime makes it as long as a millisecond where
// nothing else is to be done.)
const breath = 100 * time.Microsecond

// explain has SQLite say what is wrong: behind the last that was yielded, or, as it passes
// over keys there that are NULL, anywhere.
func (s *pageLoop[T]) explain(ctx context.Context, why error) error {
	if !errors.Is(why, errUnread) {
		return why
	}
	if fault := s.pool.explainFault(why); fault != nil {
		return rowsIterationError(fault)
	}
	for _, last := range []*T{s.last, nil} {
		for _, err := range stream(ctx, s.pool, func() source[T] { return s.begin().behind(last) }) {
			if err != nil {
				return naming(why, err)
			}
		}
	}
	return rowsIterationError(naming(why, errPage))
}

// errPage is the answer if SQLite finds nothing wrong, of whose moment rows must not
// follow.
var errPage = storage.DamagedPage(errors.New("a page can't be read as it is"))

func (s *pageLoop[T]) end() {
	s.free()
	if s.hold != nil {
		s.hold.release(kv.SnapshotClosedError)
	}
}
