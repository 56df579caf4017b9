package ownership

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"forge.lthn.ai/core/go-store/internal/storage/disk"
	"forge.lthn.ai/core/go-store/internal/storage/mapped"
	"forge.lthn.ai/core/go-store/internal/storage/pages"
	"forge.lthn.ai/core/go-store/kv"
)

const (
	// A store that writes looks after its files before a transaction, if it has
	// not done so for guardPause or for guardCommits: so many commits at most are
	// acknowledged after a file was taken away. How its -wal begins it looks at
	// before each.
	guardPause   = 20 * time.Millisecond
	guardCommits = 64
	// guardInterval is how often a store that is at rest looks. (What its files are
	// is asked of the system, by name: nothing of theirs is opened or read.)
	guardInterval = 1500 * time.Millisecond
)

// Guard notices that a database's files are no longer those that were opened. What
// was committed to files that are gone would be lost, so nothing more is.
type Guard struct {
	database string
	logger   *slog.Logger
	changed  func() // called under the lock when the files are lost, or back; nil: not called
	lock     *Lock  // nil if read-only
	fixed    bool   // the database file never becomes shorter

	mu struct {
		sync.Mutex
		is        map[string]os.FileInfo    // by suffix, those that are to stay
		size      int64                     // of the database, when last looked at
		frames    int                       // of the WAL, the same
		head      [pages.WALHeaderSize]byte // the same
		truncated error                     // or overwritten: for good, what was there does not come back
	}
	inode *Inode   // nil if read-only
	wal   *os.File // nil while there is none to look at
	lost  atomic.Pointer[lossError]
	began time.Time
	ended chan struct{}

	// Owned by the writer.
	commits   int                 // since the last look
	lookedAt  int64               // when it looked, in nanoseconds since began
	walNeeds  func() (frames int) // that are committed in the WAL
	walBegins *mapped.Head
	frameSize int64

	series struct {
		sync.Mutex
		head [pages.WALHeaderSize]byte // of the WAL when the writer last stamped it
	}
	closed atomic.Bool // files that go from here on are taken by Close
}

// lossError says what has become of a file, and since when.
type lossError struct {
	text  string
	since time.Time
}

func (e *lossError) Error() string { return e.text + ": " + kv.FileLostError.Error() }
func (e *lossError) Unwrap() error { return kv.FileLostError }

// NewGuard is one for the files of a database; lock and inode are nil for a store that does not own
// it. changed may be nil, and is called when the files are lost or back.
func NewGuard(database string, lock *Lock, inode *Inode, logger *slog.Logger, changed func()) *Guard {
	g := &Guard{database: database, lock: lock, inode: inode, logger: logger, changed: changed, began: time.Now(), fixed: true, ended: make(chan struct{})}
	g.mu.is = make(map[string]os.FileInfo)
	return g
}

// Watch takes down what the files with these suffixes are, from when on they are to
// stay. A file that is not there is left out.
func (g *Guard) Watch(suffixes ...string) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, suffix := range suffixes {
		info, err := disk.Lstat(g.database + suffix)
		if errors.Is(err, fs.ErrNotExist) && suffix != "" {
			delete(g.mu.is, suffix)
			continue
		}
		if err != nil {
			return err
		}
		g.mu.is[suffix] = info
	}
	return nil
}

// WatchWAL has the WAL's length looked at. It is the writer's.
func (g *Guard) WatchWAL(frameSize int64, needs func() int) (err error) {
	g.walNeeds, g.frameSize = needs, frameSize
	if g.wal, err = OpenNoFollow(g.database+WALSuffix, os.O_RDONLY, 0); err != nil {
		return err
	}
	g.walBegins = mapped.NewHead(g.wal, pages.WALHeaderSize, false)
	g.restarted()
	return nil
}

// Committed takes down that there was a commit, and how the WAL is if that may have
// begun it anew. Called by the writer.
func (g *Guard) Committed(anew bool) {
	g.commits++
	if anew {
		g.restarted()
	}
}

// restarted takes down how the WAL begins. If it has become shorter, then by no
// program but SQLite.
func (g *Guard) restarted() {
	if g.wal == nil {
		return
	}
	g.series.Lock()
	defer g.series.Unlock()
	if !g.walBegins.Load(g.series.head[:]) {
		g.series.head = [pages.WALHeaderSize]byte{}
	}
}

// overwritten says whether the content of a file is another program's by now: the
// database's header no longer says that there is a WAL, or the lock is not signed.
func (g *Guard) overwritten() error {
	suffix := ""
	switch {
	case g.inode != nil && !g.inode.inWALMode():
	case g.lock != nil && !g.lock.signed():
		suffix = LockSuffix
	default:
		return nil
	}
	return fmt.Errorf("%s%s was overwritten while the store had it open: close the store and open it anew", g.database, suffix)
}

// Before is called by the writer before each transaction: nothing may be written
// after an error.
func (g *Guard) Before() error {
	due := g.lost.Load() != nil || g.commits >= guardCommits || time.Since(g.began).Nanoseconds()-g.lookedAt > int64(guardPause)
	if is := g.walIs(); !due && (is == walSame || is == walAnew) {
		return nil
	}
	g.commits, g.lookedAt = 0, time.Since(g.began).Nanoseconds()
	return g.Last()
}

// Last is before without a transaction to follow: a WAL that was cut must not be
// moved into the database either.
func (g *Guard) Last() error {
	if g.wal != nil {
		g.lookAtWAL(g.walNeeds)
	}
	return g.look(true)
}

// Sound is what a checkpoint asks first, of a WAL in which so many frames are committed:
// what was cut or overwritten must not be moved into the database.
func (g *Guard) Sound(needs func() (frames int)) error {
	if g.wal != nil {
		g.lookAtWAL(needs)
	}
	return g.look(false)
}

// lookAtWAL notes that the WAL was cut or overwritten: it must have so many frames, of
// which the last is of its series, and the one that was the last at the look
// before: where it was cut and has grown again there is a hole.
func (g *Guard) lookAtWAL(needs func() (frames int)) {
	g.mu.Lock()
	defer g.mu.Unlock()
	what := ""
	for {
		var head, still [pages.WALHeaderSize]byte
		g.walBegins.Load(head[:])
		frames := needs()
		if what = g.walLacks(head, frames); what == "" {
			g.mu.head, g.mu.frames = head, frames
			return
		}
		// A goroutine other than the writer's may have counted before the writer began the
		// WAL anew, and looked at it after. SQLite resets the count first: see walRestartHdr.
		if g.walBegins.Load(still[:]); still == head {
			break
		}
	}
	g.mu.truncated = fmt.Errorf("%s%s was %s while the store had it open: close the store, and restore a backup if it then does not open whole",
		g.database, WALSuffix, what)
}

// walLacks says what has become of a WAL that begins so and of which so many frames are
// committed; nothing if it has them. It is called under the lock.
func (g *Guard) walLacks(head [pages.WALHeaderSize]byte, frames int) (what string) {
	before := g.mu.frames
	if head != g.mu.head {
		before = 0
	}
	switch is := g.walIs(); {
	case is == walForeign:
		return "overwritten"
	case frames > 0 && (is == walGone || !g.hasFrame(frames) || before > 0 && before <= frames && !g.hasFrame(before)):
		return "truncated or overwritten"
	}
	return ""
}

// hasFrame reports whether the WAL has a frame, by its number from 1, that is of the
// series that the WAL begins with. A frame that can't be read for another reason counts.
func (g *Guard) hasFrame(number int) bool {
	var head [pages.WALHeaderSize]byte
	var frame [pages.FrameHeaderSize]byte
	if !g.walBegins.Load(head[:]) {
		return false
	}
	n, err := disk.ReadAt(g.wal, frame[:], pages.WALHeaderSize+int64(number-1)*g.frameSize)
	if err != nil && !errors.Is(err, io.EOF) {
		return true
	}
	return n == len(frame) && [8]byte(frame[8:16]) == [8]byte(head[16:24])
}

// walIs says what the beginning of the WAL is, beside what it was when the writer last
// stamped it.
func (g *Guard) walIs() walSeries {
	const series = 8
	if g.wal == nil {
		return walSame
	}
	g.series.Lock()
	was := g.series.head
	g.series.Unlock()
	var is [pages.WALHeaderSize]byte
	switch {
	case !g.walBegins.Load(is[:]):
		return walGone
	case is == was:
		return walSame
	case binary.BigEndian.Uint32(is[16:])-binary.BigEndian.Uint32(was[16:]) <= series || was == [pages.WALHeaderSize]byte{}:
		return walAnew
	default:
		return walForeign
	}
}

// walSeries tells the WALs of one database apart: at every new beginning the salt is
// counted up by one.
type walSeries int

const (
	walSame    walSeries = iota
	walAnew              // it has begun anew, after a checkpoint of another program's
	walGone              // it is empty: cut, or after such a checkpoint
	walForeign           // another program's
)

// Check looks at all files, and says what is wrong with them. There is no guard
// where no program can take the files away.
func (g *Guard) Check() error {
	if g == nil {
		return nil
	}
	return g.look(false)
}

func (g *Guard) look(writer bool) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !writer && g.closed.Load() {
		return g.Err() // Close may have taken what is missing
	}
	reason := g.mu.truncated
	if reason == nil {
		reason = g.compare(writer)
	}
	switch before := g.lost.Load(); {
	case reason == nil && before != nil:
		g.lost.Store(nil)
		g.logger.Info("the store's files are back; it writes again", "path", g.database)
		g.tell()
	case reason != nil && before == nil:
		g.lost.Store(&lossError{reason.Error(), time.Now()})
		g.logger.Error("the store has lost its file and refuses to write", "path", g.database, "reason", reason.Error())
		g.tell()
	}
	return g.Err()
}

func (g *Guard) tell() {
	if g.changed != nil {
		g.changed()
	}
}

// Since is when the files were lost, zero if they are not.
func (g *Guard) Since() time.Time {
	if lost := g.lost.Load(); lost != nil {
		return lost.since
	}
	return time.Time{}
}

// Err is what is wrong, as it was last seen.
func (g *Guard) Err() error {
	if lost := g.lost.Load(); lost != nil {
		return lost
	}
	return nil
}

// compare is called under the lock.
func (g *Guard) compare(writer bool) error {
	for _, suffix := range []string{"", WALSuffix, SHMSuffix, LockSuffix} {
		was, watched := g.mu.is[suffix]
		if !watched {
			continue
		}
		is, err := disk.Lstat(g.database + suffix)
		switch {
		case err == nil && os.SameFile(was, is):
			if suffix != "" {
				continue
			}
			if g.mu.truncated = g.overwritten(); g.mu.truncated != nil {
				return g.mu.truncated
			}
			if size := is.Size(); g.fixed && size < g.mu.size {
				g.mu.truncated = fmt.Errorf("%s was truncated from %d to %d bytes while the store had it open: restore a backup", g.database, g.mu.size, size)
				return g.mu.truncated
			}
			g.mu.size = is.Size()
		case suffix == LockSuffix && g.relock(writer):
		case errors.Is(err, fs.ErrNotExist):
			return fmt.Errorf("%s%s was removed or moved away while the store had it open: put it back, "+
				"or close the store and open it where it is", g.database, suffix)
		case err != nil:
			return err
		default:
			return replacedError(g.database + suffix)
		}
	}
	return nil
}

// relock makes the lock file anew if it is gone and the store still owns the
// database itself. Only the writer does, which notes revisions there. It is called
// under the lock.
func (g *Guard) relock(writer bool) bool {
	if g.lock == nil || !CanProtect || !writer {
		return false
	}
	l, err := Acquire(g.database)
	if err != nil {
		return false
	}
	info, err := l.file.Stat()
	if err != nil {
		l.Abandon()
		return false
	}
	g.lock.become(l)
	g.mu.is[LockSuffix] = info
	g.logger.Warn("the store's lock file was removed, and is made anew", "path", l.path)
	return true
}

// Closing says that files that go from here on are taken by the store itself.
func (g *Guard) Closing() { g.closed.Store(true) }

// Database is the file's descriptor, which must not be closed; nil if the store only reads it.
func (g *Guard) Database() (*os.File, error) {
	if g.inode == nil {
		return nil, nil
	}
	return g.inode.Database(g.database)
}

// WAL is the WAL that is looked at, nil if there is none.
func (g *Guard) WAL() *os.File { return g.wal }

// WALIsSame reports whether the WAL begins as when the writer last stamped it.
func (g *Guard) WALIsSame() bool { return g.walIs() == walSame }

// MayShrink reports whether the database file may become shorter than it was.
func (g *Guard) MayShrink() bool { return !g.fixed }

// Shrinks has a database become shorter than it was, whenever a checkpoint comes to it.
func (g *Guard) Shrinks() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.fixed = false
}

// Run looks at the files of a store at rest until done is closed, and calls then each
// time that it has.
func (g *Guard) Run(done <-chan struct{}, then func()) {
	defer close(g.ended)
	timer := time.NewTicker(guardInterval)
	defer timer.Stop()
	for {
		select {
		case <-done:
			return
		case <-timer.C:
			_ = g.Check() // it is told to callers that write or ask, and logged
			then()
		}
	}
}

// Stop waits for run, which ends when the database is closed.
func (g *Guard) Stop() error {
	<-g.ended
	return nil
}

// Release closes what was looked at. Nothing is looked at any more.
func (g *Guard) Release() error {
	if g.wal == nil {
		return nil
	}
	return errors.Join(g.walBegins.Unmap(), g.wal.Close())
}

func replacedError(path string) error {
	return fmt.Errorf("%s was replaced by another file while the store had it open: put it back, or close the store and open it anew", path)
}
