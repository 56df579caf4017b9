package storage

import (
	"context"
	"errors"
	"fmt"
	"time"

	"forge.lthn.ai/core/go-store/kv"
)

// indeterminateError marks a COMMIT of which it can't be known whether it
// happened.
type indeterminateError struct{ cause error }

func (e *indeterminateError) Error() string { return e.cause.Error() }
func (e *indeterminateError) Unwrap() error { return e.cause }

// IsIndeterminate reports whether err is that of a Commit after which it
// can't be known whether the transaction was committed: the disk failed while its
// frames were written or synced, so that a crash may still find them whole.
func IsIndeterminate(err error) bool {
	if err == nil { // of almost every COMMIT; what follows allocates
		return false
	}
	var indeterminate *indeterminateError
	return errors.As(err, &indeterminate)
}

// Indeterminate marks the error of a COMMIT of which it can't be known whether it
// happened.
func Indeterminate(cause error) error { return &indeterminateError{cause} }

// damagedRow is a row that can't be read.
type damagedRow struct{ reason error }

func (e *damagedRow) Error() string { return e.reason.Error() }
func (e *damagedRow) Unwrap() error { return e.reason }

// IsDamagedRow reports whether err is that of a row that is there and can't be
// read. It can be written over, and deleted.
func IsDamagedRow(err error) bool {
	var damaged *damagedRow
	return errors.As(err, &damaged)
}

// DamagedRow marks the error of a row that is there and can't be read.
func DamagedRow(reason error) error { return &damagedRow{reason} }

// errDamagedPage says what to do, and is kv.DamagedError.
var errDamagedPage = fmt.Errorf("check the store (Store.Check, gostore check), and salvage what it has: %w", kv.DamagedError)

// DamagedPage marks an error that says that a page of the file can't be read as it is, once.
func DamagedPage(cause error) error {
	if errors.Is(cause, kv.DamagedError) {
		return cause
	}
	return fmt.Errorf("%w: %w", cause, errDamagedPage)
}

// ErrRolledBack is what a savepoint finds when SQLite has given up the whole
// transaction, as it does after some storage faults.
var ErrRolledBack = errors.New("the transaction is no longer open")

// ContextError is what a call answers whose context has ended, if it has.
func ContextError(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("gave up: %w", err)
	}
	return nil
}

// BothFaults is two faults as one: errors.Is finds either, and it is as old as the older.
// A nil error is no fault.
func BothFaults(since time.Time, err error, otherSince time.Time, other error) (time.Time, error) {
	switch {
	case other == nil:
		return since, err
	case err == nil:
		return otherSince, other
	case otherSince.Before(since):
		since = otherSince
	}
	return since, fmt.Errorf("%w; and %w", err, other)
}
