package storage

import (
	"context"
	"iter"
	"time"

	"forge.lthn.ai/core/go-store/kv"
)

// MemoryPath is the path of a database that has no file.
const MemoryPath = ":memory:"

// Reads is the read side. All of it is safe for concurrent use, and none of it
// ever waits for the writer.
//
// now is Unix milliseconds: a row is live if its deadline lies after it. The
// context is obeyed before work, while waiting for a connection, and between
// chunks of rows; such errors wrap ctx.Err(). After Close every method answers
// kv.ClosedError, and so does the next step of a scan that is under way.
//
// Loops over Scan and Groups may call anything, scans and writes included, and
// may take as long as they like, unless they keep the WAL from starting anew. They see
// the rows of one moment. Too many at a time end with
// kv.TooManySnapshotsError.
type Reads interface {
	// Get is the stored row, dead or alive.
	Get(ctx context.Context, group, key string) (row kv.Row, found bool, err error)
	// GetMany is the stored rows of those keys that are there, dead or alive, in
	// the order of the keys given, all at one moment.
	GetMany(ctx context.Context, group string, keys []string) ([]kv.Row, error)
	// GroupExists reports whether the group has a live row.
	GroupExists(ctx context.Context, group string, now int64) (bool, error)
	// Count counts live rows.
	Count(ctx context.Context, r kv.Range, now int64) (int, error)
	// Scan yields the live rows of a query, in its order. A row that is damaged
	// yields an error that begins "scan row: ", a damaged page one that begins
	// "rows iteration: "; an error is the last thing that a scan yields.
	Scan(ctx context.Context, q Query, now int64) iter.Seq2[kv.Row, error]
	// GetAll is the live rows of a group. Its errors are those of Scan.
	GetAll(ctx context.Context, group string, now int64) (map[string]string, error)
	// Page is limit rows of a group, keys ascending, after the first offset.
	Page(ctx context.Context, group string, offset, limit int, now int64) ([]kv.KeyValue, error)
	// Groups yields the names of groups with a live row, ascending. It costs
	// what the groups cost, not what their rows cost.
	Groups(ctx context.Context, r kv.Range, now int64) iter.Seq2[string, error]
	// Usage counts live rows and groups with a live row.
	Usage(ctx context.Context, r kv.Range, now int64) (kv.Usage, error)
	// Expired counts dead rows, and groups that have rows but no live one. It
	// costs what the dead rows cost: nothing if there are none.
	Expired(ctx context.Context, r kv.Range, now int64) (kv.Usage, error)
	// Revision is the last one committed.
	Revision(ctx context.Context) (uint64, error)
	// Log is the log's rows from a revision on, oldest first: whole rows, at
	// least one if there is one, and no more once they weigh bytes.
	Log(ctx context.Context, from uint64, bytes int) ([]kv.LogRow, error)
	// LogExtent is what the log holds.
	LogExtent(ctx context.Context) (LogExtent, error)
}

// RestTime is how long there must be no commit until what they have left to be moved (see
// Writer.Fold) is moved at once.
const RestTime = 250 * time.Millisecond

// Writer is the write side. It has no lock: one goroutine at a time owns it.
// Every write happens between Begin and Commit; outside a transaction, or after
// a storage fault has ended it, writes fail.
type Writer interface {
	// Begin starts a transaction.
	Begin() error
	// Commit makes the transaction durable as configured, and visible to
	// readers. After an error IsIndeterminate says whether the outcome is
	// known; call Rollback in any case.
	Commit() error
	// Probe tries whether a commit would be durable, outside a transaction.
	Probe() error
	// Rollback gives the transaction up. It is a no-op when none is open.
	Rollback() error
	// InTransaction reports whether a transaction is open.
	InTransaction() bool
	// Savepoint marks the state that RollbackTo goes back to. There is one
	// level: Release or RollbackTo ends it.
	Savepoint() error
	Release() error
	RollbackTo() error

	// Get is the stored row, dead or alive, as the open transaction sees it. A row
	// that is damaged (IsDamagedRow) is found, with an error.
	Get(group, key string) (row kv.Row, found bool, err error)
	// Head is Get without the row's value, which may be large and is not read: how many
	// bytes it has is returned. It costs a small part of what Get costs then.
	Head(group, key string) (row kv.Row, size int, found bool, err error)
	// Upsert writes the row, whether its key exists or not.
	Upsert(row kv.Row) error
	// Update writes a row if its key exists.
	Update(row kv.Row) (changed bool, err error)
	// Insert writes a row whose key must not exist.
	Insert(row kv.Row) error
	// Delete removes a row, dead or alive.
	Delete(group, key string) (changed bool, err error)
	// DeleteGroup removes every row of a group, dead or alive.
	DeleteGroup(group string) (removed int64, err error)
	// HasGroup reports whether the group has a row, dead or alive.
	HasGroup(group string) (bool, error)
	// HasLiveRow reports whether the group has a live row.
	HasLiveRow(group string, now int64) (bool, error)
	// NextGroup is the first group of a range or, with started, the first
	// behind after.
	NextGroup(r kv.Range, after string, started bool) (group string, found bool, err error)
	// Expired is the rows of a range with after < deadline <= now, by their
	// deadlines, at most limit and some megabytes, but one if there is one;
	// math.MinInt64 as after means all. Rows that
	// share the last one's deadline may have been cut off: to meet them, go on
	// from that deadline less one, having removed what came before.
	Expired(r kv.Range, after, now int64, limit int) ([]kv.Row, error)
	// DeadIn is the rows of a range with after < deadline <= now, by their groups
	// and keys, from a position on (that included; nil: all), bounded as Expired's.
	// It costs what the range holds, and Expired what has expired anywhere.
	DeadIn(r kv.Range, from *kv.Key, after, now int64, limit int) ([]kv.Row, error)
	// CountDead is how many rows of all groups have after < deadline <= now, at
	// most limit. It costs no more than that.
	CountDead(after, now int64, limit int) (int, error)
	// AppendLog adds the open transaction's row to the log, whose records are
	// end bytes then, counting those removed.
	AppendLog(row kv.LogRow, end int64) error
	// ReadLog is the rows from a revision on, oldest first: whole rows, at
	// least one if there is one, and no more once they weigh bytes.
	ReadLog(from uint64, bytes int) ([]kv.LogRow, error)
	// OldestLog is the oldest rows of the log without their records.
	OldestLog(rows int) ([]LogMark, error)
	// TrimLog removes the rows up to a revision, which must be the last of one.
	TrimLog(through uint64) error
	// LogExtent is what the log holds.
	LogExtent() (LogExtent, error)

	// Fold moves some of what was committed to where it stays, if a commit leaves that to
	// be done: between transactions, once callers were answered, as much as keeps up with
	// commits, or at rest what takes some milliseconds. again is when it is to be called
	// next, at rest, if nothing is committed meanwhile; 0: there is nothing left to be moved.
	// What fails is told by Health, and tried again: at rest by each call, behind commits after
	// a while.
	Fold(rest bool) (again time.Duration)
	// Folded is the revision up to which all is where it stays.
	Folded() uint64

	// Earliest is the earliest deadline stored, kv.NoDeadline if there is none.
	Earliest() (int64, error)

	// Snapshot pins what is committed right now, for counting elsewhere. Call
	// it between transactions. It must be closed.
	Snapshot() (Snapshot, error)
	// Resynchronise brings the writer to a known state after its owner was
	// stopped at an unknown point: no transaction, nothing half-way.
	Resynchronise() error

	// IsWriteFault reports whether an error of the writer's says that the disk can't be
	// written to, or not be trusted to: it is full, or fails. To try again is of use, once
	// it is mended.
	IsWriteFault(err error) bool
	// IsDamage reports whether it says that a page of the file is damaged.
	IsDamage(err error) bool
}

// Version says how far the database had come when something was read.
type Version uint64

// Database is an open database. Its Writer is its owner's, all else is safe for concurrent
// use.
type Database interface {
	// Writer is the only writing side, nil if the database is read-only.
	Writer() Writer
	// Reads is the read side.
	Reads() Reads
	// GetAt is Reads.Get, with the version that it was read at.
	GetAt(ctx context.Context, group, key string) (row kv.Row, found bool, version Version, err error)
	// Current reports whether no change of a key was committed since the version,
	// and none is being committed. It may say no though there was none, and always
	// does of a read-only database.
	Current(v Version, group, key string) bool
	// Snapshot pins what is committed now. See Snapshot for when it ends by itself.
	Snapshot(ctx context.Context) (Snapshot, error)

	// UUID names this database for good: it was given when the database was made.
	UUID() string
	// Path is the file with links resolved, MemoryPath if there is none.
	Path() string
	// Health is what is wrong with the database's files, nil if nothing is, and since
	// when. It looks. That they are lost it tells alone.
	Health() (since time.Time, err error)
	// Figures is how the database is. It waits for nothing, but for the length of a list's
	// lock, and may be called at any time.
	Figures() Figures

	// Unfolded is about how many bytes of memory have what was committed and is not where it
	// stays yet: see Writer.Fold.
	Unfolded() int64

	// Backup writes a whole copy to a file that is not there.
	Backup(ctx context.Context, path string, progress Progress) error
	// Check looks at everything that the database holds, at one moment, and writes
	// nothing. verify judges a row of the log by itself. What is wrong is in the
	// report; an error says that the check could not be made.
	Check(ctx context.Context, verify func(kv.LogRow) error, progress Progress) (kv.CheckReport, error)
	// Compact gives back what the database does not need. It is the writer's owner that
	// calls it, between transactions.
	Compact(ctx context.Context, progress Progress) (kv.Compaction, error)
	// EndOperations has the backups, checks and compactions under way end, and lets none
	// begin. It waits for none of them.
	EndOperations()

	// Close interrupts running reads, ends open scans and snapshots, rolls back what the
	// writer left open, and gives the file up. The writer's owner must be done with it.
	// Calling it again is harmless and gives the same answer.
	Close() error
}
