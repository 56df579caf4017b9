package engine

import (
	"context"

	"forge.lthn.ai/core/go-store/internal/commitlog"
	"forge.lthn.ai/core/go-store/kv"
)

// verifiedBytes is how much of the log's end is verified when a store opens:
// what the last moments before a crash wrote, in a few milliseconds. Older
// records are verified when they are read.
const verifiedBytes = 8 << 20

// verifyLog refuses a log whose end can't be read.
func (e *Engine) verifyLog() error {
	rows, err := e.reads.LogTail(context.Background(), verifiedBytes)
	if err != nil {
		return err
	}
	for i, row := range rows { // newest first
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
