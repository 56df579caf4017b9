package sqlite

import (
	"errors"
	"sync"

	"forge.lthn.ai/core/go-store/internal/storage/btree"
	"forge.lthn.ai/core/go-store/internal/storage/overlay"
	"forge.lthn.ai/core/go-store/internal/storage/pages"
	"forge.lthn.ai/core/go-store/kv"
)

// A store that does not own its file reads the tail from whatever moment of the file it
// reads, as an overlay of its own. To that it adds what comes to the log; it begins anew
// once the table has all that it says, or when it has grown too large. So it never shows
// another moment than that of the pages, and there is nothing to be agreed with the owner,
// which folds the same changes below it at the same time.

// tailSource is the tail at one moment.
type tailSource interface {
	extent() (through, last uint64, whole bool, err error)
	each(through uint64, apply func(row kv.LogRow, events []kv.Event) error) (last uint64, err error)
}

// follower keeps up the overlay. Its moments never go back. One goroutine at a time uses it.
type follower struct {
	limit int64            // bytes that it may weigh before it is begun anew
	over  *overlay.Overlay // nil: the table has all that is committed
	last  uint64           // the overlay has what was committed up to it
}

// leastFollowed is how many bytes an overlay may weigh in any case.
const leastFollowed = 64 << 20

func newFollower(config Config) *follower {
	return &follower{limit: max(2*config.Overlay, leastFollowed)}
}

// follow is what is committed at the source's moment and not in the table, nil if that is
// nothing. The state is not pinned, and stays as it is until prune.
func (f *follower) follow(t tailSource) (_ *overlay.State, err error) {
	through, last, whole, err := t.extent()
	if err != nil {
		return nil, err
	}
	if whole {
		f.over, f.last = nil, 0
		return nil, nil
	}
	if f.over == nil || through > f.last || last < f.last || through == f.last && !f.over.Empty() || f.over.Bytes() > f.limit {
		f.over, f.last = overlay.NewOver(through), through
	}
	if last == f.last {
		return f.over.Published(), nil
	}
	defer func() {
		if err != nil {
			f.over = nil // it has a part
		}
	}()
	if last, err = t.each(f.last, func(_ kv.LogRow, events []kv.Event) error {
		for i := range events {
			f.over.Apply(&events[i])
		}
		return nil
	}); err != nil {
		return nil, err
	}
	f.last = last
	return f.over.Commit(last), nil
}

// prune lets go of what no reader sees any more, once the last state can be found by all.
func (f *follower) prune() {
	if f != nil && f.over != nil {
		f.over.Prune()
	}
}

// sqlFollower is that of the store's connections.
type sqlFollower struct {
	mu struct {
		sync.Mutex // held from before a transaction begins until its moment is known
		follower
	}
}

// startFollowing is start for a transaction and what the log had at its moment.
func (r *reader) startFollowing() (err error) {
	f := &r.database.follower.mu
	f.Lock()
	defer f.Unlock()
	if err := r.startSQL(); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			r.finish()
		}
	}()
	if _, err = f.follow(r.tail); err != nil || f.over == nil {
		return err
	}
	r.state = f.over.Pin()
	f.prune()
	return nil
}

// follow has a view show what the log has and its table has not.
func (s *views) follow(v *view) error {
	v.over = nil
	state, err := s.follower.follow(&pageTail{v, s.events})
	v.over, s.state = state, state
	if err != nil && (errors.Is(err, errUnread) || errors.As(err, new(*kv.CorruptLogError))) {
		return errUnread // SQLite has the words for what is wrong
	}
	return err
}

// pageTail reads the tail from a view's pages.
type pageTail struct {
	view   *view
	events func(kv.LogRow) ([]kv.Event, error)
}

func (t *pageTail) extent() (through, last uint64, whole bool, err error) {
	shape := t.view.shape
	if shape.folded < 0 {
		return 0, 0, true, nil
	}
	if shape.log == 0 || shape.meta == 0 {
		return 0, 0, false, errUnread
	}
	meta := btree.Table{Pages: t.view.table.Pages, Root: shape.meta}
	var c btree.TableCursor
	c.Reset(&meta)
	found, err := c.First()
	if err != nil || !found {
		return 0, 0, !found && err == nil, left(err)
	}
	row, err := c.Row()
	if err != nil {
		return 0, 0, false, left(err)
	}
	is, err := row.Column(shape.folded)
	switch {
	case err != nil:
		return 0, 0, false, left(err)
	case is.Kind == pages.Null || is.Kind == pages.Missing:
		return 0, 0, true, nil
	case is.Kind != pages.Integer || is.Int < 0 || is.Int > maxRevision:
		return 0, 0, false, errUnread
	}
	through = uint64(is.Int)
	if last, err = t.view.revision(); err != nil {
		return 0, 0, false, left(err)
	}
	if last < through {
		return 0, 0, false, errUnread // SQLite has the words
	}
	return through, last, false, nil
}

// The columns of the log, which is as we have made it.
const (
	columnFirst  = 1
	columnAt     = 2
	columnRecord = 4
)

func (t *pageTail) each(through uint64, apply func(row kv.LogRow, events []kv.Event) error) (last uint64, err error) {
	log := btree.Table{Pages: t.view.table.Pages, Root: t.view.shape.log}
	var c btree.TableCursor
	c.Reset(&log)
	last = through
	ok, err := c.SeekGE(int64(last + 1))
	for ; ok && err == nil; ok, err = c.Next() {
		row, err := t.row(&c)
		if err != nil {
			return last, left(err)
		}
		if err := applyNext(t.events, last, row, apply); err != nil {
			return last, err
		}
		last = row.Last
	}
	return last, left(err)
}

func (t *pageTail) row(c *btree.TableCursor) (row kv.LogRow, err error) {
	record, err := c.Row()
	if err != nil {
		return row, err
	}
	first, err := record.Column(columnFirst)
	if err != nil {
		return row, err
	}
	at, err := record.Column(columnAt)
	if err != nil {
		return row, err
	}
	kind, n, err := record.Measure(columnRecord)
	if err != nil {
		return row, err
	}
	if first.Kind != pages.Integer || at.Kind != pages.Integer || kind != pages.Blob {
		return row, errUnread
	}
	row = kv.LogRow{Last: uint64(c.Rowid()), First: uint64(first.Int), At: at.Int}
	row.Record, err = record.AppendColumn(make([]byte, 0, n), columnRecord)
	return row, err
}
