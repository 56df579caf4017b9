package kv

import (
	"errors"
	"fmt"
)

// What a call on a healthy store can answer.
var (
	// NotFoundError: no such key, or it has expired.
	NotFoundError = errors.New("not found")
	// QuotaExceededError: the write would exceed its namespace's quota.
	QuotaExceededError = errors.New("quota exceeded")
)

// What a misused call is told. Nothing was written.
var (
	InvalidNamespaceError = errors.New("invalid namespace")
	InvalidQuotaError     = errors.New("invalid quota")
	InvalidOptionError    = errors.New("invalid option")
	InvalidPageError      = errors.New("invalid page")
	// InvalidScanError: a negative limit, or a range of keys upside down.
	InvalidScanError = errors.New("invalid scan")
	// InvalidCursorError: a cursor of another store or another scan, or one
	// that was tampered with.
	InvalidCursorError = errors.New("invalid cursor")
	// TooLargeError: a group, key, value or commit is over its size limit.
	TooLargeError = errors.New("too large")
	// InvalidAddressError: a message to an address that is empty, too long, or reserved.
	InvalidAddressError = errors.New("invalid address")
	// InvalidDeadlineError: a deadline, or the end of a time to live, outside the
	// years 1 to 9999. Microseconds taken for milliseconds make such a year.
	InvalidDeadlineError = errors.New("invalid deadline")
	// NilStoreError: a method of a store that is nil was called, or one of a
	// ScopedStore without a store.
	NilStoreError = errors.New("store instance is nil")
	// ReadOnlyError: a mutation on a store that was opened WithReadOnly.
	ReadOnlyError = errors.New("store is read-only")
	// NotANumberError: an increment of a value that is no decimal 64-bit
	// integer, or whose result would not fit in one.
	NotANumberError = errors.New("not a number")
	// NestedTransactionError: a transaction was begun through the handle of
	// another.
	NestedTransactionError = errors.New("transactions don't nest: make the inner function's calls on the outer one's handle")
	// TransactionEndedError: a transaction's handle was used after its function
	// had returned.
	TransactionEndedError = errors.New("the transaction has ended: its handle is of use within its function only")
)

// ChangedError: something that a transaction scanned has changed since.
var ChangedError = errors.New("changed since it was read")

// SlowConsumerError: a subscription with SlowEnd fell behind.
var SlowConsumerError = errors.New("the subscriber is too slow")

// What a store's life brings about.
var (
	// ClosedError: the store is closed.
	ClosedError = errors.New("store is closed")
	// SnapshotClosedError: the snapshot was closed.
	SnapshotClosedError = errors.New("snapshot is closed")
	// SnapshotExpiredError: the snapshot, or the scan, was ended because it had
	// reached its age limit, or the WAL its bound. Take a new one; a scan goes on from its cursor.
	SnapshotExpiredError = errors.New("snapshot has expired")
	// TooManySnapshotsError: so many snapshots, transactions or loops are open that
	// one has to be closed first.
	TooManySnapshotsError = errors.New("too many open snapshots")
	// UnknownOutcomeError: the write was admitted, but whether it was
	// committed can't be known: its context ended first, or the disk failed
	// during COMMIT. Read to find out; writing the same again is safe.
	UnknownOutcomeError = errors.New("outcome unknown")
	// RolledBackError: the write was undone because its writer failed on the
	// way. Nothing of it was written; it may be tried again.
	RolledBackError = errors.New("rolled back")
)

// What opening a file can answer. It was left as it is.
var (
	NotADatabaseError = errors.New("not a go-store database")
	NewerSchemaError  = errors.New("written by a newer version of go-store")
	// OlderSchemaError: the layout is an older one, and the store read-only: open it
	// once for writing, which brings it up to date.
	OlderSchemaError   = errors.New("written by an older version of go-store")
	EncodingError      = errors.New("text encoding is not UTF-8")
	TruncatedFileError = errors.New("file is truncated")
	// ForeignFileError: a file that is not the store's stands where one of its
	// sidecars goes (-wal, -shm, -journal, -lock), or is a link.
	ForeignFileError = errors.New("not a file of the store's")
	// ForeignSchemaError: the database's schema has something that would change
	// what is written, such as a trigger on the store's tables.
	ForeignSchemaError = errors.New("the schema is not the store's alone")
	// MissingWALError: the database was copied, or moved, without its -wal file
	// while it was in use, or that file was removed: commits are missing.
	MissingWALError = errors.New("the write-ahead log is missing")
	// StaleWALError: the -wal or -journal file beside the database is not its
	// own: it was left by a database that lay here before.
	StaleWALError = errors.New("the write-ahead log is another database's")
	// UnrecoveredError: the store was not closed, and can't be read without
	// writing to it: open it once for writing.
	UnrecoveredError = errors.New("the store was not closed")
)

// What can become of a file while it is open.
var (
	// FileLostError: the file, or one of its sidecars, was removed, replaced,
	// moved or truncated while the store had it open. Nothing is written then.
	FileLostError = errors.New("the store has lost its file")
	// DegradedError: the disk can't be written to: it is full, or fails. The store
	// answers reads, refuses writes, and tries again by itself.
	DegradedError = errors.New("the store can't write to its disk")
	// UnfoldedError: what was committed can't be written to the table of entries. It is in
	// the log, and safe; reads see it, and writes go on until there is no more room for it
	// in memory. The store tries again by itself.
	UnfoldedError = errors.New("the store can't write to its table what its log has")
	// CheckpointError: what is committed can't be moved from the -wal into the database. It
	// is safe in the -wal, which grows; reads and writes go on. The store tries again by
	// itself.
	CheckpointError = errors.New("the store can't move what is committed from the -wal into the database")
	// IncompleteFileError: Close could not move everything from the -wal file
	// into the database, which are to be kept together.
	IncompleteFileError = errors.New("the database file is not complete without its -wal file")
)

// LockedError: another store, in this process or another, owns the file.
// Test for it with errors.As on *LockedError.
type LockedError struct {
	Path string // the database
	PID  int    // the owner's process; 0 if it could not be read
}

func (e *LockedError) Error() string {
	owner := "another process"
	if e.PID != 0 {
		owner = fmt.Sprintf("process %d", e.PID)
	}
	return fmt.Sprintf("%s is in use by %s; close it there, or open it here with WithReadOnly", e.Path, owner)
}

// RevisionMismatchError: a key's revision is not the one that a conditional
// write wanted. Nothing was written. Test for it with errors.As.
type RevisionMismatchError struct {
	Group, Key string
	Expected   uint64 // 0: absent; AnyRevision: there
	Current    uint64 // 0: absent
}

func (e *RevisionMismatchError) Error() string {
	return fmt.Sprintf("%s/%s: %s, expected %s; read it again and decide anew",
		e.Group, e.Key, revisionText(e.Current), revisionText(e.Expected))
}

func revisionText(revision uint64) string {
	switch revision {
	case 0:
		return "absent"
	case AnyRevision:
		return "present"
	default:
		return fmt.Sprintf("revision %d", revision)
	}
}

// ConflictError: a transaction lost against others as often as it is tried.
// Nothing was written. Test for it with errors.As.
type ConflictError struct {
	Attempts int
	Last     error // the last conflict
}

func (e *ConflictError) Error() string {
	return fmt.Sprintf("gave up after %d attempts that others got ahead of; the last: %v", e.Attempts, e.Last)
}

func (e *ConflictError) Unwrap() error { return e.Last }

// CompactedError: revisions that were asked for are no longer in the log. Test
// for it with errors.As.
type CompactedError struct {
	Requested uint64
	Oldest    uint64 // the oldest revision that can be had
}

func (e *CompactedError) Error() string {
	return fmt.Sprintf("revision %d is no longer in the log, the oldest is %d: "+
		"begin from the current state, or keep more with WithHistory", e.Requested, e.Oldest)
}

// FutureRevisionError: a revision was asked for that nothing has reached yet:
// the store is not the one that it came from, or was restored from a backup.
// Test for it with errors.As.
type FutureRevisionError struct {
	Requested uint64
	Current   uint64
}

func (e *FutureRevisionError) Error() string {
	return fmt.Sprintf("revision %d lies in the future, the current one is %d: "+
		"is this the store that the revision came from? begin from the current state", e.Requested, e.Current)
}

// CorruptLogError: a commit in the log can't be read. The entries themselves
// are not concerned, unless it is Unfolded. Test for it with errors.As.
type CorruptLogError struct {
	First, Last uint64 // the revisions of its row; both 0: they can't be told
	Reason      string
	Unfolded    bool // the table has not got yet what it did: the log alone has that
}

func (e *CorruptLogError) Error() string {
	where := fmt.Sprintf("the log's row of revisions %d to %d", e.First, e.Last)
	if e.First == 0 && e.Last == 0 {
		where = "the log of changes"
	}
	if e.Unfolded {
		return fmt.Sprintf("%s: %s, and entries have not got yet what it did: restore a backup, "+
			"or open the store once WithDiscardedLog, which applies what can be read of the log and begins it anew", where, e.Reason)
	}
	return fmt.Sprintf("%s: %s; no entry is lost by it: restore a backup, "+
		"or open the store once WithDiscardedLog, which begins the log anew", where, e.Reason)
}

// CodecError: a codec could not make bytes of a value, or a value of the bytes
// that are stored. Nothing was written. Test for it with errors.As.
type CodecError struct {
	Group, Key string
	Decoding   bool  // the stored bytes; else the value
	Err        error // the codec's
}

func (e *CodecError) Error() string {
	if e.Decoding {
		return fmt.Sprintf("%s/%s: decode what is stored: %v", e.Group, e.Key, e.Err)
	}
	return fmt.Sprintf("%s/%s: encode the value: %v", e.Group, e.Key, e.Err)
}

func (e *CodecError) Unwrap() error { return e.Err }
