package sqlite

import (
	"errors"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"forge.lthn.ai/core/go-store/internal/planted"
	"forge.lthn.ai/core/go-store/internal/storage/overlay"

	"zombiezen.com/go/sqlite"
)

// anchor is a read transaction of SQLite's that keeps the pages of views in place:
// while it is open no checkpoint, of whatever process, writes a page into the database
// that was committed after it began, nor does the WAL begin anew. All views of a time
// share one; it ends when none of them is looked at any more.
type anchor struct {
	conn             *sqlite.Conn
	begin, read, end *sqlite.Stmt
	from             uint32 // frames that the WAL had when it began
	since            time.Time
	retired          atomic.Bool // no view that is published relies on it
	pins             [anchorStripes]struct {
		n atomic.Int64
		_ [56]byte // one to a cache line
	}
}

const anchorStripes = 16

// open begins the transaction: with its first read, not with BEGIN.
func (a *anchor) open() error {
	if planted.AnchorIgnored {
		return nil
	}
	if err := run(a.begin); err != nil {
		return err
	}
	if _, err := exists(a.read); err != nil {
		return errors.Join(err, a.close())
	}
	return nil
}

// close ends the transaction.
func (a *anchor) close() error {
	a.retired.Store(false)
	if a.conn == nil || a.conn.AutocommitEnabled() {
		return nil
	}
	return run(a.end)
}

// pinned reports whether one of its views is being read. Once it is retired, no reader
// begins to.
func (a *anchor) pinned() bool {
	for i := range a.pins {
		if a.pins[i].n.Load() != 0 {
			return true
		}
	}
	return false
}

// pin keeps a view as it is until it is released, once.
type pin struct {
	view  *view
	n     *atomic.Int64
	state *overlay.State // that is retained with it, if any
}

// pinned keeps a view, which may have been replaced meanwhile.
func (v *view) pinned() pin {
	p := v.pinPages()
	if p.state = v.over; p.state != nil {
		p.state.Retain()
	}
	return p
}

// pinPages is pinned without what the overlay has: see State.Try.
func (v *view) pinPages() pin {
	n := &v.anchor.pins[rand.Uint32()%anchorStripes].n
	n.Add(1)
	return pin{view: v, n: n}
}

func (p pin) release() {
	if p.state != nil {
		p.state.Release()
	}
	p.n.Add(-1)
	if p.view.anchor.retired.Load() {
		select {
		case p.view.drained <- struct{}{}:
		default:
		}
	}
}
