package api_test

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"forge.lthn.ai/core/go-store/api"
)

// A deadline in microseconds that is taken for milliseconds lies tens of thousands
// of years ahead: it is refused, and nothing is written.
func Example_invalidDeadline() {
	store, err := api.New(":memory:")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer store.Close()
	const microseconds = 1_900_000_000_000_000
	_, err = store.Batch(new(api.Batch).SetUntil("sessions", "ann", "v", time.UnixMilli(microseconds)))
	fmt.Println(errors.Is(err, api.InvalidDeadlineError))
	// Output: true
}

// A store that is nil says so instead of panicking.
func Example_nilStore() {
	var store *api.Store
	_, err := store.Get("group", "key")
	fmt.Println(errors.Is(err, api.NilStoreError), err)
	// Output: true store.Get: group/key: store instance is nil
}

// Errors are told apart by errors.Is and errors.As; each says in words what to do.
func Example_errors() {
	advice := func(err error) string {
		var mismatch *api.RevisionMismatchError
		var corrupt *api.CorruptLogError
		is := func(targets ...error) bool {
			return slices.ContainsFunc(targets, func(target error) bool { return errors.Is(err, target) })
		}
		switch {
		case err == nil:
			return "go on"
		case errors.As(err, &mismatch) && mismatch.Expected == api.AnyRevision:
			return "make the key first"
		case errors.As(err, &mismatch), errors.As(err, new(*api.ConflictError)):
			return "read again and decide anew"
		case is(api.NotFoundError):
			return "there is no such key"
		case is(api.BusyError, api.TooManySnapshotsError, api.TooManyActorsError, api.SnapshotExpiredError, api.RolledBackError):
			return "try again"
		case is(api.UnknownOutcomeError):
			return "read whether it was written"
		case is(api.QuotaExceededError, api.TooLargeError):
			return "write less"
		case is(api.DegradedError, api.FileLostError, api.UnfoldedError, api.CheckpointError):
			return "look after the disk, or the files"
		case is(api.InvalidNamespaceError, api.InvalidQuotaError, api.InvalidOptionError, api.InvalidPageError, api.InvalidScanError,
			api.InvalidCursorError, api.InvalidDeadlineError, api.InvalidAddressError, api.InvalidTargetError, api.NilStoreError,
			api.ReadOnlyError, api.NotANumberError, api.NestedTransactionError, api.TransactionEndedError, api.SnapshotClosedError,
			api.DuplicateIDError, api.UnknownMessageError, api.NotSubscribedError, api.NotPermittedError):
			return "mend the program"
		case is(api.ClosedError, api.StoppedError, api.IncompleteFileError):
			return "open the store again"
		case is(api.NotADatabaseError, api.NewerSchemaError, api.OlderSchemaError, api.EncodingError, api.ForeignFileError,
			api.ForeignSchemaError, api.UnrecoveredError):
			return "look what file that is"
		case is(api.TruncatedFileError, api.MissingWALError, api.StaleWALError, api.DamagedError), errors.As(err, &corrupt):
			return "restore a backup"
		default:
			return "tell somebody"
		}
	}
	store, err := api.New(":memory:")
	fmt.Println(advice(err))
	_, err = store.Get("users", "ada")
	fmt.Println(advice(err))
	_, err = store.Batch(new(api.Batch).IfPresent("users", "ada").Set("users", "ada", "admin"))
	fmt.Println(advice(err))
	_, err = store.GetPage("users", -1, 10)
	fmt.Println(advice(err))
	fmt.Println(advice(store.Close()), "/", advice(store.Set("users", "ada", "admin")))
	// Output:
	// go on
	// there is no such key
	// make the key first
	// mend the program
	// go on / open the store again
}
