package sqlite

import (
	"context"
	"iter"
	"slices"

	"forge.lthn.ai/core/go-store/kv"
)

const (
	// A scan that ends within the first chunk costs no connection of its own.
	firstChunkRows  = 256
	firstChunkBytes = 256 << 10
	// Later chunks are larger: a loop that has come so far wants it all.
	chunkRows  = 2048
	chunkBytes = 1 << 20
)

// source is what a scan reads, chunk by chunk, and how far it has come. Each
// chunk is a statement of its own that begins behind the last row, so that
// between chunks nothing is half-way: the transaction alone makes them one.
type source[T any] interface {
	// chunk appends rows until one of the limits is reached; more says that
	// there may be others behind them.
	chunk(r *reader, into []T, rows, bytes int) (_ []T, more bool, err error)
	// wide says that even the first chunk may pass over any number of rows that
	// it does not yield: no other read is to wait for that.
	wide() bool
}

// scan is a source in the middle of a loop. The loop's body runs between
// chunks, while nothing is locked and no shared connection is taken: it may
// scan, write, or never end.
type scan[T any] struct {
	pool   *pool
	begin  func() source[T]
	source source[T]
	rows   []T   // the present chunk
	hold   *hold // the connection for the next one
	more   bool
}

// stream is what the source yields. An error is the last thing that it yields.
// Each loop over it begins with a source of its own, on a snapshot of its own.
func stream[T any](ctx context.Context, p *pool, begin func() source[T]) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		s := &scan[T]{pool: p, begin: begin, source: begin()}
		defer s.end()
		s.loop(ctx, s.first(ctx), yield)
	}
}

// streamHeld is stream on a connection that it does not own.
func streamHeld[T any](ctx context.Context, h *hold, begin func() source[T]) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		s := &scan[T]{pool: h.pool, source: begin(), hold: h, more: true}
		s.loop(ctx, s.next(ctx, firstChunkRows, firstChunkBytes), yield)
	}
}

func (s *scan[T]) loop(ctx context.Context, err error, yield func(T, error) bool) {
	for {
		for _, row := range s.rows {
			if !yield(row, nil) {
				return
			}
		}
		if err != nil {
			var none T
			yield(none, err)
			return
		}
		if !s.more {
			return
		}
		err = s.turn(ctx)
	}
}

// first reads the first chunk. Where there is more the scan goes on with a
// connection of its own.
func (s *scan[T]) first(ctx context.Context) error {
	if s.source.wide() {
		leave, err := s.pool.turn(ctx)
		if err != nil {
			return err
		}
		defer leave()
		return s.lent(ctx)
	}
	again := false
	err := s.pool.once(ctx, func(r *reader) (kept bool, err error) {
		// The transaction is the snapshot, so the scan takes the connection along if there
		// is more. If that can't be, it is to begin again. To read all that is left would
		// be without bound, and to wait could be for ever: the loops around this one may
		// be the caller's own.
		s.rows, s.more, err = s.source.chunk(r, s.rows, firstChunkRows, firstChunkBytes)
		if err == nil && s.more {
			s.hold, kept = s.pool.keep(r)
			again = !kept
		}
		return kept, err
	})
	if err == nil && again {
		clear(s.rows)
		s.rows, s.source = s.rows[:0], s.begin()
		return s.lent(ctx)
	}
	return err
}

// lent begins on a connection that the scan has from the start.
func (s *scan[T]) lent(ctx context.Context) (err error) {
	if s.hold, err = s.pool.holdAnother(ctx); err != nil {
		return err
	}
	return s.hold.use(func(r *reader) (err error) {
		if err = r.start(); err == nil {
			s.rows, s.more, err = s.source.chunk(r, s.rows, firstChunkRows, firstChunkBytes)
		}
		return err
	})
}

// turn is next for scans that have come this far. They take turns, fewer than
// there are processors: endless scans on all of them would starve the writer
// for milliseconds at a time.
func (s *scan[T]) turn(ctx context.Context) error {
	clear(s.rows)
	s.rows = slices.Grow(s.rows[:0], min(chunkRows, 4*len(s.rows)))
	leave, err := s.pool.turn(ctx)
	if err != nil {
		return err
	}
	defer leave()
	rows, bytes := s.pool.laterChunk()
	return s.next(ctx, rows, bytes)
}

// laterChunk is how much a chunk behind the first may have.
func (p *pool) laterChunk() (rows, bytes int) {
	if p.holding() > maxIdle { // each of them has a chunk in memory
		return firstChunkRows, firstChunkBytes
	}
	return chunkRows, chunkBytes
}

// next appends a chunk.
func (s *scan[T]) next(ctx context.Context, rows, bytes int) error {
	if err := s.pool.check(ctx); err != nil {
		return err
	}
	return s.hold.use(func(r *reader) (err error) {
		s.rows, s.more, err = s.source.chunk(r, s.rows, rows, bytes)
		return err
	})
}

// end gives the connection back.
func (s *scan[T]) end() {
	if s.hold != nil {
		s.hold.release(kv.SnapshotClosedError)
	}
}

// groupScan yields the names of groups with a live row, ascending.
type groupScan struct {
	rest       kv.Range
	now        int64
	everything bool // it began with all groups
}

func (s *groupScan) wide() bool { return false }

func newGroupScan(r kv.Range, now int64) *groupScan { return &groupScan{r, now, isEverything(r)} }

func (s *groupScan) chunk(r *reader, into []string, rows, bytes int) ([]string, bool, error) {
	bindRange(r.groups, s.rest)
	r.groups.BindInt64(3, s.now)
	for ; rows > 0 && bytes > 0; rows-- {
		found, err := r.groups.Step()
		if err != nil {
			return into, false, rowsIterationError(err)
		}
		if !found {
			if err := r.groups.Reset(); err != nil || !s.everything {
				return into, false, err
			}
			return into, false, r.checkNamed(s.now)
		}
		name, err := name(r.groups, 0)
		if err != nil {
			_ = r.groups.Reset() // the row's error says more
			return into, false, scanRowError(err)
		}
		into = append(into, name)
		s.rest.From = kv.GroupRange(name).To
		bytes -= len(name)
	}
	return into, true, r.groups.Reset()
}
