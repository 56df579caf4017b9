package kv

import "time"

// Retention bounds what the log of changes keeps. Whatever exceeds one of the bounds is
// removed, oldest first; the newest commit always stays.
type Retention struct {
	Revisions int
	Bytes     int64 // of log records
	Age       time.Duration
}

// LogRow is one commit in the log: the revisions that it made, both included,
// when (Unix milliseconds), and what they did, in the log's own format.
type LogRow struct {
	First, Last uint64
	At          int64
	Record      []byte // never changed
}
