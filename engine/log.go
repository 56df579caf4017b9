package engine

import (
	"context"
	"errors"
	"iter"

	"forge.lthn.ai/core/go-store/internal/commitlog"
	"forge.lthn.ai/core/go-store/kv"
)

// verifiedBytes is how much of the log's end is verified when a store opens:
// what the last moments before a crash wrote, in a few milliseconds. Older
// records are verified when they are read.
const verifiedBytes = 8 << 20

// verifyLog refuses a log by its rows, the newest first.
func verifyLog(rows []kv.LogRow) error {
	for i, row := range rows {
		if err := commitlog.Verify(row); err != nil {
			return err
		}
		if i > 0 {
			if err := commitlog.Adjoins(row, rows[i-1]); err != nil {
				return err
			}
		}
	}
	return nil
}

// logRows is rows of the log from a revision on, of which none is missing; no
// rows if the log ends before it. A *kv.CompactedError says that the revision is
// no longer there.
func (e *Engine) logRows(ctx context.Context, from uint64) ([]kv.LogRow, error) {
	// The end before the rows: what they then don't have has been removed.
	current, err := e.Revision(ctx)
	if err != nil {
		return nil, err
	}
	rows, err := e.reads.Log(ctx, from, feedBytes)
	if err != nil {
		return nil, err
	}
	oldest := current + 1
	if len(rows) > 0 {
		oldest = rows[0].First
	}
	if oldest > from {
		return nil, &kv.CompactedError{Requested: from, Oldest: oldest}
	}
	return rows, commitlog.Dense(rows)
}

// History yields what happened to a key, oldest first, as far as the log holds
// it. It ends with what was committed when the loop began. An error is yielded
// once, last.
func (e *Engine) History(ctx context.Context, group, key string) iter.Seq2[kv.Event, error] {
	return func(yield func(kv.Event, error) bool) {
		if err := e.history(ctx, kv.Filter{Group: kv.Exactly(group), Key: kv.Exactly(key)}, yield); err != nil {
			yield(kv.Event{}, err)
		}
	}
}

func (e *Engine) history(ctx context.Context, filter kv.Filter, yield func(kv.Event, error) bool) error {
	current, err := e.Revision(ctx)
	if err != nil {
		return err
	}
	var events []kv.Event
	for next, begun := uint64(1), false; next <= current; {
		rows, err := e.logRows(ctx, next)
		var compacted *kv.CompactedError
		if !begun && errors.As(err, &compacted) {
			next = compacted.Oldest // as far as the log holds it
			continue
		}
		if err != nil || len(rows) == 0 {
			return err
		}
		for _, row := range rows {
			if events, err = commitlog.Decode(events[:0], row); err != nil {
				return err
			}
			for i := range events {
				if filter.Matches(&events[i]) && events[i].Revision <= current && !yield(events[i], nil) {
					return nil
				}
			}
			next, begun = row.Last+1, true
		}
	}
	return nil
}
