package sqlite

import (
	"forge.lthn.ai/core/go-store/internal/storage/btree"
	"forge.lthn.ai/core/go-store/internal/storage/moment"
	"forge.lthn.ai/core/go-store/internal/storage/overlay"
)

// view is the database as it was at one moment: its pages, read without SQLite, and the
// tables in them. It never changes while it is pinned.
type view struct {
	anchor  *anchor
	drained chan<- struct{} // told when a view of a retired anchor is released

	sequence uint64 // even: see sequence
	moment.Pages

	// What was committed and is not in the table yet, and how much of the frozen run is: nil,
	// and of no meaning, where everything is written to the table at once.
	over   *overlay.State
	folded overlay.Cursor

	shape *shape
	table btree.Table
	index btree.Index
}

// ready has the trees be read from the view's pages. It is called once the view is what
// it will be.
func (v *view) ready(usable int) {
	pages := btree.Pages{Source: &v.Pages, Size: v.Size, Usable: usable, Count: v.Count}
	v.table = btree.Table{Pages: pages, Root: v.shape.table}
	v.index = btree.Index{Pages: pages, Root: v.shape.index}
}

// errUnread says that SQLite is to be asked instead: it has the words for what is wrong,
// and knows what this reader does not.
var errUnread = moment.UnreadError
