package sqlite

import (
	"errors"
	"log/slog"
	"os"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"forge.lthn.ai/core/go-store/internal/planted"
	"forge.lthn.ai/core/go-store/internal/storage/mapped"
	"forge.lthn.ai/core/go-store/internal/storage/moment"
	"forge.lthn.ai/core/go-store/internal/storage/overlay"
	"forge.lthn.ai/core/go-store/internal/storage/ownership"
	"forge.lthn.ai/core/go-store/internal/storage/sequence"
	"forge.lthn.ai/core/go-store/kv"

	"zombiezen.com/go/sqlite"
)

// views lets the database be read without SQLite: it publishes a view of what is
// committed after each COMMIT, and keeps its pages in place with anchors.
//
// Three things make a read linearizable beside those that SQLite answers:
//
//   - A view is published after COMMIT and before its callers are answered.
//   - A reader that takes one looks whether the shared memory names its commit still. While it
//     does, no connection has seen a later one; if it does not, one is just being
//     published, or was made by another program: the reader waits for the view a moment,
//     and then asks SQLite.
//   - A view is never behind its anchor. So of every page that a checkpoint may write
//     into the database, the view reads a frame of the WAL instead.
//
// See docs/adr/0055-reads-of-the-files-pages.md.
type views struct {
	connect  func() (*sqlite.Conn, error) // for an anchor
	sequence *sequence.Sequence
	logger   *slog.Logger
	current  atomic.Pointer[view] // nil: SQLite is to be asked
	drained  chan struct{}        // capacity one: a retired anchor may be free

	// writing says that the writer has something to do. Readers never wait, so with more
	// of them than processors the writer would have its turn only when each has had its
	// time slice: they let others run after each read then.
	writing atomic.Bool

	brief   time.Duration // how long an anchor may last; 0: as long as no checkpoint is in need
	looked  atomic.Bool   // a view was taken since the last tick
	refused atomic.Bool   // the table is one for SQLite, or a view can't be had

	// mu is held from before a COMMIT until its view is published, and while anchors
	// change.
	mu            sync.Mutex
	moment.Source // its index is looked at without it, while a view is published
	shape         *shape
	state         *overlay.State // that belongs to what is committed; nil: there is no overlay
	folded        overlay.Cursor
	blind         bool                                // it is not known which: there is no view
	follower      *follower                           // of a store that does not own its file
	events        func(kv.LogRow) ([]kv.Event, error) // what it reads the log's records with
	idle, retired []*anchor
	warned        bool
	ownsWAL       bool        // the WAL's descriptor is the views' alone
	timer         *time.Timer // of brief anchors; nil until there is one
	shut          bool

	figures struct{ frames, behind atomic.Int64 } // of the WAL, at the last look
}

// openViews has the pages of an owned database be read, where the table is one that can
// be read so. Otherwise there are none.
func (d *Database) openViews(w *fileWriter, config Config) (*views, error) {
	if config.NoPages || w.guard.WAL() == nil {
		return nil, nil
	}
	index, err := openIndex(w.inode, d.path, config.readIndex)
	if err != nil {
		return nil, notRead(config, err)
	}
	plain := !mapped.CanMap || config.NoMmap
	s := newViews(&d.changes, index, mapped.File{File: w.inode.Opened(), Plain: plain}, mapped.File{File: w.guard.WAL(), Plain: plain}, config.Logger, d.anchorConnection(config))
	s.step(0)
	return s, nil
}

// openIndex looks at the index of the WAL of a database that is open.
func openIndex(i *ownership.Inode, path string, read bool) (*moment.Index, error) {
	// Elsewhere SQLite's locks would go if it were closed; on Windows no program could remove
	// it while it is open.
	owned := runtime.GOOS == "windows"
	open := i.SharedMemory
	if owned {
		open = func(path string) (*os.File, error) {
			return ownership.OpenNoFollow(path+ownership.SHMSuffix, os.O_RDONLY, 0)
		}
	}
	file, err := open(path)
	if err != nil {
		return nil, err
	}
	return moment.NewIndex(file, owned, read)
}

// anchorConnection opens one for an anchor.
func (d *Database) anchorConnection(config Config) func() (*sqlite.Conn, error) {
	return func() (*sqlite.Conn, error) {
		conn, err := d.openToRead(pragmas(reading, config.Durability, anchorCacheKiB), nil)
		if err == nil {
			// What lies at the name may be another file by now.
			if lost := d.guard.Check(); lost != nil {
				return nil, errors.Join(lost, conn.Close())
			}
		}
		return conn, err
	}
}

// notRead: the store works without.
func notRead(config Config, err error) error {
	config.Logger.Debug("the store's pages are not read directly: SQLite reads them", "error", err)
	return nil
}

// anchorCacheKiB is the page cache of an anchor, which reads one page.
const anchorCacheKiB = 16

func newViews(s *sequence.Sequence, index *moment.Index, database, wal mapped.File, logger *slog.Logger, connect func() (*sqlite.Conn, error)) *views {
	return &views{connect: connect, sequence: s, logger: logger,
		Source: moment.NewSource(index, database, wal, checkpointPages), drained: make(chan struct{}, 1)}
}

// look pins what is committed now. Not ok: SQLite is to be asked.
func (s *views) look() (p pin, ok bool) { return s.lookBy((*view).pinned) }

// lookBy is look with what pins a view.
func (s *views) lookBy(pinned func(*view) pin) (p pin, ok bool) {
	if s.brief > 0 {
		return s.fetch(pinned)
	}
	const tries = 4
	for i := range tries + 1 {
		v := s.current.Load()
		if v == nil {
			return pin{}, false
		}
		if p, ok = s.try(v, pinned); ok {
			return p, true
		}
		if i < tries-1 {
			runtime.Gosched() // a commit is visible, and its view about to be published
		} else if i == tries-1 {
			s.catchUp()
		}
	}
	return pin{}, false
}

// try pins a view if it shows what is committed now. In this order: to retire an
// anchor is to publish another view first, and to look for pins after it. It is the view that is
// compared, and not its anchor, which may have served another view meanwhile; and the
// index is there for as long as a view is published.
func (s *views) try(v *view, pinned func(*view) pin) (p pin, ok bool) {
	p = pinned(v)
	defer func() {
		if !ok { // or there was a fault
			p.release()
		}
	}()
	if s.current.Load() != v || s.Index == nil {
		return p, s.Index == nil && s.current.Load() == v
	}
	change, read := s.Index.Change()
	ok = read && change == v.Change
	return p, ok
}

// pinAny pins the view that was published last, which may be about to be followed by another:
// for what does not change between the two.
func (s *views) pinAny() (p pin, ok bool) {
	for {
		v := s.current.Load()
		if v == nil {
			return pin{}, false
		}
		if p = v.pinPages(); s.current.Load() == v {
			return p, true
		}
		p.release()
	}
}

// catchUp publishes what was not published: commits of other programs, and those
// that the store makes of its own accord.
func (s *views) catchUp() (done bool) {
	if !s.mu.TryLock() {
		return false
	}
	defer s.mu.Unlock()
	s.publish(s.sequence.Before())
	if v := s.current.Load(); s.brief > 0 && (v == nil || time.Since(v.anchor.since) > s.brief) {
		s.renewed(s.renew())
	}
	return true
}

// keepUp is called now and then. Where another program commits, and this one does not,
// nothing else would let the WAL begin anew; and views that could not be had are tried
// again. Of a file that does not change there is nothing to keep up with.
func (s *views) keepUp() {
	if s == nil || s.Index == nil || !s.mu.TryLock() {
		return
	}
	defer s.mu.Unlock()
	if s.brief > 0 {
		s.refused.Store(false) // it may be had by now
		return
	}
	s.publish(s.sequence.Before())
	v := s.current.Load()
	if v == nil && !s.refused.Load() || v != nil && v.Last > v.anchor.from+checkpointPages {
		s.renewed(s.renew())
	}
}

// committing calls commit and publishes what has come of it.
func (s *views) committing(commit func() error) error { return s.publishing(commit, nil) }

// publishing is committing for what the overlay takes part in: shown says, after commit,
// what of it belongs to what is committed now. If commit fails it may not be known, and there
// is no view until sighted.
func (s *views) publishing(commit func() error, shown func() (*overlay.State, overlay.Cursor)) error {
	if s == nil {
		err := commit()
		if err == nil && shown != nil {
			shown()
		}
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if planted.ViewEarly {
		if old := s.current.Load(); old != nil {
			early := *old
			early.Change++
			s.current.Store(&early)
		}
	}
	known := shown == nil
	defer func() {
		if !known { // or there was a panic
			s.blind = true
			s.replace(nil)
			s.end()
		}
	}()
	if planted.OverlayEarly && shown != nil {
		s.state, s.folded = shown()
		s.publish(s.sequence.Before())
	}
	err := commit()
	switch {
	case shown == nil:
	case err != nil:
		return err
	default:
		known = true
		s.state, s.folded = shown()
		if s.blind { // by one before, of which it is known now what has become of it
			s.blind, s.Cache = false, nil
			s.renewed(s.renew())
			return nil
		}
	}
	s.publish(s.sequence.After())
	return err
}

// sighted has views again, of what the overlay shows.
func (s *views) sighted(shown func() (*overlay.State, overlay.Cursor)) {
	if s == nil {
		shown()
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.blind = false
	s.state, s.folded = shown()
	s.Cache = nil // it may be older than what was committed meanwhile
	s.renewed(s.renew())
}

// busy says whether the writer has something to do.
func (s *views) busy(is bool) {
	if s != nil {
		s.writing.Store(is)
	}
}

// publish makes what is committed visible. It is called under the lock, while no COMMIT
// runs.
func (s *views) publish(sequence uint64) {
	old := s.current.Load()
	if old == nil || s.Index == nil {
		return
	}
	v := *old
	v.sequence, v.over, v.folded = sequence, s.state, s.folded
	if err := s.advance(&v, false); err != nil {
		if errors.Is(err, moment.BusyError) && v.over == old.over {
			return // by another program: the next one
		}
		s.Cache = nil // it may be older than what was committed meanwhile
		s.renewed(s.renew())
		return
	}
	s.current.Store(&v)
	s.follower.prune()
	s.end()
}

var errShape = errors.New("the schema has changed")

// advance brings a view to what is committed. It is called under the lock. anew: its
// anchor is, and all of the WAL may be in the database.
func (s *views) advance(v *view, anew bool) (err error) {
	defer moment.OnFault(debug.SetPanicOnFault(true), &err)
	changed, err := s.Advance(&v.Pages, anew)
	if err != nil {
		return err
	}
	if !changed {
		v.ready(v.table.Pages.Usable)
		return nil
	}
	header, err := v.Header()
	if err != nil {
		return err
	}
	if header.SchemaCookie != v.shape.cookie || header.Size != v.shape.pageSize {
		return errShape
	}
	v.ready(header.Size - header.Reserved)
	if s.follower != nil {
		return s.follow(v)
	}
	return nil
}

// renew has views rely on a new anchor. It is called under the lock.
func (s *views) renew() error {
	if s.shut {
		return nil
	}
	if s.blind {
		return errUnread
	}
	// A fault in SQLite's own code would leave its locks behind.
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(false))
	a, err := s.anchor()
	if err != nil {
		return err
	}
	v, err := s.beginWith(a)
	if err != nil {
		err = errors.Join(err, a.close())
		s.rest(a)
		return err
	}
	s.replace(v)
	s.follower.prune()
	s.end()
	return nil
}

// anchor is one that is at rest.
func (s *views) anchor() (*anchor, error) {
	if n := len(s.idle); n > 0 {
		a := s.idle[n-1]
		s.idle = s.idle[:n-1]
		return a, nil
	}
	conn, err := s.connect()
	if err != nil {
		return nil, err
	}
	a := &anchor{conn: conn}
	err = prepareAll(conn, []statement{{&a.begin, "BEGIN"}, {&a.read, "SELECT rootpage FROM sqlite_schema LIMIT 1"}, {&a.end, "COMMIT"}})
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return a, nil
}

// beginWith opens an anchor and makes the view that relies on it first.
func (s *views) beginWith(a *anchor) (*view, error) {
	if err := a.open(); err != nil {
		return nil, err
	}
	cookie, err := queryInt(a.conn, "PRAGMA schema_version")
	if err != nil {
		return nil, err
	}
	if s.shape == nil || s.shape.cookie != uint32(cookie) {
		shape, err := readShape(a.conn, uint32(cookie))
		if err != nil {
			return nil, err
		}
		if shape == nil {
			return nil, errUnread
		}
		s.shape = shape
	}
	if s.current.Load() == nil {
		// Nothing has kept the WAL from beginning anew since the last view, twice even: a
		// page may have been written that no view knows of.
		s.Cache = nil
	}
	v := &view{anchor: a, drained: s.drained, sequence: s.sequence.Before(), Pages: s.Begin(s.shape.pageSize), shape: s.shape, over: s.state, folded: s.folded}
	const tries = 100
	for range tries { // another program commits at this moment, or begins the WAL anew
		if err = s.advance(v, true); !errors.Is(err, moment.BusyError) && !errors.Is(err, moment.RestartedError) {
			break
		}
		runtime.Gosched()
	}
	a.from, a.since = v.UpTo, time.Now()
	return v, err
}

// renewed has SQLite answer for as long as there is no view to be had.
func (s *views) renewed(err error) {
	unreadable := errors.Is(err, errUnread)
	// A commit beside a reader: what was seen of it soon fits together.
	passes := errors.Is(err, moment.BusyError) || errors.Is(err, errShape) || errors.Is(err, moment.RestartedError)
	s.refused.Store(unreadable || err != nil && s.brief > 0 && !passes)
	if err == nil {
		s.warned = false
		s.alight()
		return
	}
	s.replace(nil)
	if !unreadable && !isInterrupt(err) && !s.warned {
		s.warned = true
		s.logger.Warn("pages can't be read directly; SQLite reads them meanwhile", "error", err)
	}
	s.end()
}

// end ends the anchors that no view relies on any more. It is called under the lock.
func (s *views) end() {
	kept := s.retired[:0]
	for _, a := range s.retired {
		if a.pinned() && !planted.AnchorEarly {
			kept = append(kept, a)
			continue
		}
		if err := a.close(); err != nil && !isInterrupt(err) {
			s.logger.Warn("a read transaction can't be ended", "error", err)
		}
		s.rest(a)
	}
	clear(s.retired[len(kept):])
	s.retired = kept
}

// ended ends them, and reports whether none is left.
func (s *views) ended() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.end()
	return len(s.retired) == 0
}

// replace publishes a view of another anchor, or none, and retires the anchor of the one
// before. It is called under the lock.
func (s *views) replace(v *view) {
	if old := s.current.Swap(v); old != nil {
		old.anchor.retired.Store(true)
		s.retired = append(s.retired, old.anchor)
	}
}

// rest keeps an anchor for the next time, of which one at a time is needed, and one more
// for each that is still looked at.
func (s *views) rest(a *anchor) {
	const most = 2
	if a.conn == nil {
		return // of what does not change
	}
	if len(s.idle) < most {
		s.idle = append(s.idle, a)
	} else if err := a.conn.Close(); err != nil {
		s.logger.Warn("a connection can't be closed", "error", err)
	}
}

// drain ends the retired anchors, and waits for the readers of their views: for some
// turns of the scheduler, and then as long as it may. Where it may not wait there are only few
// turns: each may be a long one of the writer's.
func (s *views) drain(wait time.Duration) {
	turns := 64
	if wait <= 0 {
		turns = 4
	}
	for range turns {
		if s.ended() {
			return
		}
		runtime.Gosched()
	}
	if wait <= 0 {
		return
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	for !s.ended() {
		select {
		case <-s.drained:
		case <-timer.C:
			return
		}
	}
}

// checkpoint has no view in the way of a checkpoint of SQLite's, as far as they are not
// being looked at for longer than it may wait.
func (s *views) checkpoint(mode string, wait time.Duration, checkpoint func(mode string) (walLength, error)) (wal walLength, err error) {
	if s == nil {
		return checkpoint(mode)
	}
	s.step(wait)
	wal, err = checkpoint("PASSIVE")
	if err != nil || wal.rest() > 0 || mode == "PASSIVE" && wal.pages == 0 {
		wal.busy = wal.busy || mode != "PASSIVE"
		return wal, err
	}
	// All is in the database: from here on views don't look at the WAL, which can begin
	// anew under them.
	s.step(wait)
	if mode == "PASSIVE" {
		return wal, nil
	}
	return checkpoint(mode)
}

// step renews the anchor, and waits for the one before.
func (s *views) step(wait time.Duration) {
	s.mu.Lock()
	s.renewed(s.renew())
	s.mu.Unlock()
	s.drain(wait)
}

// close ends all anchors. A pin may be held only by a caller that releases it by itself.
func (s *views) close() (err error) {
	if s == nil {
		return nil
	}
	s.mu.Lock()
	s.shut = true
	if s.timer != nil {
		s.timer.Stop()
	}
	s.replace(nil)
	s.mu.Unlock()
	for !s.ended() {
		<-s.drained
	}
	for _, a := range s.idle {
		err = errors.Join(err, a.conn.Close())
	}
	s.idle = nil
	if s.ownsWAL {
		err = errors.Join(err, s.WAL.File.Close())
	}
	return errors.Join(err, s.Database.Unmap(), s.WAL.Unmap(), s.Index.Close())
}
