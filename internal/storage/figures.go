package storage

import "time"

// Figures is how a database is, for metrics.
type Figures struct {
	WALBytes           int64 // how long the write-ahead log's file is
	WALFrames          int   // pages committed into it since it began anew
	WALBehind          int   // of those, not in the database yet
	Checkpoints        uint64
	CheckpointFailures uint64
	Ended              uint64        // scans and snapshots that kept the log from beginning anew too long
	Views              int           // scans and snapshots that are open
	Oldest             time.Duration // how old the oldest of them is; 0: there is none, or unknown
}
