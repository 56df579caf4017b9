package storage

import (
	"context"
	"iter"

	"forge.lthn.ai/core/go-store/kv"
)

// Snapshot is what was committed at one moment, for as long as it is open. Any
// goroutine may use it, and loops over its scans may use it too. Close it always: an open
// one keeps the WAL from starting anew.
//
// Its methods are those of Reads, on that moment. Once the database is closed
// they answer kv.ClosedError. It may end before it is closed, with
// kv.SnapshotExpiredError, if it keeps the WAL from starting anew for too long.
type Snapshot interface {
	Get(ctx context.Context, group, key string) (row kv.Row, found bool, err error)
	GetMany(ctx context.Context, group string, keys []string) ([]kv.Row, error)
	GroupExists(ctx context.Context, group string, now int64) (bool, error)
	Count(ctx context.Context, r kv.Range, now int64) (int, error)
	Page(ctx context.Context, group string, offset, limit int, now int64) ([]kv.KeyValue, error)
	Scan(ctx context.Context, q Query, now int64) iter.Seq2[kv.Row, error]
	GetAll(ctx context.Context, group string, now int64) (map[string]string, error)
	Groups(ctx context.Context, r kv.Range, now int64) iter.Seq2[string, error]
	// Usage counts the rows that are stored, dead ones too, and their groups. It waits
	// for no other reader: requests wait for what it counts.
	Usage(r kv.Range) (kv.Usage, error)
	// End is Close with another reason, for a snapshot that is ended by another than its holder.
	End(reason error)
	// Revision is that of the last commit which the snapshot shows.
	Revision() uint64
	// Close lets go of what was pinned; later calls answer kv.SnapshotClosedError.
	// It may be called again, and by any goroutine.
	Close()
}
