package kv

import "time"

// Entry is a live key's value with what the store knows of it.
type Entry struct {
	Value     string
	Revision  uint64    // of the request that last changed the key
	ExpiresAt time.Time // to the millisecond; zero: never
}

// DeadlineTime is a deadline as an instant; the zero time for NoDeadline.
func DeadlineTime(deadline int64) time.Time {
	if deadline == NoDeadline {
		return time.Time{}
	}
	return time.UnixMilli(deadline)
}
