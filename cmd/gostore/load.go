package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"forge.lthn.ai/core/go-store/api"
	"forge.lthn.ai/core/go-store/cmd/gostore/internal/progress"
	"forge.lthn.ai/core/go-store/cmd/gostore/internal/rows"
)

// sizeLimits are the store's own defaults. An import names them because it
// checks each row itself: a batch that is refused can't say which row was at
// fault.
var sizeLimits = api.SizeLimits{Group: 64 << 10, Key: 64 << 10, Value: 16 << 20, Commit: 32 << 20}

// exportLimits are those of an import of an export: the store that it came from
// may have had larger ones than by default, and has held each of the rows.
var exportLimits = api.SizeLimits{Group: 8 << 20, Key: 8 << 20, Value: 256 << 20, Commit: 288 << 20}

const (
	batchRows = 1_000
	// batchBytes ends a batch early. One more row of the largest size still
	// fits into a commit.
	batchBytes = 15 << 20
)

// source is where rows come from: io.EOF ends them.
type source interface{ Next() (rows.Row, error) }

// load writes rows to a store, batch by batch. It reads the next batch while
// the last one is being committed.
type load struct {
	reader source
	commit func(*api.Batch) (revision uint64, err error)
	now    func() time.Time // which rows have expired
	limits api.SizeLimits
	clamp  bool // deadlines that aren't taken
	bar    *progress.Bar

	committed int // rows
	through   int // the line of the last of them
	expired   int // rows that were skipped for it
}

// batch is a number of rows that are committed as one, or why there are none.
type batch struct {
	writes      api.Batch
	expired     int
	first, last int   // the lines of the first and last row that is written
	end         int64 // bytes read so far
	err         error
}

// run loads all rows. Cancelling ctx stops it between two batches, even if the
// input has nothing to read; then the reading goroutine ends with the next
// read, which may be when the process does.
func (l *load) run(ctx context.Context) error {
	reading, stop := context.WithCancel(ctx)
	defer stop()
	batches := make(chan *batch)
	go l.read(reading, batches)
	for {
		select {
		case <-ctx.Done():
			return errInterrupted
		case next, ok := <-batches:
			switch {
			case ctx.Err() != nil:
				return errInterrupted
			case !ok:
				return nil
			case next.err != nil:
				return next.err
			}
			l.expired += next.expired
			if next.writes.Len() > 0 {
				if _, err := l.commit(&next.writes); err != nil {
					return commitError(next, err)
				}
				l.committed += next.writes.Len()
				l.through = next.last
			}
			l.bar.Describe(fmt.Sprintf("importing, %d rows", l.committed))
			l.bar.Set(next.end)
		}
	}
}

func commitError(failed *batch, err error) error {
	where := fmt.Sprintf("lines %d to %d", failed.first, failed.last)
	if errors.Is(err, api.UnknownOutcomeError) {
		return fmt.Errorf("%s may or may not be written, import them again: %w", where, err)
	}
	return fmt.Errorf("%s: %w", where, err)
}

// read sends batches until the input ends or is bad. The rows in front of a
// bad one that do not fill a batch are dropped.
func (l *load) read(ctx context.Context, out chan<- *batch) {
	defer close(out)
	send := func(b *batch) bool {
		select {
		case out <- b:
			return true
		case <-ctx.Done():
			return false
		}
	}
	pending, size := new(batch), 0
	for {
		row, err := l.reader.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err == nil {
			err = l.checkSize(row)
		}
		if err == nil && !isTaken(row.Expires) {
			if l.clamp {
				row.Expires = clamped(row.Expires)
			} else {
				err = deadlineError(row)
			}
		}
		if err != nil {
			send(&batch{err: err})
			return
		}
		pending.end = row.End
		if !row.Expires.IsZero() && !row.Expires.After(l.now()) {
			pending.expired++
			continue
		}
		if pending.writes.Len() == 0 {
			pending.first = row.Line
		}
		pending.writes.SetUntil(row.Group, row.Key, row.Value, row.Expires)
		pending.last = row.Line
		size += len(row.Group) + len(row.Key) + len(row.Value)
		if pending.writes.Len() == batchRows || size >= batchBytes {
			if !send(pending) {
				return
			}
			pending, size = new(batch), 0
		}
	}
	send(pending)
}

func (l *load) checkSize(row rows.Row) error {
	for _, part := range []struct {
		name        string
		size, limit int
	}{
		{"group", len(row.Group), l.limits.Group},
		{"key", len(row.Key), l.limits.Key},
		{"value", len(row.Value), l.limits.Value},
	} {
		if part.size > part.limit {
			return &rows.LineError{Line: row.Line, Err: fmt.Errorf("the %s has %d bytes, more than %d: %w", part.name, part.size, part.limit, api.TooLargeError)}
		}
	}
	return nil
}

// committedSoFar says what an import that failed leaves behind.
func (l *load) committedSoFar() string {
	switch l.committed {
	case 0:
		return "0 rows are committed"
	case 1:
		return "1 row is committed"
	default:
		return fmt.Sprintf("%d rows are committed, up to line %d", l.committed, l.through)
	}
}
