package storage

import (
	"errors"
	"fmt"

	"zombiezen.com/go/sqlite"
)

// indeterminateError marks a COMMIT of which nobody can know whether it
// happened.
type indeterminateError struct{ cause error }

func (e *indeterminateError) Error() string { return e.cause.Error() }
func (e *indeterminateError) Unwrap() error { return e.cause }

// IsIndeterminate reports whether err is that of a Commit after which nobody
// can know whether the transaction was committed: the disk failed while its
// frames were written or synced, so that a crash may still find them whole.
func IsIndeterminate(err error) bool {
	var indeterminate *indeterminateError
	return errors.As(err, &indeterminate)
}

// commitError classifies what COMMIT returned. Definite are: a transaction that
// is still open (the caller rolls it back), a disk that was full (the frame
// that commits is written last; see disown), and refusals that come before anything is
// written. All else is unknown: the frames may be in the WAL, whole but unseen.
func commitError(err error, stillOpen bool) error {
	if stillOpen {
		return err
	}
	switch sqlite.ErrCode(err).ToPrimary() {
	case sqlite.ResultFull, sqlite.ResultBusy, sqlite.ResultLocked, sqlite.ResultReadOnly, sqlite.ResultConstraint:
		return err
	default:
		return &indeterminateError{cause: err}
	}
}

// IsStorageFault reports whether err says that the storage failed, rather than
// that one request could not be carried out. SQLite may have rolled the whole
// transaction back, so it is to be given up whole.
func IsStorageFault(err error) bool {
	switch code(err) {
	case sqlite.ResultFull, sqlite.ResultIOErr, sqlite.ResultNoMem, sqlite.ResultCorrupt,
		sqlite.ResultNotADB, sqlite.ResultCantOpen, sqlite.ResultReadOnly, sqlite.ResultBusy,
		sqlite.ResultLocked, sqlite.ResultProtocol, sqlite.ResultInternal, sqlite.ResultPerm,
		sqlite.ResultAuth, sqlite.ResultInterrupt, sqlite.ResultAbort, sqlite.ResultSchema:
		return true
	}
	return false
}

// IsWriteFault reports whether err says that the disk can't be written to, or not be
// trusted to: it is full, or fails. To try again is of use, once it is mended.
func IsWriteFault(err error) bool {
	if resync := (*resyncError)(nil); errors.As(err, &resync) {
		return true
	}
	switch full := sqlite.ErrCode(err); full.ToPrimary() {
	case sqlite.ResultFull, sqlite.ResultCantOpen, sqlite.ResultReadOnly, sqlite.ResultPerm, sqlite.ResultNoMem:
		return true
	case sqlite.ResultIOErr:
		return full != sqlite.ResultIOErrRead && full != sqlite.ResultIOErrShortRead // one page's fault
	default:
		return false
	}
}

// IsDamage reports whether err says that a page of the file is damaged.
func IsDamage(err error) bool { return code(err) == sqlite.ResultCorrupt }

// code is the primary result code of err: ResultOK for nil, ResultError for
// errors that don't come from SQLite.
func code(err error) sqlite.ResultCode { return sqlite.ErrCode(err).ToPrimary() }

// errRolledBack is what a savepoint finds when SQLite has given up the whole
// transaction, as it does after some storage faults.
var errRolledBack = errors.New("the transaction is no longer open")

// Texts that callers of a scan see, as the original's did.
func scanRowError(err error) error       { return fmt.Errorf("scan row: %w", err) }
func rowsIterationError(err error) error { return fmt.Errorf("rows iteration: %w", err) }
func ensureSchemaError(err error) error  { return fmt.Errorf("ensure schema: %w", err) }
