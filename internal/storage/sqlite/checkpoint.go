package sqlite

import (
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"forge.lthn.ai/core/go-store/internal/metrics"
	"forge.lthn.ai/core/go-store/internal/storage/ownership"
	"forge.lthn.ai/core/go-store/kv"

	"zombiezen.com/go/sqlite"
)

// A checkpoint moves what is committed from the WAL into the database. SQLite
// would do it inside the COMMIT that happens to cross a threshold, whose caller
// then waits for thousands of pages. Here it takes two steps:
//
//  1. Once checkpointPages have gathered, a goroutine with a connection of its
//     own moves them (PASSIVE: it waits for no other connection, and none for it), while
//     the writer goes on committing behind it.
//  2. Before its next transaction the writer moves the few that it has added
//     meanwhile. Then nothing is left, and the WAL starts again from its
//     beginning. Without this step it would grow for ever under load.
//
// Step 2 fails to empty the WAL while a reader needs its old pages. Point reads
// are over in microseconds, but on a busy machine one may stand still half-way:
// so the writer waits a moment (RESTART rather than PASSIVE), some times in a row, and
// longer once forcePages are reached, if there are only such. For a scan or a snapshot that
// has been there for longer than that moment it does not wait: step 2 is put off until that
// has ended. A scan or a snapshot past its age is ended. Until then the WAL grows, to its bounds:
//
//   - From softPages on, and whenever it has grown by a part of that, the gate is shut:
//     new snapshots wait, gateWait at most, so that those that are open come to
//     their end and no others take their place. When the last is closed, step 1 begins.
//   - From hardPages on those are ended that are older than gateWait, and from half as
//     much again on all of them; and the writer gives way to the goroutine that does that.
//
// See docs/adr/0041-the-wal-is-bounded.md.
//
// A failed checkpoint loses nothing: what is in the WAL is as safe as what is
// in the database. It is made up for by the next, after a pause, since each may write for as
// long as the disk takes to refuse it. While the database can't be written to the WAL grows
// beyond its bounds: the commits in it are acknowledged, and there is no other place for them.
const (
	checkpointPages = 1000
	forcePages      = 2000
	tailWait        = 5 * time.Millisecond
	tailTries       = 4
	forceWait       = 100 * time.Millisecond
	// forceStep is how far the WAL grows between two waits; after forceTries
	// in vain the step is half of what there is, short of the hard bound.
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
	// idleDelay is how long a store must be without commits until all of its WAL is
	// moved into the database.
	idleDelay = time.Second
)

// checkpointPause is how long one that failed is not tried again. Only tests change it.
var checkpointPause = time.Second

// The bounds of a WAL, in pages. Only tests change them.
var (
	softPages = 64 << 20 / filePageSize
	hardPages = 256 << 20 / filePageSize
)

type checkpoints struct {
	logger   *slog.Logger
	took     *metrics.Histogram // nil: not measured
	conn     *sqlite.Conn       // owned by the goroutine
	guard    *ownership.Guard
	synced   *synced
	readers  *pool         // whose scans and snapshots may be in the way
	scanAge  time.Duration // see Config.ScanAge
	buffered bool          // nothing is synced
	wake     chan struct{} // capacity one: something below has changed
	quit     chan struct{}
	ended    chan struct{}

	moving    sync.Mutex    // held while the goroutine checkpoints
	requested atomic.Bool   // by the writer: step 1
	force     atomic.Bool   // by the writer: step 2 is to wait for all readers
	tail      atomic.Bool   // by the goroutine: step 2
	putOff    atomic.Bool   // by the writer: step 2, until no scan or snapshot is in the way
	late      atomic.Bool   // by the last of those: step 2 is to be made up for
	crowded   atomic.Int64  // by the writer: readers are in the way of a WAL of so many pages; 0: it did not ask
	dirty     atomic.Bool   // the WAL holds something
	unsynced  atomic.Bool   // a sync has failed: the WAL is not to be trusted (see resync)
	commits   atomic.Uint64 // tells the goroutine whether the store is idle
	running   atomic.Int32  // how many checkpoints are under way
	completed atomic.Uint64 // how many have been
	failures  atomic.Uint64
	expired   atomic.Uint64 // scans and snapshots that were in the way too long
	held      heldRuns      // what they keep in memory
	fault     lasting       // the database can't be written to
	pinned    atomic.Int32  // backups and the like under way: it is of no use to wait for them

	// Owned by the writer.
	written int64 // pages since the WAL was measured, by estimate
	asked   int   // the WAL's length in pages when step 1 was last requested
	forced  int   // the same when force was last set
	much    bool  // more was to be moved then than is the writer's to move
	tries   int   // how often in a row step 2 met a reader
	vain    int   // how often in a row that was in vain

	gated int // the WAL's length in pages when the gate was last shut
}

// walLength is the answer of every kind of checkpoint.
type walLength struct {
	busy         bool // something was in the way
	pages, moved int
}

func (l walLength) rest() int { return l.pages - l.moved }

func startCheckpoints(path string, config Config, g *ownership.Guard, s *synced, readers *pool, done <-chan struct{}) (*checkpoints, error) {
	conn, err := openConnection(path, sqlite.OpenReadWrite, pragmas(checkpointing, config.Durability, readerCacheKiB), done)
	if err != nil {
		return nil, fmt.Errorf("checkpoint connection: %w", err)
	}
	conn.SetBusyTimeout(0) // it can always come again
	c := &checkpoints{
		logger: config.Logger, took: config.Metrics.Checkpoints(), conn: conn, guard: g, synced: s, readers: readers, scanAge: config.ScanAge,
		buffered: config.Durability == kv.DurabilityBuffered,
		wake:     make(chan struct{}, 1), quit: make(chan struct{}), ended: make(chan struct{}),
		fault: lasting{changed: config.HealthChanged},
	}
	readers.released = c.released
	go c.run()
	return c, nil
}

// stop ends the goroutine, whose checkpoint Database.Close has interrupted.
func (c *checkpoints) stop() error {
	close(c.quit)
	<-c.ended
	return c.conn.Close()
}

// request has the goroutine do step 1.
func (c *checkpoints) request() {
	c.requested.Store(true)
	c.signal()
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
		c.request()
	}
	c.bound(wal)
	step := forceStep
	if c.vain >= forceTries && wal.pages < hardPages {
		step = c.forced / 2
	}
	if wal.pages >= forcePages && grown(wal.pages, c.forced, step) {
		c.forced = wal.pages
		held := c.readers.heldFor(tailWait)
		if held {
			c.crowd(wal) // they may be past their age
		}
		c.much = wal.rest() > 2*forcePages && wal.pages < hardPages+hardPages/2
		switch {
		case held && wal.pages < hardPages:
		case c.much && wal.pages < hardPages:
			c.request()
		default:
			c.force.Store(true)
		}
	}
}

// bound holds up new pins of the WAL, once it is long. Called by the writer.
func (c *checkpoints) bound(wal walLength) {
	if wal.pages < softPages {
		c.readers.gate.open() // it has started anew
	} else if grown(wal.pages, c.gated, softPages/4) {
		c.gated = wal.pages
		c.readers.gate.close()
		c.requested.Store(true)
		if held := c.readers.holding(); held > 0 {
			c.logger.Warn("the WAL grows: scans and snapshots keep it from starting anew", "pages", wal.pages, "views", held)
		}
		c.crowd(wal)
	}
}

// crowd has the goroutine look at the readers that are in the way. To end them is not for
// the writer, as their connections are closed then.
func (c *checkpoints) crowd(wal walLength) {
	c.crowded.Store(int64(wal.pages))
	c.signal()
}

// makeWay ends scans and snapshots that are too old for a WAL of so many pages.
func (c *checkpoints) makeWay(pages int) {
	age := c.scanAge
	switch {
	case pages >= hardPages+hardPages/2:
		age = -1 // whatever it is
	case pages >= hardPages:
		age = min(age, gateWait)
	}
	ended := c.expire(age)
	switch {
	case ended == 0:
	case pages < softPages:
		c.logger.Debug("scans and snapshots past their age, which kept the WAL from starting anew, were ended", "pages", pages, "ended", ended)
	default:
		c.logger.Warn("the WAL has reached its bound: scans and snapshots that kept it from starting anew were ended",
			"pages", pages, "ended", ended)
	}
}

// grown reports whether the WAL has grown by so much since it had a length, or
// started anew.
func grown(pages, since, by int) bool { return pages < since || pages >= since+by }

// due reports whether the writer should checkpoint before its next
// transaction.
func (c *checkpoints) due() bool {
	if c.pausing() {
		return false
	}
	if c.force.Load() {
		return true
	}
	if !c.tail.Swap(false) {
		return false
	}
	c.putOff.Store(true) // before it looks: a reader that ends meanwhile sees it
	if c.readers.heldFor(tailWait) {
		return false
	}
	c.putOff.Store(false)
	return true
}

// released is told when a scan or a snapshot has ended, and whether it was the last.
func (c *checkpoints) released(last bool) {
	switch {
	case last && c.readers.gate.isShut():
		c.requested.Store(true)
	case c.putOff.Load() && !c.readers.heldFor(tailWait) && c.putOff.Swap(false):
		c.late.Store(true)
	default:
		return
	}
	c.signal()
}

// Checkpoint moves what is committed into the database, as far as readers
// permit. Call it between transactions; Begin does when it is due.
func (w *fileWriter) Checkpoint() error {
	if w.conn == nil {
		return kv.ClosedError
	}
	c := w.checkpoints
	forced := c.force.Load()
	if forced && c.much {
		c.giveWay()
		return nil
	}
	if forced {
		// What the goroutine is at must be done in any case, and two can't.
		c.moving.Lock()
		defer c.moving.Unlock()
	}
	c.force.Store(false)
	c.tail.Store(false)
	wait := c.wait(forced)
	w.conn.SetBusyTimeout(wait)
	defer w.conn.SetBusyTimeout(busyTimeout)
	wal, err := c.attempt(w.conn, "RESTART", wait)
	switch {
	case err != nil:
		return err
	case !wal.busy:
		c.vain, c.tries = 0, 0
	case forced:
		c.vain++
		ended := c.expire(c.scanAge)
		w.logger.Debug("readers keep the WAL from starting anew", "pages", wal.pages, "ended", ended)
	case c.tries < tailTries:
		c.tries++
		c.tail.Store(true) // what is left costs little: again before the next transaction
	default:
		c.tries = 0
	}
	return nil
}

// giveWay is what the writer does at the hard bound while there is much to be moved: it rests, for
// the goroutine that ends the readers in the way, and moves it. A writer that never rests leaves it
// no processor if there is only one.
func (c *checkpoints) giveWay() {
	c.force.Store(false)
	c.request()
	time.Sleep(tailWait)
}

// wait is for how long the writer waits for readers.
func (c *checkpoints) wait(forced bool) time.Duration {
	switch {
	case c.pinned.Load() > 0 || c.readers.heldFor(tailWait):
		return 0 // it would be in vain
	case forced && c.readers.holding() == 0:
		return forceWait
	default:
		return tailWait
	}
}

// synced is how much of a database file a power cut leaves for sure.
type synced struct {
	path  string
	bytes atomic.Int64 // 0: unknown
}

// checkpoint also takes down how much of the database is synced by it: the file is when
// everything has been moved, and what it grew by is not before. SQLite syncs nothing if
// there was a commit meanwhile, though it says that it has moved all that it had
// begun with.
func (s *synced) checkpoint(conn *sqlite.Conn, mode string) (wal walLength, err error) {
	size := ownership.Size(s.path)
	wal, err = checkpoint(conn, mode)
	if err != nil || wal.busy || wal.rest() > 0 {
		return wal, err
	}
	if now, err := checkpoint(conn, "NOOP"); err == nil && now.pages <= wal.pages {
		s.bytes.Store(max(s.bytes.Load(), size))
	}
	return wal, nil
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
	var idle <-chan time.Time  // nil while there is nothing to wait for
	var commits uint64         // when idle was set
	var again <-chan time.Time // nil while none has failed
	for {
		if c.fault.is.Load() != nil && again == nil {
			again = time.After(c.fault.pause())
		}
		select {
		case <-c.quit:
			return
		case <-c.wake:
			if pages := c.crowded.Swap(0); pages > 0 {
				c.makeWay(int(pages))
			}
			c.lighten()
			if late := c.late.Swap(false); !c.pausing() && (c.requested.Swap(false) || late && !c.few()) {
				c.move()
			}
			if idle == nil && c.dirty.Load() {
				idle, commits = time.After(idleDelay), c.commits.Load()
			}
		case <-again:
			again = nil
			if f := c.fault.is.Load(); f != nil && !c.pausing() {
				c.requested.Store(false)
				if c.move(); c.fault.is.Load() == f { // something else was in the way of an attempt
					again = time.After(checkpointPause)
				}
			}
		case <-idle:
			idle = nil
			if now := c.commits.Load(); now != commits || !c.settle() {
				idle, commits = time.After(idleDelay), now
			}
		}
	}
}

// move is step 1. It leaves the field to a writer that waits for it. SQLite syncs the database
// with the last page that is moved, so this would be the writer's to wait for, in step 2: what
// was moved here is on the disk before.
func (c *checkpoints) move() {
	defer c.tail.Store(true)
	defer c.writeBack()
	for range moveRounds {
		if _, err := c.checkpoint("PASSIVE"); err != nil {
			c.report(err)
			return
		}
		wal, err := checkpoint(c.conn, "NOOP")
		c.report(err)
		if err == nil && wal.rest() == 0 && c.readers.gate.isShut() {
			c.restart()
		}
		if err != nil || wal.rest() < tailPages || c.force.Load() {
			return
		}
	}
}

// few reports whether what the WAL has is little enough for step 2, which is the next then.
func (c *checkpoints) few() bool {
	wal, err := checkpoint(c.conn, "NOOP")
	c.report(err)
	few := err == nil && wal.rest() < tailPages
	if few {
		c.tail.Store(true)
	}
	return few
}

// writeBack has the disk write what was moved, if it is to be synced.
func (c *checkpoints) writeBack() {
	if c.buffered || c.force.Load() {
		return
	}
	if file, err := c.guard.Database(); file != nil && err == nil {
		size := ownership.Size(c.synced.path)
		writeBack(file, 0, size, size)
	}
}

// restart is what is left to be done when the writer rests: it would not come to
// step 2, and waits at the gate would be in vain.
func (c *checkpoints) restart() {
	if _, err := c.checkpoint("RESTART"); code(err) != sqlite.ResultBusy {
		c.report(err)
	}
}

func (c *checkpoints) checkpoint(mode string) (walLength, error) {
	c.moving.Lock()
	defer c.moving.Unlock()
	return c.attempt(c.conn, mode, 0)
}

// attempt checkpoints, unless what it would move is not to be trusted. For readers
// of pages it waits no longer than that.
func (c *checkpoints) attempt(conn *sqlite.Conn, mode string, wait time.Duration) (wal walLength, err error) {
	moved := 0 // before
	sound := c.guard.Sound(func() int {
		is, noop := checkpoint(conn, "NOOP")
		err, moved = noop, is.moved
		return max(is.pages, 0)
	})
	if err = errors.Join(err, sound); err != nil {
		return wal, err // its pages are not to be trusted, nor is what lies at its names
	}
	if c.unsynced.Load() {
		return wal, errUnsynced
	}
	defer func() {
		c.noteSync(err)
		err = c.noteFault(err, wal.moved > moved || !wal.busy && wal.rest() == 0)
	}()
	defer c.note(time.Now(), &err)
	c.running.Add(1)
	defer func() { c.completed.Add(1); c.running.Add(-1) }()
	wal, err = c.readers.views.checkpoint(mode, wait, func(mode string) (walLength, error) { return c.synced.checkpoint(conn, mode) })
	if mode != "PASSIVE" && err == nil && !wal.busy {
		c.readers.gate.open() // the next write is at the beginning of the WAL
	}
	return wal, err
}

// pausing reports whether a checkpoint has failed just now.
func (c *checkpoints) pausing() bool { return c.fault.pause() > 0 }

// noteFault notes whether the database can be written to, and names the error if it can't.
// A checkpoint that moves nothing, since a reader is in the way, tells nothing. The writer and the
// goroutine may call it at the same time: what is last stands.
func (c *checkpoints) noteFault(err error, moved bool) error {
	switch {
	case err != nil && isWriteFault(err) && !isSyncFault(err): // a sync's is the WAL's to mend: see resync
		err = fmt.Errorf("%w: %w", kv.CheckpointError, err)
		if !c.fault.note(err, checkpointPause) {
			return err
		}
		c.logger.Error("what is committed can't be moved from the -wal into the database; it is safe where it is, and tried again", "error", err)
		c.signal() // the goroutine tries
	case err == nil && moved:
		was := c.fault.end()
		if was == nil {
			return nil
		}
		c.logger.Info("what is committed is moved from the -wal into the database again", "after", time.Since(was.since))
	default:
		return err
	}
	c.fault.tell()
	return err
}

// settle moves all of an idle store's WAL into the database. If a reader or the
// writer is in the way it gives up at once, to come again. The file keeps its
// length: that a WAL is there and what is in it shows, after a crash, that no program
// has cut it; and the next burst of writes need not make it grow again.
func (c *checkpoints) settle() bool {
	if c.pausing() {
		return false
	}
	c.dirty.Store(false) // before: a commit from here on sets it again
	wal, err := c.checkpoint("PASSIVE")
	c.report(err)
	if err != nil || wal.busy || wal.rest() > 0 {
		c.dirty.Store(true)
		return false
	}
	return true
}

func (c *checkpoints) report(err error) {
	// Close interrupts; a loss, a sync that failed, and a disk that does, were reported.
	if err != nil && !isInterrupt(err) && !errors.Is(err, kv.FileLostError) && !errors.Is(err, errUnsynced) && !errors.Is(err, kv.CheckpointError) {
		c.logger.Warn("checkpoint failed; the next one tries again", "error", err)
	}
}
