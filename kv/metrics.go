package kv

import (
	"math"
	"time"
)

// Metrics is what a store has done since it was opened, and how it is now. The parts are
// of moments that follow each other closely. Numbers named as a plural of what happens
// (Rows, Drops, …) only ever grow until the store is closed; everything else is how it is.
//
// What lies under Requests, Queue.Wait, Batches, Commits, Syncs and Checkpoints.Took is
// collected by a store with WithMetrics alone.
type Metrics struct {
	At         time.Time // when this was taken, by the machine's clock
	Since      time.Time // when the store was opened
	Collecting bool      // WithMetrics

	Requests    []RequestMetrics // a kind each of which there was one, in the order of their names
	Queue       QueueMetrics
	Batches     Histogram // requests in a commit
	Commits     Histogram // seconds from COMMIT to its end; in a file the sync is in it
	Syncs       Histogram // seconds that the write-ahead log's syncs took; none in memory, nor with DurabilityBuffered
	WAL         WALMetrics
	Checkpoints CheckpointMetrics
	Views       ViewMetrics
	Cache       CacheMetrics
	Log         LogMetrics
	Expiry      ExpiryMetrics
	Watchers    ListenerMetrics // Watch and WatchActor
	Subscribers ListenerMetrics // Subscribe, those of actors too
	Callbacks   CallbackMetrics
	// Quotas are the counted namespaces with limits, the fullest first, MaxQuotaMetrics at most.
	// They follow a commit a little later; Usage brings those of its namespace up to date.
	Quotas     []QuotaMetrics
	Namespaces int            // how many namespaces are counted
	Actors     []ActorMetrics // in the order of their names
	Conflicts  uint64         // attempts of transactions that were in vain
	Health     error          // as Store.Health has it; nil: all is well
	Unhealthy  time.Time      // since when; the zero time if all is well
}

// MaxQuotaMetrics is how many namespaces Metrics.Quotas names at most.
const MaxQuotaMetrics = 100

// RequestMetrics is the requests of one kind.
type RequestMetrics struct {
	Kind    string            // "get", "set", "batch", …: see docs/METRICS.md
	Results map[string]uint64 // by result: "ok", "not_found", …; those that there were
	// Took is seconds from the call to its end; of what yields rows, to the first of them.
	// Of some kinds a part is measured, by lot, and each counts as many.
	Took Histogram
}

// Count is how many requests there were, whatever came of them.
func (r *RequestMetrics) Count() (n uint64) {
	for _, count := range r.Results {
		n += count
	}
	return n
}

// Failed is how many had another result than "ok" and "not_found".
func (r *RequestMetrics) Failed() (n uint64) {
	for result, count := range r.Results {
		if result != ResultOK && result != ResultNotFound {
			n += count
		}
	}
	return n
}

// The results of requests.
const (
	ResultOK        = "ok"
	ResultNotFound  = "not_found" // NotFoundError
	ResultConflict  = "conflict"  // a condition was not met, or a transaction's attempts were in vain
	ResultQuota     = "quota"     // QuotaExceededError
	ResultInvalid   = "invalid"   // refused for what it asks, or its size
	ResultBusy      = "busy"      // BusyError, TooManySnapshotsError
	ResultCancelled = "cancelled" // its context ended before it was admitted: nothing was done
	ResultUnknown   = "unknown"   // UnknownOutcomeError
	ResultDegraded  = "degraded"  // DegradedError, FileLostError
	ResultClosed    = "closed"    // ClosedError, or a snapshot's end
	ResultError     = "error"     // anything else
)

// QueueMetrics is the mutations on their way.
type QueueMetrics struct {
	Depth  int       // admitted and not answered yet
	Limit  int       // how many may be: WithMaxInFlight
	Waited uint64    // found no room, and waited for it
	Wait   Histogram // seconds from the call to the beginning of its commit
}

// WALMetrics is the write-ahead log of a file. A store in memory has none.
type WALMetrics struct {
	Bytes  int64 // how long its file is; it stays long when it begins anew
	Frames int   // pages that were committed into it since it began anew
	Behind int   // of those, pages that are not in the database yet
}

// CheckpointMetrics is what moved pages from the write-ahead log into the database.
type CheckpointMetrics struct {
	Completed uint64
	Failures  uint64
	Ended     uint64    // scans and snapshots that were ended because they kept the log from beginning anew
	Took      Histogram // seconds
}

// ViewMetrics is what keeps a moment of the store readable: snapshots, transactions and
// loops over scans.
type ViewMetrics struct {
	Open   int
	Oldest time.Duration // how old the oldest is; 0: none is open
}

// CacheMetrics is the read cache.
type CacheMetrics struct {
	Hits, Misses uint64 // of keys; hits are estimated, right to a few per cent from some ten thousand on
	Rows         int
	Bytes, Limit int // Limit 0: there is no cache
}

// LogMetrics is the log of changes.
type LogMetrics struct {
	Revision       uint64    // the last one committed
	OldestRevision uint64    // the first one in the log; Revision + 1 if the log is empty
	Bytes          int64     // of its records
	Begins         time.Time // when OldestRevision was committed; the zero time if the log is empty
	Unfolded       int64     // bytes of memory that have what is not in the table of entries yet: WithOverlay
}

// ExpiryMetrics is the removal of expired keys.
type ExpiryMetrics struct {
	// Lag is how long the key that expired first, of those that take space still, has been
	// expired, as far as is known; 0: there is none. About WithPurgeInterval is as it should be.
	Lag time.Duration
}

// ListenerMetrics is the watchers, or the subscribers.
type ListenerMetrics struct {
	Open    int
	Waiting int    // events that wait for all of them together
	Most    int    // that wait for the listener with the longest queue
	Behind  int    // subscribers that read the log to catch up
	Drops   uint64 // events that watchers have missed; subscribers: times that one was too slow for its buffer
}

// CallbackMetrics is OnChange.
type CallbackMetrics struct{ Drops uint64 } // events of purges that no callback saw

// QuotaMetrics is what a namespace uses of its quota. A limit of 0 is none. Expired keys
// are in it until they are removed.
type QuotaMetrics struct {
	Namespace          string
	Keys, Groups       int64
	MaxKeys, MaxGroups int
}

// Used is the larger share of a limit that is used: 1 is all of it.
func (q *QuotaMetrics) Used() float64 {
	share := func(used int64, limit int) float64 {
		if limit <= 0 {
			return 0
		}
		return float64(used) / float64(limit)
	}
	return max(share(q.Keys, q.MaxKeys), share(q.Groups, q.MaxGroups))
}

// ActorMetrics is one of the store's actors: "gateway", "notifier", "quota", "reaper", "writer".
type ActorMetrics struct {
	Name     string
	Restarts uint64 // after a failure within the store
}

// Histogram is how often which values were seen. It has the shape of runtime/metrics'
// Float64Histogram: Counts[i] is how many lay above Buckets[i] and at Buckets[i+1] or below
// it, which is also what a cumulative histogram's "le" says. The first bound is 0, the last
// +Inf. Buckets are shared and not to be changed. The zero value has seen nothing.
type Histogram struct {
	Counts  []uint64
	Buckets []float64
	Sum     float64 // of all values
}

// Count is how many values were seen.
func (h *Histogram) Count() (n uint64) {
	for _, count := range h.Counts {
		n += count
	}
	return n
}

// Mean is their average; 0 if there are none.
func (h *Histogram) Mean() float64 {
	n := h.Count()
	if n == 0 {
		return 0
	}
	return h.Sum / float64(n)
}

// Quantile is the value that a share q of all lie at or below, from 0 to 1, interpolated
// within its bucket: it is right to a sixth, or so. It is 0 if there are none, and the last
// finite bound for what lies beyond it.
func (h *Histogram) Quantile(q float64) float64 {
	n := h.Count()
	if n == 0 || math.IsNaN(q) {
		return 0
	}
	rank := min(max(q, 0), 1) * float64(n)
	below := uint64(0)
	for i, count := range h.Counts {
		if count == 0 || float64(below+count) < rank {
			below += count
			continue
		}
		from, to := h.Buckets[i], h.Buckets[i+1]
		if math.IsInf(to, 1) {
			return from
		}
		return from + (to-from)*max(rank-float64(below), 0)/float64(count)
	}
	return 0
}

// Since is what was seen after an earlier snapshot of the same histogram: for figures of
// the last minute.
func (h *Histogram) Since(earlier Histogram) Histogram {
	d := Histogram{Counts: make([]uint64, len(h.Counts)), Buckets: h.Buckets, Sum: h.Sum - earlier.Sum}
	copy(d.Counts, h.Counts)
	if len(earlier.Counts) == len(d.Counts) {
		for i, count := range earlier.Counts {
			d.Counts[i] -= count
		}
	}
	return d
}
