package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"forge.lthn.ai/core/go-store/api"
	"forge.lthn.ai/core/go-store/cmd/gostore/internal/progress"
	"forge.lthn.ai/core/go-store/cmd/gostore/internal/rows"
)

// sizeLimits are the store's own defaults. An import names them because it
// checks each row itself: a batch that is refused can't say which row was at
// fault.
var sizeLimits = api.SizeLimits{Group: 64 << 10, Key: 64 << 10, Value: 16 << 20, Commit: 32 << 20}

const (
	batchRows = 1_000
	// batchBytes ends a batch early. One more row of the largest size still
	// fits into a commit.
	batchBytes = 15 << 20
)

// load writes rows to a store, batch by batch. It reads the next batch while
// the last one is being committed.
type load struct {
	reader *rows.Reader
	commit func([]api.Item) error
	bar    *progress.Bar

	committed int // rows
	through   int // the line of the last of them
}

// batch is a number of rows that are committed as one, or why there are none.
type batch struct {
	items       []api.Item
	first, last int   // the lines of the first and last row
	end         int64 // bytes read so far
	err         error
}

// run loads all rows. Cancelling ctx stops it between two batches, even if the
// input has nothing to read; then the reading goroutine ends with the next
// read, which may be when the process does.
func (l *load) run(ctx context.Context) error {
	reading, stop := context.WithCancel(ctx)
	defer stop()
	batches := make(chan batch)
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
			if err := l.commit(next.items); err != nil {
				return commitError(next, err)
			}
			l.committed += len(next.items)
			l.through = next.last
			l.bar.Describe(fmt.Sprintf("importing, %d rows", l.committed))
			l.bar.Set(next.end)
		}
	}
}

func commitError(failed batch, err error) error {
	where := fmt.Sprintf("lines %d to %d", failed.first, failed.last)
	if errors.Is(err, api.UnknownOutcomeError) {
		return fmt.Errorf("%s may or may not be written, import them again: %w", where, err)
	}
	return fmt.Errorf("%s: %w", where, err)
}

// read sends batches until the input ends or is bad. The rows in front of a
// bad one that do not fill a batch are dropped.
func (l *load) read(ctx context.Context, out chan<- batch) {
	defer close(out)
	send := func(b batch) bool {
		select {
		case out <- b:
			return true
		case <-ctx.Done():
			return false
		}
	}
	var pending batch
	size := 0
	for {
		row, err := l.reader.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err == nil {
			err = checkSize(row)
		}
		if err != nil {
			send(batch{err: err})
			return
		}
		if len(pending.items) == 0 {
			pending.first = row.Line
		}
		pending.items = append(pending.items, api.Item{Group: row.Group, Key: row.Key, Value: row.Value})
		pending.last, pending.end = row.Line, row.End
		size += len(row.Group) + len(row.Key) + len(row.Value)
		if len(pending.items) == batchRows || size >= batchBytes {
			if !send(pending) {
				return
			}
			pending, size = batch{}, 0
		}
	}
	if len(pending.items) > 0 {
		send(pending)
	}
}

func checkSize(row rows.Row) error {
	for _, part := range []struct {
		name        string
		size, limit int
	}{
		{"group", len(row.Group), sizeLimits.Group},
		{"key", len(row.Key), sizeLimits.Key},
		{"value", len(row.Value), sizeLimits.Value},
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
