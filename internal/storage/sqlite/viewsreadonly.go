package sqlite

import (
	"errors"
	"os"
	"runtime"
	"time"

	"forge.lthn.ai/core/go-store/internal/storage/mapped"
	"forge.lthn.ai/core/go-store/internal/storage/ownership"

	"zombiezen.com/go/sqlite"
)

// A store that does not own its file reads by views too, but feeds them by itself: a
// reader that finds a new commit catches up at once. And its anchors are brief: one
// that is open keeps the owner's WAL from beginning anew, so while it is being read the
// store changes it every few milliseconds, and as soon as it is all that is in the way; at
// rest it has none.

// brief is how long an anchor of a store lasts that does not own its file, while there
// are reads; once there are none it ends with the next tick. A new one costs some 50 µs.
const brief = 2 * time.Millisecond

const immutable = "immutable=1"

// openViewsToRead has the pages of a file be read that this store does not own. Files in
// rollback mode are SQLite's, as there an anchor would lock writers out, and so is a WAL
// whose owner was killed, since what its index says is not to be trusted: SQLite makes one
// of its own.
func (d *Database) openViewsToRead(inode *ownership.Inode, f *found, config Config) (*views, error) {
	if config.NoPages || !f.wal || d.parameter != "" && d.parameter != immutable {
		return nil, nil
	}
	file, err := inode.Database(d.path)
	if err != nil {
		return nil, notRead(config, err)
	}
	plain := !mapped.CanMap || config.NoMmap
	s := newViews(&d.changes, nil, mapped.File{File: file, Plain: plain}, mapped.File{Plain: plain}, config.Logger, d.anchorConnection(config))
	s.follower, s.events = newFollower(config), d.events
	open := func() error { return s.openBeside(d.path, inode, config) }
	if d.parameter == immutable {
		open = s.openStill
	}
	if err := open(); err != nil {
		return nil, notRead(config, errors.Join(err, s.close()))
	}
	return s, nil
}

// openBeside looks at the WAL of a live owner.
func (s *views) openBeside(path string, inode *ownership.Inode, config Config) error {
	s.brief = brief
	// SQLite removes neither the WAL nor its index while there is a connection.
	a, err := s.anchor()
	if err != nil {
		return err
	}
	s.rest(a)
	if err := errors.Join(a.open(), a.close()); err != nil {
		return err
	}
	if s.WAL.File, err = ownership.OpenNoFollow(path+ownership.WALSuffix, os.O_RDONLY, 0); err != nil {
		return err
	}
	s.ownsWAL = true
	s.Index, err = openIndex(inode, path, config.readIndex)
	return err
}

// openStill publishes the view of a file that does not change, which is good for as long
// as the store is open.
func (s *views) openStill() (err error) {
	conn, err := s.connect()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	v, err := s.still(conn)
	if errors.Is(err, errUnread) {
		return nil // SQLite reads the table
	}
	if err == nil {
		s.current.Store(v)
	}
	return err
}

func (s *views) still(conn *sqlite.Conn) (*view, error) {
	cookie, err := queryInt(conn, "PRAGMA schema_version")
	if err != nil {
		return nil, err
	}
	pages, err := queryInt(conn, "PRAGMA page_count")
	if err != nil {
		return nil, err
	}
	if s.shape, err = readShape(conn, uint32(cookie)); err != nil {
		return nil, err
	}
	if s.shape == nil {
		return nil, errUnread
	}
	v := &view{anchor: new(anchor), drained: s.drained, sequence: s.sequence.Before(), shape: s.shape}
	if v.Pages, err = s.Still(s.shape.pageSize, uint32(pages)); err != nil {
		return nil, err
	}
	header, err := v.Header()
	if err != nil {
		return nil, err
	}
	v.ready(header.Size - header.Reserved)
	return v, s.follow(v)
}

// fetch is look for a store that does not own its file.
func (s *views) fetch(pinned func(*view) pin) (p pin, ok bool) {
	const tries = 8
	for range tries {
		if v := s.current.Load(); v != nil {
			if p, ok = s.tryBrief(v, pinned); ok {
				return p, true
			}
		}
		if s.refused.Load() {
			break
		}
		if !s.catchUp() {
			runtime.Gosched() // another goroutine does
		}
	}
	return pin{}, false
}

// tryBrief is try, unless the view is one to give up for the next. It is pinned first: Close
// takes the index's memory away once nothing is.
func (s *views) tryBrief(v *view, pinned func(*view) pin) (p pin, ok bool) {
	if p, ok = s.try(v, pinned); !ok || s.inTheWay(p) && s.giveWay(p) {
		return pin{}, false
	}
	if !s.looked.Load() {
		s.looked.Store(true)
	}
	return p, true
}

// inTheWay reports whether all of the WAL is in the database and it could begin anew but
// for this view: the next one will not look at it.
func (s *views) inTheWay(p pin) bool {
	if p.view.Last == 0 || s.Index.Memory == nil {
		return false
	}
	moved, _ := s.Index.Backfilled()
	return moved >= p.view.Last
}

// giveWay releases the pin and changes the anchor, unless another goroutine is at work
// there.
func (s *views) giveWay(p pin) (done bool) {
	if !s.mu.TryLock() {
		return false
	}
	defer s.mu.Unlock()
	p.release()
	s.renewed(s.renew())
	return true
}

// alight has the anchor of the view that was published be changed soon. It is called
// under the lock.
func (s *views) alight() {
	if s.brief == 0 || s.shut {
		return
	}
	if s.timer == nil {
		s.timer = time.AfterFunc(s.brief, s.tick)
		return
	}
	s.timer.Reset(s.brief)
}

// tick changes the anchor or, if no reader has looked since the last, ends it.
func (s *views) tick() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.shut {
		return
	}
	if s.looked.Swap(false) {
		s.renewed(s.renew())
	} else {
		s.replace(nil)
		s.end()
	}
	if s.current.Load() == nil && len(s.retired) > 0 {
		s.timer.Reset(10 * s.brief) // a reader of one holds the WAL in any case
	}
}
