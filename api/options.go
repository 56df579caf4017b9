package api

import (
	"fmt"
	"log/slog"
	"time"

	"forge.lthn.ai/core/go-store/engine"
	"forge.lthn.ai/core/go-store/kv"
)

// Option changes how New opens a store. The last of several of a kind counts.
// A value outside its range makes New fail with InvalidOptionError.
type Option func(*engine.Config) error

// Durability says when an acknowledged write is safe.
type Durability = kv.Durability

const (
	// DurabilitySync, the default: every commit is synced to disk (fsync)
	// before its calls return. A power cut loses nothing acknowledged.
	DurabilitySync = kv.DurabilitySync
	// DurabilityBuffered leaves syncing to the operating system. The end of
	// the process, kill -9 included, loses nothing; a power cut or a crash of
	// the system may lose the last commits, in order, never the file's
	// consistency.
	DurabilityBuffered = kv.DurabilityBuffered
)

// SizeLimits are the largest sizes accepted, in bytes; zero means the default.
// Commit bounds a SetAll, and how much one group commit gathers.
type SizeLimits struct {
	Group  int // default 64 KiB
	Key    int // default 64 KiB
	Value  int // default 16 MiB
	Commit int // default 32 MiB; at least the sum of the others
}

// Clock is where a store's time comes from, for tests that bring their own.
// A store never lets it run backwards.
type Clock interface {
	Now() time.Time
	// AfterFunc calls f in a goroutine of its own after d; stop keeps it from
	// being called, if it is not too late.
	AfterFunc(d time.Duration, f func()) (stop func() bool)
}

// ActorSystem is Proto.Actor's actor system.
type ActorSystem = engine.ActorSystem

// PID addresses an actor of an ActorSystem.
type PID = engine.PID

// WithPurgeInterval sets how long after its deadline an expired key is removed
// and its EventExpire sent: 100 ms by default, more than zero. No read returns
// an expired key, removed or not. Its row leaves the file's table with the fold
// (WithOverlay).
func WithPurgeInterval(interval time.Duration) Option {
	return func(c *engine.Config) error {
		c.PurgeInterval = interval
		return positive("purge interval", interval)
	}
}

// WithDurability sets when an acknowledged write is safe.
func WithDurability(durability Durability) Option {
	return func(c *engine.Config) error { c.Durability = durability; return nil }
}

// WithReaders sets how many reads through SQLite may be at work at a time: GOMAXPROCS by
// default, at least 2, at most 4,096; others wait for one of them to end. Most reads are
// not among them, as they are answered from the pages of the file, without waiting. SQLite
// answers where those can't be read: of tables that other programs have made, of damaged
// files, and of the log of changes. Each such read takes a connection of up to a megabyte.
// Of the requests of actors, so many are read at a time in any case.
func WithReaders(readers int) Option {
	return func(c *engine.Config) error { c.Readers = readers; return positive("readers", readers) }
}

// WithReadCache sets how many bytes of lately read keys are kept in memory, all told, at
// most 1 TiB; 0 for none. By default it is an eighth of the memory that the process may use
// (GOMEMLIMIT, its control group's limit, or the machine's), at most 64 MiB; it is taken
// as keys are read, not at once. Reads see every write that has returned, with and
// without it. A key takes its bytes and those of its group and value, and some 55 more;
// rows of more than a sixty-fourth of the cache are not kept, nor are groups or keys
// beyond 65,535 bytes. Once the cache is full a key comes in at its second read in a
// while. Beside it up to 4 MiB remember where rows lie in the file.
func WithReadCache(bytes int) Option {
	return func(c *engine.Config) error {
		if bytes < 0 {
			return fmt.Errorf("read cache %d: must be zero or positive: %w", bytes, InvalidOptionError)
		}
		if c.ReadCache = bytes; bytes == 0 {
			c.ReadCache = -1
		}
		return nil
	}
}

// WithOverlay sets how much of what is committed may wait for its place in the file's table of
// entries (32 MiB by default, 64 KiB at least). A commit writes the log of changes alone, which
// makes it durable; what it did to keys is kept in memory, where every read sees it, and comes
// to the table in larger parts: when half of so many bytes have gathered, or 16 MiB of the
// log, when the store has rested for a quarter of a second, by Store.Fold, and in Close, which
// leaves one plain file. A commit of large values may exceed it, by what one commit may hold
// (SizeLimits.Commit). What snapshots and long scans still read of it comes on top, up to three
// times as much, or 48 MiB if that is more.
//
// While the store is open, and after a crash until the next opening, other programs that read
// the table by SQL lack what waits; read-only stores of this package have it. The log keeps
// what waits whatever WithHistory says. With 0 each commit writes to the table at once, which
// costs some writers half of their rate; stores in memory, and tables that other programs have
// made, always do so.
func WithOverlay(bytes int64) Option {
	return func(c *engine.Config) error {
		if bytes < 0 {
			return fmt.Errorf("overlay %d: must be zero or positive: %w", bytes, InvalidOptionError)
		}
		if c.Overlay = bytes; bytes == 0 {
			c.Overlay = -1
		}
		return nil
	}
}

// WithMmap says whether a file's pages are read where the system has them in memory, by
// mapping the file, as they are by default where it can be done: on 64-bit Linux, macOS
// and FreeBSD. Elsewhere, and without it, they are read with calls of the system, two to
// three times slower where no cache helps, and 8 MiB of them are kept for each store: for
// file systems on which a mapping does not show what was written, where the address space
// is short (it takes 2 GiB of that at least, but no memory), and where a read that fails is
// to be an error of one call. SQLite reads what it alone can: tables that another program
// has made otherwise, and what is damaged.
func WithMmap(mmap bool) Option {
	return func(c *engine.Config) error { c.NoMmap = !mmap; return nil }
}

// WithSnapshotAge sets how long a Snapshot may be open before it ends by itself:
// a minute by default. A loop over a scan that takes longer ends too, with
// SnapshotExpiredError, but only if it keeps the write-ahead log from being
// emptied. So does a transaction.
//
// Younger ones end as well if the log of a file has grown to its bound because of
// them: beyond 256 MiB those that are older than a second, beyond 384 MiB all, one
// that is at work when it rests. From 64 MiB on a call that wants a new one waits for those
// that are open, a second at most. It takes a busy writer to come so far.
//
// These bounds are the owner's, and end what its own process has open. A snapshot or a scan of
// a read-only store in another process they don't: beside it the log grows until that store's
// own age ends it.
func WithSnapshotAge(age time.Duration) Option {
	return func(c *engine.Config) error {
		c.SnapshotAge = age
		return positive("snapshot age", age)
	}
}

// WithMaxInFlight sets how many mutations are admitted at a time: 4096 by
// default. More wait, until their context ends.
func WithMaxInFlight(requests int) Option {
	return func(c *engine.Config) error {
		c.MaxInFlight = requests
		return positive("requests in flight", requests)
	}
}

// WithWatchBuffer sets how many events a watcher's channel holds before more
// are dropped: 16 by default, at most 1,048,576. Each takes some 150 bytes from the
// beginning, and its value while it waits.
func WithWatchBuffer(events int) Option {
	return func(c *engine.Config) error { c.WatchBuffer = events; return positive("watch buffer", events) }
}

// WithSizeLimits sets the largest sizes accepted.
func WithSizeLimits(limits SizeLimits) Option {
	return func(c *engine.Config) error { c.Limits = engine.Limits(limits); return nil }
}

// Retention bounds how much the log of changes keeps, for subscriptions that
// resume and for Store.History. What exceeds one of the bounds is removed with
// later writes, oldest first, once it is in the table too (see WithOverlay); there
// may be 1/16 more than the bound at a time, and the newest commit always stays.
// A field that is zero has its default.
type Retention struct {
	Revisions int           // default 1,000,000
	Bytes     int64         // of the file, or of memory for ":memory:"; default 64 MiB, for ":memory:" 16 MiB
	Age       time.Duration // default 24 hours
}

// WithHistory sets how much the log of changes keeps.
func WithHistory(keep Retention) Option {
	return func(c *engine.Config) error { c.Retention = kv.Retention(keep); return nil }
}

// WithDiscardedLog begins the log of changes anew when New opens the store: the
// way out if a part of it can't be read (a *CorruptLogError). Entries and their
// revisions stay, and revisions go on where they were; subscriptions that would
// resume from before get a *CompactedError. Use it once and take it out again:
// it discards the log at every opening.
func WithDiscardedLog() Option {
	return func(c *engine.Config) error { c.DiscardLog = true; return nil }
}

// WithLockTimeout has New wait while another store owns the file, for at most so
// long, instead of failing with a *LockedError at once. By default, and with zero,
// it does not wait. Which of several that wait is next is not determined.
func WithLockTimeout(timeout time.Duration) Option {
	return func(c *engine.Config) error {
		if timeout < 0 {
			return fmt.Errorf("lock timeout %v: must be zero or positive: %w", timeout, InvalidOptionError)
		}
		c.LockWait = timeout
		return nil
	}
}

// WithReadOnly opens a file that another store may own: reads see what was
// committed when they begin, be it in the owner's log alone, mutations fail with
// ReadOnlyError, watchers see nothing and their channels are closed. Subscribe follows what the owner
// commits. The file must exist.
//
// Nothing is written or created. So a store whose owner was killed, and whose -shm
// file is gone, is refused with UnrecoveredError, and one of an older layout: open
// it once for writing. A file that was left in WAL mode but complete (it was closed
// beside a reader, or is a copy of such a one) is kept from being opened for writing
// while it is read.
func WithReadOnly() Option {
	return func(c *engine.Config) error { c.ReadOnly = true; return nil }
}

// WithActorSystem runs the store's actors in a system of the caller's, which
// the store never shuts down. Close the store before the system. By default
// all stores of a process share one system that ends with the last of them.
//
// On a 32-bit processor New refuses it with InvalidOptionError: Proto.Actor panics there
// at half of all actors' names. Stores without it are not concerned.
func WithActorSystem(system *ActorSystem) Option {
	return func(c *engine.Config) error {
		if system == nil {
			return fmt.Errorf("actor system is nil: %w", InvalidOptionError)
		}
		c.System = system
		return nil
	}
}

// WithOpened has a function called with the store once it is open, before New returns. It is for
// Props, whose store only the actor has: what the methods of Store have and package protocol has
// not (an outbox, a persistence provider, metrics, counts of dropped messages) is had by it. It is
// called each time that the actor opens the store, in the actor's goroutine, before any message is
// taken: it must not wait for the actor, and the actor closes the store. If it panics the store is
// closed.
func WithOpened(opened func(*Store)) Option {
	return func(c *engine.Config) error {
		if opened == nil {
			return fmt.Errorf("the function for WithOpened is nil: %w", InvalidOptionError)
		}
		c.Opened = func(e *engine.Engine) { opened(storeOf(e)) }
		return nil
	}
}

// WithLogger sets where the store reports what no call can return: failed
// checkpoints, panicking callbacks, namespaces that near their quota. By
// default nowhere. Keys and values are never logged. The handler runs on a goroutine
// of its own and may do anything; it holds the store up for 10 ms at most until it has
// caught up, and a panic in it is ignored. When 256 records wait for it, more are
// dropped and counted. Close waits for it to take the last ones, a second at most.
func WithLogger(logger *slog.Logger) Option {
	return func(c *engine.Config) error {
		if logger == nil {
			return fmt.Errorf("logger is nil: %w", InvalidOptionError)
		}
		c.Logger = logger
		return nil
	}
}

// WithClock sets where time comes from: by default the machine's clock. It is
// asked by the store's actors: it must neither block nor call the store.
func WithClock(source Clock) Option {
	return func(c *engine.Config) error {
		if source == nil {
			return fmt.Errorf("clock is nil: %w", InvalidOptionError)
		}
		c.Clock = source
		return nil
	}
}

func positive[T int | time.Duration](what string, value T) error {
	if value > 0 {
		return nil
	}
	return fmt.Errorf("%s %v: must be more than zero: %w", what, value, InvalidOptionError)
}
