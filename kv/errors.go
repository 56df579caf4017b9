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
	// TooLargeError: a group, key, value or commit is over its size limit.
	TooLargeError = errors.New("too large")
	// ReadOnlyError: a mutation on a store that was opened WithReadOnly.
	ReadOnlyError = errors.New("store is read-only")
)

// What a store's life brings about.
var (
	// ClosedError: the store is closed.
	ClosedError = errors.New("store is closed")
	// UnknownOutcomeError: the write was admitted, but whether it was
	// committed can't be known: its context ended first, or the disk failed
	// during COMMIT. Read to find out; writing the same again is safe.
	UnknownOutcomeError = errors.New("outcome unknown")
	// RolledBackError: the write was undone because its writer failed on the
	// way. Nothing of it was written; it may be tried again.
	RolledBackError = errors.New("rolled back")
)

// What opening a file can answer.
var (
	NotADatabaseError  = errors.New("not a go-store database")
	NewerSchemaError   = errors.New("written by a newer version of go-store")
	EncodingError      = errors.New("text encoding is not UTF-8")
	TruncatedFileError = errors.New("file is truncated")
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
