package storage

import (
	"context"
	"iter"

	"forge.lthn.ai/core/go-store/kv"

	"zombiezen.com/go/sqlite"
)

const (
	// A scan that ends within the first chunk costs no connection of its own.
	firstChunkRows  = 256
	firstChunkBytes = 256 << 10
	// Later chunks are larger: a loop that has come so far wants it all.
	chunkRows  = 2048
	chunkBytes = 1 << 20
)

// scan reads the rows of one statement in chunks, on one snapshot. The loop's
// body runs between chunks, while nothing is locked and no shared connection
// is taken: it may scan, write, or never end.
type scan[T any] struct {
	pool *pool
	stmt *sqlite.Stmt
	read func(*sqlite.Stmt) (value T, size int, err error)
	rows []T   // the present chunk
	hold *hold // nil: there is nothing more to read
}

// stream is the rows that the statement of start yields. An error is the last
// thing that it yields.
func stream[T any](ctx context.Context, p *pool, start func(*reader) *sqlite.Stmt,
	read func(*sqlite.Stmt) (T, int, error),
) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		s := &scan[T]{pool: p, read: read}
		defer s.end()
		err := s.first(ctx, start)
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
			if s.hold == nil {
				return
			}
			err = s.next(ctx)
		}
	}
}

// first reads the first chunk. If there is more it takes the connection along,
// as its open statement is the snapshot; if it can't, it reads everything now.
func (s *scan[T]) first(ctx context.Context, start func(*reader) *sqlite.Stmt) error {
	r, err := s.pool.take(ctx)
	if err != nil {
		return err
	}
	kept := false
	defer func() {
		if !kept {
			_ = s.stmt.Reset() // repeats an error that Step has answered
			s.pool.give(r)
		}
	}()
	s.stmt = start(r)
	more, err := s.chunk(firstChunkRows, firstChunkBytes)
	if err != nil || !more {
		return s.pool.explain(err)
	}
	if s.hold, kept = s.pool.keep(r); kept {
		return nil
	}
	for more && err == nil {
		if err = s.pool.check(ctx); err == nil {
			more, err = s.chunk(chunkRows, chunkBytes)
		}
	}
	return s.pool.explain(err)
}

// next replaces the chunk by the one after it. Scans that have come this far
// take turns, fewer than there are processors: endless scans on all of them
// would starve the writer for milliseconds at a time.
func (s *scan[T]) next(ctx context.Context) error {
	clear(s.rows)
	s.rows = s.rows[:0]
	if err := s.pool.check(ctx); err != nil {
		return err
	}
	select {
	case s.pool.turns <- struct{}{}:
		defer func() { <-s.pool.turns }()
	case <-s.pool.closed:
		return kv.ClosedError
	case <-ctx.Done():
		return contextError(ctx)
	}
	more := false
	err := s.hold.use(func(*reader) (err error) {
		more, err = s.chunk(chunkRows, chunkBytes)
		return err
	})
	if err == nil && !more {
		s.end()
	}
	return err
}

// chunk appends rows until one of the limits is reached.
func (s *scan[T]) chunk(rows, bytes int) (more bool, err error) {
	for rows > 0 && bytes > 0 {
		found, err := s.stmt.Step()
		if err != nil {
			return false, rowsIterationError(err)
		}
		if !found {
			return false, nil
		}
		row, size, err := s.read(s.stmt)
		if err != nil {
			return false, scanRowError(err)
		}
		s.rows = append(s.rows, row)
		rows--
		bytes -= size
	}
	return true, nil
}

// end gives the connection back as soon as the last row was read.
func (s *scan[T]) end() {
	if s.hold == nil {
		return
	}
	s.hold.release(func(*reader) error {
		_ = s.stmt.Reset() // repeats an error that Step has answered
		return nil
	})
	s.hold = nil
}

func readKeyValue(stmt *sqlite.Stmt) (row kv.KeyValue, size int, err error) {
	if row.Key, err = text(stmt, 0); err != nil {
		return row, 0, err
	}
	row.Value, err = text(stmt, 1)
	return row, len(row.Key) + len(row.Value), err
}

func readName(stmt *sqlite.Stmt) (name string, size int, err error) {
	name, err = text(stmt, 0)
	return name, len(name), err
}
