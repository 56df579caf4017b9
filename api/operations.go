package api

import (
	"context"
	"fmt"

	"forge.lthn.ai/core/go-store/engine"
	"forge.lthn.ai/core/go-store/kv"
)

// What a Check can find: see Finding.
const (
	FindingStructure = kv.FindingStructure // what SQLite finds: pages, cells, indexes, its own constraints
	FindingLog       = kv.FindingLog       // a record that can't be read, revisions or sizes that don't join
	FindingRow       = kv.FindingRow       // entries that can't be read, found, or expired
	FindingCount     = kv.FindingCount     // two ways of counting the same that disagree
	FindingSchema    = kv.FindingSchema    // something of the store's own that is missing, or not as it should be
	FindingTrigger   = kv.FindingTrigger   // a program within the file that is not the store's
)

// Finding is one thing that is wrong: its Kind, and what it is in words.
type Finding = kv.Finding

// CheckReport is what Check looked at and found: Findings, none if the store is
// Whole; Foreign tables, indexes and views in the file, which do no harm; the
// number of Pages, Entries (expired ones too) and LogRecords; and the Revision at
// which all of it was read.
type CheckReport = kv.CheckReport

// Compaction is how many bytes a store's file took Before and takes After.
type Compaction = kv.Compaction

// OperationOption changes how Backup, Restore, Check, Compact and Salvage work.
type OperationOption func(*engine.Operation)

// WithProgress has an operation tell how much of it is done, in bytes, by the
// goroutine that called it: many times a second, and the operation waits for each
// call. The total may be an estimate.
func WithProgress(progress func(done, total int64)) OperationOption {
	return func(o *engine.Operation) { o.Progress = progress }
}

// WithForce has Restore replace a regular file that can't be told to be a go-store
// database any more, or has other names; and Salvage read a file whose header says
// that it is another program's, of a newer version, or in another encoding, which
// may be the damage. Other operations ignore it.
func WithForce() OperationOption {
	return func(o *engine.Operation) { o.Force = true }
}

var errNilContext = fmt.Errorf("the context is nil: %w", InvalidOptionError)

func operation(ctx context.Context, options []OperationOption) (o engine.Operation, err error) {
	if ctx == nil {
		return o, errNilContext
	}
	for _, option := range options {
		if option == nil {
			return o, fmt.Errorf("option is nil: %w", InvalidOptionError)
		}
		option(&o)
	}
	return o, nil
}

// both is a context that ends with either.
func both(ctx, other context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	if other.Err() != nil {
		cancel(other.Err()) // at once: AfterFunc has a goroutine do it
	}
	stop := context.AfterFunc(other, func() { cancel(other.Err()) })
	return ctx, func() { stop(); cancel(nil) }
}

// Backup copies everything that is committed now to the file path: entries with
// their expiries and revisions, and the log of changes. Reads and writes go on
// meanwhile, and the copy is of one moment. It works for a store in memory, and
// for one opened WithReadOnly beside its owner.
//
// The copy is written beside path, verified, synced, and takes its name last: one
// plain file, that New opens. A new file has the mode of the source. A file that is
// there is replaced, and keeps its mode and owner, if it is a go-store database
// that no process has open and that has no -wal file beside it.
//
// What is committed meanwhile stays in the source's -wal file until the end: it
// grows by as much.
//
// Errors: InvalidTargetError, NotADatabaseError and *LockedError for a path that
// is not replaced, DamagedError if the source is not whole (see Check and
// Salvage), ClosedError, and the context's. The path is untouched then.
func (s *Store) Backup(ctx context.Context, path string, options ...OperationOption) error {
	if err := s.missing(); err != nil {
		return wrap("Backup", err)
	}
	o, err := operation(ctx, options)
	if err != nil {
		return wrap("Backup", err)
	}
	ctx, cancel := both(ctx, s.context())
	defer cancel()
	return wrap("Backup", s.inner().Backup(ctx, path, o))
}

// Restore puts the store in the file from in the place of the file to, which
// no process may have open. First from is checked, whole, as Check does; a copy of it
// is made beside to, verified and synced, and takes its name; then what the old
// file had beside it (-wal, -shm, -journal) is removed. From is read as
// WithReadOnly reads it: it may be in use, and is not changed.
//
// To may be damaged. It keeps its mode and owner. A file that can't be told to be
// a go-store database is replaced only WithForce; one that isn't there is made,
// with the mode of from.
//
// Errors: *LockedError while a store owns to; InvalidTargetError and
// NotADatabaseError; DamagedError if from is not whole; what New finds wrong with
// from; the context's. Until the copy takes the name nothing has happened to to.
func Restore(ctx context.Context, to, from string, options ...OperationOption) error {
	o, err := operation(ctx, options)
	if err != nil {
		return wrap("Restore", err)
	}
	return wrap("Restore", engine.Restore(ctx, to, from, o))
}

// Check looks at everything that the store holds, at one moment: SQLite's own
// integrity check; the checksums, revisions and sizes of the log; entries that
// can't be read; what is counted in two ways; and what others have put into the
// file. It writes nothing, and reads and writes go on meanwhile. It works for a
// store opened WithReadOnly beside its owner.
//
// What is wrong is in the report. An error says that the check could not be made:
// ClosedError, the context's, or the disk's.
func (s *Store) Check(ctx context.Context, options ...OperationOption) (CheckReport, error) {
	if err := s.missing(); err != nil {
		return CheckReport{}, wrap("Check", err)
	}
	o, err := operation(ctx, options)
	if err != nil {
		return CheckReport{}, wrap("Check", err)
	}
	ctx, cancel := both(ctx, s.context())
	defer cancel()
	report, err := s.inner().Check(ctx, o)
	return report, wrap("Check", err)
}

// Compact gives the space of what was removed back to the file system, and puts
// the entries in order, if they are not, so that scans read fewer pages. Writes wait
// until it is done; reads go on. That is some seconds for each million keys, up to twice
// as long the first time after they were written in no order; tens of seconds then if the
// table has columns or indexes of another program's. What waits for the table is folded first
// (WithOverlay). From then on until it is committed it can be ended by the context, or by
// Close, and nothing else has happened then. It needs room for the compacted
// store twice, beside the file; if there is not enough the store is as it was. The
// file becomes smaller when no read is in the way, a moment later.
//
// Errors: ReadOnlyError, ClosedError, the context's, and DegradedError if the disk is full
// or fails, which says what to do: other writes may go on then, as they need less room. A
// store in memory has nothing to give back.
func (s *Store) Compact(ctx context.Context, options ...OperationOption) (Compaction, error) {
	if err := s.missing(); err != nil {
		return Compaction{}, wrap("Compact", err)
	}
	o, err := operation(ctx, options)
	if err != nil {
		return Compaction{}, wrap("Compact", err)
	}
	ctx, cancel := both(ctx, s.context())
	defer cancel()
	sizes, err := s.inner().Compact(ctx, o)
	return sizes, wrap("Compact", err)
}

// PageRun is a number of adjoining pages of a file, both ends included.
type PageRun = kv.PageRun

// SalvageReport is what Salvage could read, and what not: the Entries and
// LogRecords in the new store; of the entries Strays, on pages that nothing led to
// any more, and Replayed ones, which only the log had; pages that are Unreadable;
// LostEntries whose keys are known, and LostRecords of the log; OlderRecords, which
// lie before a gap and are not kept; and Findings, all of that in words, none if
// nothing was wrong.
type SalvageReport = kv.SalvageReport

// Salvage makes a new store in the file out of whatever can be read of a damaged
// one, which New or Check find something wrong with. It reads the pages by itself,
// with what is committed in the -wal file beside them, and neither changes nor
// locks the damaged file, nor makes anything beside it. It may be a file that the
// original wrote. It must not be open anywhere, in this process least of all: to
// close a file that SQLite has open takes SQLite's locks away.
//
// Of two versions of a key the one with the higher revision is taken. What was
// removed does not come back, as far as that can be told. The log of changes is
// kept from its last gap on. A value may have been damaged without a trace: only
// the log has checksums.
//
// Errors: *LockedError while a store owns the file; NotADatabaseError if it is
// another program's, or nothing of a store is in it, NewerSchemaError and
// EncodingError by its header (see WithForce); InvalidTargetError, or
// fs.ErrExist if out is there already; the context's, and those of the disk. There
// is no file out then.
func Salvage(ctx context.Context, damaged, out string, options ...OperationOption) (SalvageReport, error) {
	o, err := operation(ctx, options)
	if err != nil {
		return SalvageReport{}, wrap("Salvage", err)
	}
	report, err := engine.Salvage(ctx, damaged, out, o)
	return report, wrap("Salvage", err)
}
