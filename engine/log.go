package engine

import (
	"context"
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
		if i > 0 && row.Last+1 != rows[i-1].First {
			return missing(row.Last+1, rows[i-1].First-1)
		}
	}
	return nil
}

// missing is the error for revisions that the log should hold between others.
func missing(first, last uint64) error {
	return &kv.CorruptLogError{First: first, Last: last, Reason: "it is missing"}
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
	for next := uint64(0); next <= current; {
		rows, err := e.reads.Log(ctx, next, feedBytes)
		if err != nil {
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
			next = row.Last + 1
		}
		if len(rows) == 0 {
			return nil
		}
	}
	return nil
}
