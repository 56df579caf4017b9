package storage

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"runtime"
	"runtime/debug"
	"slices"

	"forge.lthn.ai/core/go-store/kv"
)

// streamPages is stream for rows that are read from the pages of a view: the loop's body
// runs between chunks, while the view is held.
func streamPages(ctx context.Context, p *pool, q Query, now int64) iter.Seq2[kv.Row, error] {
	return func(yield func(kv.Row, error) bool) {
		s := &pageLoop{pool: p, scan: newPageScan(q, now)}
		defer s.end()
		err := s.first(ctx)
		if errors.Is(err, errUnread) { // nothing was yielded
			stream(ctx, p, func() source[kv.Row] { return newRowScan(q, now) })(yield)
			return
		}
		s.loop(ctx, err, yield)
	}
}

// pageLoop is a pageScan in the middle of a loop.
type pageLoop struct {
	pool *pool
	scan *pageScan
	rows []kv.Row // the present chunk
	last Position // the last row that was yielded before it
	hold *hold    // the view for the next one
	more bool
}

func (s *pageLoop) loop(ctx context.Context, err error, yield func(kv.Row, error) bool) {
	for {
		for i := range s.rows {
			if !yield(s.rows[i], nil) {
				return
			}
		}
		if err != nil {
			yield(kv.Row{}, s.explain(ctx, err))
			return
		}
		if !s.more {
			return
		}
		err = s.next(ctx)
	}
}

// first reads the first chunk, where most scans end. One that goes on holds its view from
// then on, unless the WAL is at its bound: then it waits, and begins again.
func (s *pageLoop) first(ctx context.Context) error {
	if err := s.pool.check(ctx); err != nil {
		return err
	}
	if s.scan.query.wide() {
		leave, err := s.pool.turn(ctx)
		if err != nil {
			return err
		}
		defer leave()
	}
	p, err := s.begin()
	if err != nil || !s.more {
		return err
	}
	if s.pool.gate.isShut() {
		s.pool.views.leave(p)
		if err := s.pool.gate.pass(ctx, s.pool.closed); err != nil {
			return err
		}
		clear(s.rows)
		s.rows, s.scan = s.rows[:0], newPageScan(s.scan.query, s.scan.now)
		if p, err = s.begin(); err != nil || !s.more {
			return err
		}
	}
	if s.hold, err = s.pool.holdView(p); err != nil {
		clear(s.rows)
		s.rows = s.rows[:0]
	}
	return err
}

// begin reads the first chunk of what is committed now. The pin is to be released if
// there is more and no error.
func (s *pageLoop) begin() (p pin, err error) {
	defer onFault(debug.SetPanicOnFault(true), &err)
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
	if err = s.scan.begin(p.view); err != nil {
		done = true
		return p, errUnread
	}
	s.rows, s.more, err = s.scan.chunk(p.view, s.rows, firstChunkRows, firstChunkBytes)
	done = true
	return p, err
}

// next reads a chunk. Scans that have come this far take turns, as with scan.turn.
func (s *pageLoop) next(ctx context.Context) error {
	if n := len(s.rows); n > 0 {
		s.last = Position{s.rows[n-1].Group, s.rows[n-1].Key}
	}
	clear(s.rows)
	s.rows = slices.Grow(s.rows[:0], min(chunkRows, 4*len(s.rows)))
	leave, err := s.pool.turn(ctx)
	if err != nil {
		return err
	}
	defer leave()
	rows, bytes := s.pool.laterChunk()
	err = s.hold.look(func(v *view) (err error) {
		s.rows, s.more, err = s.scan.chunk(v, s.rows, rows, bytes)
		return err
	})
	if s.pool.views.writing.Load() {
		runtime.Gosched()
	}
	return err
}

// explain has SQLite say what is wrong behind the last row.
func (s *pageLoop) explain(ctx context.Context, err error) error {
	if !errors.Is(err, errUnread) {
		return err
	}
	q := s.scan.query
	if n := len(s.rows); n > 0 {
		s.last = Position{s.rows[n-1].Group, s.rows[n-1].Key}
	}
	if s.last != (Position{}) && !s.scan.anyOrder() {
		q.After = &s.last
	}
	for _, err := range stream(ctx, s.pool, func() source[kv.Row] { return newRowScan(q, s.scan.now) }) {
		if err != nil {
			return err
		}
	}
	return rowsIterationError(fmt.Errorf("a page can't be read as it is: check the store, and salvage what it has if that finds something: %w", kv.DamagedError))
}

func (s *pageLoop) end() {
	if s.hold != nil {
		s.hold.release(kv.SnapshotClosedError)
	}
}
