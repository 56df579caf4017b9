package sqlite

import (
	"errors"
	"fmt"

	"forge.lthn.ai/core/go-store/internal/storage"

	"zombiezen.com/go/sqlite"
)

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
		return storage.Indeterminate(err)
	}
}

// isStorageFault reports whether err says that the storage failed, rather than
// that one request could not be carried out. SQLite may have rolled the whole
// transaction back, so it is to be given up whole.
func isStorageFault(err error) bool {
	switch code(err) {
	case sqlite.ResultFull, sqlite.ResultIOErr, sqlite.ResultNoMem, sqlite.ResultCorrupt,
		sqlite.ResultNotADB, sqlite.ResultCantOpen, sqlite.ResultReadOnly, sqlite.ResultBusy,
		sqlite.ResultLocked, sqlite.ResultProtocol, sqlite.ResultInternal, sqlite.ResultPerm,
		sqlite.ResultAuth, sqlite.ResultInterrupt, sqlite.ResultAbort, sqlite.ResultSchema:
		return true
	}
	return false
}

// isWriteFault reports whether err says that the disk can't be written to, or not be
// trusted to: it is full, or fails. To try again is of use, once it is mended.
func isWriteFault(err error) bool {
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

// isDamagedPage reports whether err says that a page of the file is damaged.
func isDamagedPage(err error) bool { return code(err) == sqlite.ResultCorrupt }

// explainDamage marks what SQLite says of a damaged page, or header, and leaves other errors as
// they are.
func explainDamage(err error) error {
	if isDamaged(err) {
		return storage.DamagedPage(err)
	}
	return err
}

func isDamaged(err error) bool { return isDamagedPage(err) || code(err) == sqlite.ResultNotADB }

// code is the primary result code of err: ResultOK for nil, ResultError for
// errors that don't come from SQLite.
func code(err error) sqlite.ResultCode { return sqlite.ErrCode(err).ToPrimary() }

// Texts that callers of a scan see, as the original's did.
func scanRowError(err error) error       { return fmt.Errorf("scan row: %w", err) }
func rowsIterationError(err error) error { return fmt.Errorf("rows iteration: %w", err) }
func ensureSchemaError(err error) error  { return fmt.Errorf("ensure schema: %w", err) }
