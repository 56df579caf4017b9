package kv

import "time"

// Stats is what a store holds.
type Stats struct {
	Keys, Groups   int64     // that live
	Expired        int64     // keys that have expired and still take space
	Revision       uint64    // the last one committed
	OldestRevision uint64    // the first one in the log; Revision + 1 if the log is empty
	LogBytes       int64     // of the log's records
	LogBegins      time.Time // when OldestRevision was committed; zero if the log is empty
}
