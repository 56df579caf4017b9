package api

import (
	"fmt"

	"forge.lthn.ai/core/go-store/kv"
)

// What a call on a healthy store can answer. Test with errors.Is.
var (
	// NotFoundError: there is no such key, or it has expired.
	NotFoundError = kv.NotFoundError
	// QuotaExceededError: the write would exceed its namespace's quota.
	// Nothing was written.
	QuotaExceededError = kv.QuotaExceededError
)

// What a misused call is told. Nothing was written. Test with errors.Is.
var (
	InvalidNamespaceError = kv.InvalidNamespaceError // not ^[a-zA-Z0-9-]+$
	InvalidQuotaError     = kv.InvalidQuotaError     // a negative limit
	InvalidOptionError    = kv.InvalidOptionError    // an option outside its range, or two that exclude each other
	InvalidPageError      = kv.InvalidPageError      // a negative offset or limit
	InvalidScanError      = kv.InvalidScanError      // a negative limit, or a range of keys upside down
	InvalidCursorError    = kv.InvalidCursorError    // of another store or another scan, or tampered with
	TooLargeError         = kv.TooLargeError         // a group, key, value or commit over its limit
	InvalidDeadlineError  = kv.InvalidDeadlineError  // a deadline, or the end of a time to live, outside the years 1 to 9999
	InvalidAddressError   = kv.InvalidAddressError   // a message to an address that is empty, too long, or reserved
	NilStoreError         = kv.NilStoreError         // a method of a nil Store or ScopedStore
	ReadOnlyError         = kv.ReadOnlyError         // a mutation on a store opened WithReadOnly
	NotANumberError       = kv.NotANumberError       // an Increment of something else, or past 64 bits

	// NestedTransactionError: a transaction was begun through the handle of
	// another one.
	NestedTransactionError = kv.NestedTransactionError
	// TransactionEndedError: a Transaction was used after its function had
	// returned.
	TransactionEndedError = kv.TransactionEndedError
)

// SlowConsumerError ends a subscription with SlowEnd that fell behind. Test with
// errors.Is.
var SlowConsumerError = kv.SlowConsumerError

// What a store's life brings about. Test with errors.Is.
var (
	// ClosedError: the store is closed.
	ClosedError = kv.ClosedError
	// SnapshotClosedError: the snapshot was closed.
	SnapshotClosedError = kv.SnapshotClosedError
	// SnapshotExpiredError: the snapshot had reached its age limit, or a scan had
	// and was in the way, or either was when the write-ahead log had reached its bound
	// (WithSnapshotAge). Take a new one; a scan goes on from its cursor.
	SnapshotExpiredError = kv.SnapshotExpiredError
	// TooManySnapshotsError: 256 snapshots are open, or 512 with transactions
	// that have read, subscriptions that read the state, and loops over scans of
	// more than some hundred keys. Close one first.
	TooManySnapshotsError = kv.TooManySnapshotsError
	// UnknownOutcomeError: the write was admitted, but it can't be told whether
	// it was committed: its context ended first, or the disk failed during
	// COMMIT. Read to find out.
	UnknownOutcomeError = kv.UnknownOutcomeError
	// RolledBackError: a fault undid the write before it was committed.
	// Nothing of it was written; it may be tried again.
	RolledBackError = kv.RolledBackError
)

// What only senders of messages to a store are told (package protocol). Test
// with errors.Is.
var (
	BusyError           = kv.BusyError           // the store is at its limit of requests in flight: try again later
	DuplicateIDError    = kv.DuplicateIDError    // the sender has a request or subscription with that ID under way
	UnknownMessageError = kv.UnknownMessageError // none of the protocol
	NotSubscribedError  = kv.NotSubscribedError  // the sender has no subscription with that ID
	NotPermittedError   = kv.NotPermittedError   // outside the namespace of the actor that was asked
	// TooManyActorsError: 4,096 actors of namespaces live, one for each namespace and
	// quota that PID or OpenNamespace has named. Stop those that are not needed.
	TooManyActorsError = kv.TooManyActorsError
	// StoppedError: an actor of the store was stopped from outside, and the store has ended
	// with it. Nothing acknowledged is lost; open it anew.
	StoppedError = kv.StoppedError
)

// What New can find wrong with a file. It was left as it is. Test with
// errors.Is.
var (
	NotADatabaseError  = kv.NotADatabaseError  // no SQLite database, or another program's
	NewerSchemaError   = kv.NewerSchemaError   // written by a newer version of go-store
	OlderSchemaError   = kv.OlderSchemaError   // read-only: of an older layout, and to be opened once for writing
	EncodingError      = kv.EncodingError      // a UTF-16 database
	TruncatedFileError = kv.TruncatedFileError // shorter than its header says
	ForeignFileError   = kv.ForeignFileError   // a sidecar's name leads to a link, or to what the store has not made
	ForeignSchemaError = kv.ForeignSchemaError // a trigger, or the like, on the store's tables
	MissingWALError    = kv.MissingWALError    // copied or moved without its -wal file while in use
	StaleWALError      = kv.StaleWALError      // the -wal or -journal beside it was left by another database
	UnrecoveredError   = kv.UnrecoveredError   // read-only: not closed, and to be opened once for writing
)

// What can become of a file while a store has it open. Test with errors.Is.
var (
	// FileLostError: the file or one of its sidecars was removed, replaced, moved
	// or truncated by another program. Writes are refused from then on; nothing of
	// the refused ones was written. See Store.Health.
	FileLostError = kv.FileLostError
	// DegradedError: the disk is full, or fails. Reads go on; writes are refused
	// until one has succeeded, which the store tries by itself, at least once a
	// second. Of a refused one nothing was written; one whose error is an
	// UnknownOutcomeError too may be there. See Store.Health and Store.WatchHealth. Of a
	// Compact it says that there is no room for its copy, or that this can't be written.
	DegradedError = kv.DegradedError
	// UnfoldedError: what was committed can't be written to the table of entries. It is in
	// the log, and safe; reads see it, and writes go on until there is no more room for it in
	// memory. The store tries again by itself, once a second; Health says what the disk has
	// answered.
	UnfoldedError = kv.UnfoldedError
	// CheckpointError: what is committed can't be moved from the -wal into the database
	// file, whose writes the disk refuses. It is safe in the -wal; reads and writes go on, and
	// the -wal grows without a bound. The store tries again by itself, once a second; Health
	// says what the disk has answered.
	CheckpointError = kv.CheckpointError
	// IncompleteFileError is what Close returns when a reader of another process
	// kept it from moving all commits into the database file: nothing is lost, but
	// the file and its -wal belong together until a store is opened on them again.
	IncompleteFileError = kv.IncompleteFileError
)

// InvalidTargetError is what Backup, Restore and Salvage are told of a target that is the
// store itself or a file of it, no regular file, or one with a -wal beside it. Nothing was
// changed. Test with errors.Is.
var InvalidTargetError = kv.InvalidTargetError

// DamagedError: a page of the file can't be read as it is. A read, a write, a fold, New and
// Close say so of what they have met, Backup and Restore of what they were to copy, and then
// nothing was changed. What lies in other pages can be read. Store.Check and gostore check say
// what is wrong, Salvage makes a new store of what can be read. Test with errors.Is.
var DamagedError = kv.DamagedError

// LockedError is what New returns, as a *LockedError for errors.As, while
// another store owns the file. PID is the owner's process, 0 if unknown.
type LockedError = kv.LockedError

// RevisionMismatchError is why a conditional write wrote nothing: the Group and
// Key, the Expected revision and the Current one, 0 for a key that is not there.
// Test for it with errors.As on *RevisionMismatchError.
type RevisionMismatchError = kv.RevisionMismatchError

// AnyRevision is what RevisionMismatchError expected of a key that had to be
// there, whatever its revision.
const AnyRevision = kv.AnyRevision

// ConflictError is what Transaction returns, as a *ConflictError for errors.As,
// when others got ahead of it in all its Attempts. Nothing was written.
type ConflictError = kv.ConflictError

// CompactedError is the answer to a request for revisions that the log does not
// hold any more: the revision Requested, and the Oldest that can be had. Test
// for it with errors.As on *CompactedError.
type CompactedError = kv.CompactedError

// FutureRevisionError is the answer to a request for a revision that the store
// has not reached: the one Requested, and the Current one. Test for it with
// errors.As on *FutureRevisionError.
type FutureRevisionError = kv.FutureRevisionError

// CorruptLogError says which commit in the log can't be read, the revisions
// First to Last, and the Reason. Test for it with errors.As on *CorruptLogError.
type CorruptLogError = kv.CorruptLogError

// CodecError is why a typed value could not be read (Decoding) or written: the
// Group and Key, and the codec's own Err, which errors.Is and errors.As find too.
// Nothing was written. Test for it with errors.As on *CodecError.
type CodecError = kv.CodecError

// wrap puts the name of the function before an error.
func wrap(function string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("store.%s: %w", function, err)
}
