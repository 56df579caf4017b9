package storage

// LogMark is a row of the log without its record.
type LogMark struct {
	First, Last uint64
	At          int64 // Unix milliseconds
	Bytes       int64 // of its record
}

// LogExtent is what the log holds: the revisions First to Last, none if First
// is greater, in the bytes from Begin to End.
type LogExtent struct {
	First, Last uint64
	Begin, End  int64
	Oldest      int64 // when the first row was committed, Unix milliseconds
}
