package kv

import "time"

// Committed is the fact that a group commit succeeded. Every projection is fed
// by it; it is shared and read-only.
type Committed struct {
	At       time.Time
	Deadline int64            // the earliest deadline that it wrote, NoDeadline if none
	Purged   bool             // it removed expired rows, or found none left
	Reaped   bool             // it did so for the reaper
	Earliest int64            // with Purged: the earliest deadline still stored, NoDeadline if none
	Usage    []NamespaceUsage // of each counted namespace that it touched, after it

	// Forgotten are namespaces that are not counted any more: what was said of them
	// may be out of date from now on.
	Forgotten []string
}

// NamespaceUsage is the usage of one counted namespace. Keys and groups count
// while they take a row, expired or not: time alone changes nothing here.
type NamespaceUsage struct {
	Namespace string
	Usage     Usage
	Quota     QuotaConfig // the limits last seen on a write into it; zero if none
}

// Resynchronise tells projections to forget what they know and start again
// from this: the writer was started anew or can't say what its last commit did.
type Resynchronise struct {
	Announced uint64 // every event up to this one was handed on
	Earliest  int64  // the earliest deadline stored, NoDeadline if none
	Usage     []NamespaceUsage
}

// Durability says when an acknowledged write is safe.
type Durability int

const (
	// DurabilitySync, the default: each commit is synced to disk (fsync)
	// before its calls return. A power cut loses nothing acknowledged.
	DurabilitySync Durability = iota
	// DurabilityBuffered leaves syncing to the operating system. The end of
	// the process, kill -9 too, loses nothing; a power cut or a crash of the
	// system can lose the last commits, never their order or the file's
	// consistency.
	DurabilityBuffered
)
