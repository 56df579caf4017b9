package sqlite

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"forge.lthn.ai/core/go-store/internal/metrics"
	"forge.lthn.ai/core/go-store/internal/storage"
	"forge.lthn.ai/core/go-store/internal/storage/overlay"
	"forge.lthn.ai/core/go-store/internal/storage/ownership"
	"forge.lthn.ai/core/go-store/internal/storage/sequence"
	"forge.lthn.ai/core/go-store/kv"
)

// Config says what to open and how.
type Config struct {
	Path       string        // a file, or ":memory:"
	ReadOnly   bool          // beside an owner; no lock, no Writer, nothing is created
	Durability kv.Durability // when a commit is safe
	Readers    int           // reads by SQLite that run at a time; default GOMAXPROCS, at least 2
	ScanAge    time.Duration // a scan or snapshot older than this ends if it keeps the WAL from starting anew; default a minute
	NoMmap     bool          // map no page into memory: read them with calls of the system
	readIndex  bool          // read the index of the WAL with calls of the system, as on Windows: for tests
	NoPages    bool          // read through SQLite alone: for tests, and for measuring
	DiscardLog bool          // begin the log anew, at the next revision
	Overlay    int64         // bytes of what may be committed and not be in the table yet; 0: everything is written to it at once
	loose      bool          // what has no row in the log goes into the overlay too, and is lost with the process: for tests
	LockWait   time.Duration // how long to wait for another owner to close; default not at all
	Logger     *slog.Logger  // default: nothing is logged

	// CheckLog refuses a file by the last CheckLogBytes of its log, the newest
	// row first, before anything is written to it. It may be nil, and is not
	// called if the log is discarded or the database read-only.
	CheckLog      func(newest []kv.LogRow) error
	CheckLogBytes int

	// Metrics counts what the WAL's syncs and the checkpoints take. It may be nil.
	Metrics *metrics.Recorder

	// HealthChanged is called when Health may say something else. It must not block,
	// nor call the database. nil: not called.
	HealthChanged func()

	// FoldStep is called with the name of each step by which what the log has comes into the
	// table: see testkit.Folds. It must not block, nor call the database. nil: not called.
	FoldStep func(step string)

	// Events reads what a row of the log did. It may be nil: Check then compares no
	// entries with the log.
	Events func(kv.LogRow) ([]kv.Event, error)
}

// GetAt is Reads.Get, with the version that it was read at.
func (d *Database) GetAt(ctx context.Context, group, key string) (kv.Row, bool, storage.Version, error) {
	return d.reads.GetAt(ctx, group, key)
}

// Current reports whether no change of a key was committed since the version,
// and none is being committed. It may say no though there was none, and always
// does of a read-only database.
func (d *Database) Current(v storage.Version, group, key string) bool {
	return d.changes.Settled(uint64(v)) || d.changes.Unchanged(uint64(v), group, key)
}

// kind is how a kind of database is read: a file, or memory.
type kind interface {
	storage.Reads
	GetAt(ctx context.Context, group, key string) (kv.Row, bool, storage.Version, error)
	Snapshot(ctx context.Context) (storage.Snapshot, error)
}

// Database is an open database.
type Database struct {
	path      string
	uuid      string
	writer    storage.Writer // nil if read-only
	reads     kind
	changes   sequence.Sequence
	guard     *ownership.Guard // nil in memory
	over      *overlay.Overlay // what is committed and not in the table yet; nil: nothing
	limbo     *limbo           // goes with it
	follower  *sqlFollower     // of a database that is read-only
	parameter string           // a parameter of SQLite's for connections that read; empty: none
	left      bool             // the file was closed whole
	events    func(kv.LogRow) ([]kv.Event, error)
	done      chan struct{} // closed first of all by Close

	operations operations // which Close ends, and waits for

	closers []func() error // in the order of opening; Close runs them backwards
	once    sync.Once
	err     error // of Close
}

// Writer is the only writing side, nil if the database is read-only.
func (d *Database) Writer() storage.Writer { return d.writer }

// Reads is the read side.
func (d *Database) Reads() storage.Reads { return d.reads }

// UUID names this database for good: it was given when the database was made.
func (d *Database) UUID() string { return d.uuid }

// Path is the file with links resolved, ":memory:" if there is none.
func (d *Database) Path() string { return d.path }

// Health is what is wrong with the database's files, nil if nothing is, and since
// when. It looks.
func (d *Database) Health() (since time.Time, err error) {
	if d.guard == nil {
		return time.Time{}, nil
	}
	if err = d.guard.Check(); err != nil {
		return d.guard.Since(), err
	}
	w, ok := d.writer.(*fileWriter)
	if !ok {
		return since, err
	}
	since, err = w.fault.health()
	otherSince, other := w.checkpoints.fault.health()
	return storage.BothFaults(since, err, otherSince, other)
}

// Unfolded is about how many bytes of memory have what was committed and is not in the table.
func (d *Database) Unfolded() int64 {
	if d.over == nil {
		return 0
	}
	return d.over.Published().Bytes()
}

// Close interrupts running reads, takes the connections of open scans, rolls
// back what the writer left open, moves the WAL into the database and removes
// it, and gives the lock up. The writer's owner must be done with it. Calling
// it again is harmless and gives the same answer.
func (d *Database) Close() error {
	d.once.Do(func() {
		d.EndOperations()
		if d.guard != nil {
			d.guard.Closing()
		}
		close(d.done)
		d.operations.wait.Wait()
		if err := d.unwind(); err != nil {
			d.err = fmt.Errorf("close %s: %w", d.path, err)
		}
	})
	return d.err
}

func (d *Database) onClose(f func() error) { d.closers = append(d.closers, f) }

func (d *Database) unwind() (err error) {
	for i := len(d.closers) - 1; i >= 0; i-- {
		err = errors.Join(err, d.closers[i]())
	}
	d.closers = nil
	return err
}
