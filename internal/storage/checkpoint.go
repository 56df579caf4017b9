package storage

import (
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"forge.lthn.ai/core/go-store/kv"

	"zombiezen.com/go/sqlite"
)

// A checkpoint moves what is committed from the WAL into the database. SQLite
// would do it inside the COMMIT that happens to cross a threshold, whose caller
// then waits for thousands of pages. Here it takes two steps:
//
//  1. Once checkpointPages have gathered, a goroutine with a connection of its
//     own moves them (PASSIVE: it waits for nobody and nobody for it), while
//     the writer goes on committing behind it.
//  2. Before its next transaction the writer moves the few that it has added
//     meanwhile. Then nothing is left, and the WAL starts again from its
//     beginning. Without this step it would grow for ever under load.
//
// Step 2 fails to empty the WAL while a reader needs its old pages. Point reads
// are over in microseconds, but on a busy machine one may stand still half-way:
// so the writer waits a moment (RESTART rather than PASSIVE), and longer, some
// times in a row, once forcePages are reached. A scan whose loop stands still
// is not waited for any longer than that, and ever more rarely; past its age it is
// ended. Until then the WAL
// grows.
//
// A failed checkpoint loses nothing: what is in the WAL is as safe as what is
// in the database. It is logged and made up for by the next.
const (
	checkpointPages = 1000
	forcePages      = 2000
	tailWait        = 5 * time.Millisecond
	tailTries       = 4
	forceWait       = 100 * time.Millisecond
	// forceStep is how far the WAL grows between two waits; after forceTries
	// in vain the step is half of what there is.
	forceStep  = 500
	forceTries = 4
	// moveRounds is how often step 1 goes over what was added meanwhile, to
	// leave less than tailPages to step 2.
	moveRounds = 4
	tailPages  = 128
	// walLimit is what a WAL that had to grow is cut back to when it starts
	// anew.
	walLimit = 16 << 20
	// measurePages is how many pages may have been written, by estimate, until
	// the WAL's length is looked up, which costs some microseconds.
	measurePages = 256
	// idleDelay is how long a store must be without commits until its WAL is
	// emptied and cut to nothing.
	idleDelay = time.Second
)

type checkpoints struct {
	logger  *slog.Logger
	conn    *sqlite.Conn  // owned by the goroutine
	readers *pool         // whose kept transactions would be in the way
	scanAge time.Duration // see Config.ScanAge
	wake    chan struct{} // capacity one: something below has changed
	quit    chan struct{}
	ended   chan struct{}

	moving    sync.Mutex    // held while the goroutine checkpoints
	requested atomic.Bool   // by the writer: step 1
	force     atomic.Bool   // by the writer: step 2 is to wait for everybody
	tail      atomic.Bool   // by the goroutine: step 2
	dirty     atomic.Bool   // the WAL holds something
	commits   atomic.Uint64 // tells the goroutine whether the store is idle
	pinned    atomic.Int32  // backups and the like under way: it is of no use to wait for them

	// Owned by the writer.
	written int64 // pages since the WAL was measured, by estimate
	asked   int   // the WAL's length in pages when step 1 was last requested
	forced  int   // the same when force was last set
	tries   int   // how often in a row step 2 met a reader
	vain    int   // how often in a row that was in vain
}

// walLength is the answer of every kind of checkpoint.
type walLength struct {
	busy         bool // something was in the way
	pages, moved int
}

func (l walLength) rest() int { return l.pages - l.moved }

func startCheckpoints(path string, config Config, readers *pool, done <-chan struct{}) (*checkpoints, error) {
	conn, err := openConnection(path, sqlite.OpenReadWrite, pragmas(checkpointing, config.Durability, readerCacheKiB), done)
	if err != nil {
		return nil, fmt.Errorf("checkpoint connection: %w", err)
	}
	conn.SetBusyTimeout(0) // it can always come again
	c := &checkpoints{
		logger: config.Logger, conn: conn, readers: readers, scanAge: config.ScanAge,
		wake: make(chan struct{}, 1), quit: make(chan struct{}), ended: make(chan struct{}),
	}
	go c.run()
	return c, nil
}

// stop ends the goroutine, whose checkpoint Database.Close has interrupted.
func (c *checkpoints) stop() error {
	close(c.quit)
	<-c.ended
	return c.conn.Close()
}

func (c *checkpoints) signal() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// wrote notes that rows were changed, and what was written into them. Called by the writer.
func (c *checkpoints) wrote(rows int64, bytes int) {
	// A leaf of the table and one of an index, and what a value spills into.
	c.written += 2*rows + int64(bytes)/filePageSize
}

// committed notes a commit, and asks for a checkpoint if one is worth it.
// Called by the writer.
func (c *checkpoints) committed(writer *sqlite.Conn) {
	c.commits.Add(1)
	if !c.dirty.Load() && c.dirty.CompareAndSwap(false, true) {
		c.signal()
	}
	if c.written < measurePages {
		return
	}
	c.written = 0
	wal, err := checkpoint(writer, "NOOP")
	if err != nil {
		c.logger.Warn("the WAL can't be measured", "error", err)
		return
	}
	if wal.rest() >= checkpointPages && grown(wal.pages, c.asked, checkpointPages) {
		c.asked = wal.pages
		c.requested.Store(true)
		c.signal()
	}
	step := forceStep
	if c.vain >= forceTries {
		step = c.forced / 2
	}
	if wal.pages >= forcePages && grown(wal.pages, c.forced, step) {
		c.forced = wal.pages
		c.force.Store(true)
	}
}

// grown reports whether the WAL has grown by so much since it had a length, or
// started anew.
func grown(pages, since, by int) bool { return pages < since || pages >= since+by }

// due reports whether the writer should checkpoint before its next
// transaction.
func (c *checkpoints) due() bool { return c.force.Load() || c.tail.Load() }

// Checkpoint moves what is committed into the database, as far as readers
// permit. Call it between transactions; Begin does when it is due.
func (w *fileWriter) Checkpoint() error {
	if w.conn == nil {
		return kv.ClosedError
	}
	c, wait := w.checkpoints, tailWait
	forced := c.force.Load()
	if forced {
		// What the goroutine is at must be done in any case, and two can't.
		c.moving.Lock()
		defer c.moving.Unlock()
		wait = forceWait
	}
	c.force.Store(false)
	c.tail.Store(false)
	if c.pinned.Load() > 0 {
		wait = 0
	}
	w.conn.SetBusyTimeout(wait)
	defer w.conn.SetBusyTimeout(busyTimeout)
	wal, err := c.unpinned(w.conn, "RESTART")
	switch {
	case err != nil:
		return err
	case !wal.busy:
		c.vain, c.tries = 0, 0
	case forced:
		c.vain++
		ended := c.readers.expire(c.scanAge)
		w.logger.Debug("readers keep the WAL from starting anew", "pages", wal.pages, "ended", ended)
	case c.tries < tailTries:
		c.tries++
		c.tail.Store(true) // what is left costs little: again before the next transaction
	default:
		c.tries = 0
	}
	return nil
}

func checkpoint(conn *sqlite.Conn, mode string) (wal walLength, err error) {
	stmt, err := conn.Prepare("PRAGMA wal_checkpoint(" + mode + ")")
	if err != nil {
		return wal, err
	}
	_, err = one(stmt, func(stmt *sqlite.Stmt) error {
		wal = walLength{stmt.ColumnBool(0), stmt.ColumnInt(1), stmt.ColumnInt(2)}
		return nil
	})
	return wal, err
}

// run is the goroutine: it sleeps unless something was committed lately.
func (c *checkpoints) run() {
	defer close(c.ended)
	var idle <-chan time.Time // nil while there is nothing to wait for
	var commits uint64        // when idle was set
	for {
		select {
		case <-c.quit:
			return
		case <-c.wake:
			if c.requested.Swap(false) {
				c.move()
			}
			if idle == nil && c.dirty.Load() {
				idle, commits = time.After(idleDelay), c.commits.Load()
			}
		case <-idle:
			idle = nil
			if now := c.commits.Load(); now != commits || !c.empty() {
				idle, commits = time.After(idleDelay), now
			}
		}
	}
}

// move is step 1. It leaves the field to a writer that waits for it.
func (c *checkpoints) move() {
	defer c.tail.Store(true)
	for range moveRounds {
		_, err := c.checkpoint("PASSIVE")
		c.report(err)
		wal, err := checkpoint(c.conn, "NOOP")
		c.report(err)
		if err != nil || wal.rest() < tailPages || c.force.Load() {
			return
		}
	}
}

func (c *checkpoints) checkpoint(mode string) (walLength, error) {
	c.moving.Lock()
	defer c.moving.Unlock()
	return c.unpinned(c.conn, mode)
}

// unpinned checkpoints while readers keep no transaction between two reads.
func (c *checkpoints) unpinned(conn *sqlite.Conn, mode string) (wal walLength, err error) {
	c.readers.unpinned(func() { wal, err = checkpoint(conn, mode) })
	return wal, err
}

// empty cuts the WAL of an idle store to nothing. If a reader or the writer is
// in the way it gives up at once, to come again.
func (c *checkpoints) empty() bool {
	c.dirty.Store(false) // before: a commit from here on sets it again
	wal, err := c.checkpoint("TRUNCATE")
	if code(err) == sqlite.ResultBusy {
		wal.busy, err = true, nil
	}
	c.report(err)
	if err != nil || wal.busy {
		c.dirty.Store(true)
		return false
	}
	return true
}

func (c *checkpoints) report(err error) {
	if err != nil && code(err) != sqlite.ResultInterrupt { // Close interrupts
		c.logger.Warn("checkpoint failed; the next one tries again", "error", err)
	}
}
