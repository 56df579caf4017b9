package sqlite

import (
	"forge.lthn.ai/core/go-store/internal/storage/btree"
	"forge.lthn.ai/core/go-store/internal/storage/pages"
)

// revision is the last one that the view shows: that of the log's last row, or what an empty log goes on from.
func (v *view) revision() (revision uint64, err error) {
	if v.over != nil {
		return v.over.Revision(), nil
	}
	if v.shape.log == 0 || v.shape.meta == 0 {
		return 0, errUnread
	}
	var c btree.TableCursor
	log := btree.Table{Pages: v.table.Pages, Root: v.shape.log}
	c.Reset(&log)
	found, err := c.Last()
	if err != nil {
		return 0, err
	}
	if found {
		revision = uint64(c.Rowid()) // last_revision is the rowid
	} else {
		meta := btree.Table{Pages: v.table.Pages, Root: v.shape.meta}
		c.Reset(&meta)
		if found, err = c.First(); err != nil || !found {
			return 0, err
		}
		row, err := c.Row()
		if err != nil {
			return 0, err
		}
		base, err := row.Column(v.shape.base)
		if err != nil || base.Kind != pages.Integer && base.Kind != pages.Missing {
			return 0, faulty(err)
		}
		revision = uint64(base.Int)
	}
	if revision > maxRevision {
		return 0, impossible(revision, revision)
	}
	return revision, nil
}
