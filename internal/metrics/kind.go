package metrics

import (
	"context"
	"errors"
	"slices"
	"strings"

	"forge.lthn.ai/core/go-store/kv"
)

// Kind is what a request asks for.
type Kind uint8

// The kinds of reads, and a transaction. Those of mutations follow: see Of.
const (
	Get Kind = iota
	GetMany
	GroupExists
	Count
	Page
	Scan
	Groups
	Usage
	Stats
	Snapshot
	Transaction
	mutations
	kinds = mutations + Kind(kv.Batch) + 1
)

// Of is the kind of a mutation.
func Of(k kv.Kind) Kind { return mutations + Kind(k) }

var names = [kinds]string{
	Get: "get", GetMany: "get_many", GroupExists: "group_exists", Count: "count", Page: "page", Scan: "scan", Groups: "groups",
	Usage: "usage", Stats: "stats", Snapshot: "snapshot", Transaction: "transaction",
	mutations + Kind(kv.Set): "set", mutations + Kind(kv.Delete): "delete", mutations + Kind(kv.DeleteGroup): "delete_group",
	mutations + Kind(kv.DeletePrefix): "delete_prefix", mutations + Kind(kv.Touch): "touch", mutations + Kind(kv.Increment): "increment",
	mutations + Kind(kv.Tell): "tell", mutations + Kind(kv.PurgeExpired): "purge_expired", mutations + Kind(kv.Batch): "batch",
}

func (k Kind) String() string { return names[k] }

// Kinds are the names of all kinds.
func Kinds() []string { return names[:] }

// The results but kv.ResultOK, by number.
const (
	notFound = iota
	conflict
	quota
	invalid
	busy
	cancelled
	unknown
	degraded
	closed
	other
	results
)

var resultNames = [results]string{
	kv.ResultNotFound, kv.ResultConflict, kv.ResultQuota, kv.ResultInvalid, kv.ResultBusy,
	kv.ResultCancelled, kv.ResultUnknown, kv.ResultDegraded, kv.ResultClosed, kv.ResultError,
}

// causes says of which errors a result is made. The first line that fits counts: a write
// whose outcome is unknown is that first of all, whatever the reason.
var causes = []struct {
	result int
	errors []error
}{
	{unknown, []error{kv.UnknownOutcomeError}},
	{degraded, []error{kv.DegradedError, kv.FileLostError}},
	{quota, []error{kv.QuotaExceededError}},
	{busy, []error{kv.BusyError, kv.TooManySnapshotsError, kv.TooManyActorsError}},
	{closed, []error{kv.ClosedError, kv.SnapshotClosedError, kv.SnapshotExpiredError}},
	{cancelled, []error{context.Canceled, context.DeadlineExceeded}},
	{conflict, []error{kv.ChangedError}},
	{invalid, []error{kv.TooLargeError, kv.InvalidOptionError, kv.InvalidPageError, kv.InvalidScanError, kv.InvalidCursorError,
		kv.InvalidAddressError, kv.InvalidDeadlineError, kv.InvalidNamespaceError, kv.InvalidQuotaError, kv.NotANumberError,
		kv.ReadOnlyError, kv.NilStoreError, kv.NestedTransactionError, kv.TransactionEndedError}},
	{notFound, []error{kv.NotFoundError}},
}

// resultOf is the number of an error's result.
func resultOf(err error) int {
	if err == kv.NotFoundError { //nolint:errorlint // as most are; whatever wraps it is found below
		return notFound
	}
	var mismatch *kv.RevisionMismatchError
	var vain *kv.ConflictError
	if errors.As(err, &mismatch) || errors.As(err, &vain) {
		return conflict
	}
	for _, cause := range causes {
		for _, target := range cause.errors {
			if errors.Is(err, target) {
				return cause.result
			}
		}
	}
	return other
}

// Result is the name of what an error says came of a request.
func Result(err error) string {
	if err == nil {
		return kv.ResultOK
	}
	return resultNames[resultOf(err)]
}

// ordered are the kinds in the order of their names.
var ordered = func() (all []Kind) {
	for k := range kinds {
		all = append(all, k)
	}
	slices.SortFunc(all, func(a, b Kind) int { return strings.Compare(names[a], names[b]) })
	return all
}()
