package kv

import "time"

// Entry is a live key's value with what the store knows of it.
type Entry struct {
	Value     string
	Revision  uint64    // of the request that last changed the key
	ExpiresAt time.Time // to the millisecond; zero: never
}
