package btree

// TableCursor goes through a table's rows in the order of their rowids. It must not be
// copied while it is in use. After an error of a move it is nowhere.
type TableCursor struct {
	path
	table  *Table
	rowid  int64 // of the present row
	record Record
}

// Reset has the cursor go through a table. Its buffers stay.
func (c *TableCursor) Reset(t *Table) {
	c.table, c.pages, c.kind, c.depth = t, &t.Pages, tables, -1
}

// First goes to the first row.
func (c *TableCursor) First() (ok bool, err error) {
	c.backward = false
	l, err := c.begin(c.table.Root)
	if err != nil {
		return false, err
	}
	if l, err = c.leftmost(l); err != nil {
		return false, err
	}
	return c.here(l.n > 0)
}

// Last goes to the last row.
func (c *TableCursor) Last() (ok bool, err error) {
	c.backward = true
	l, err := c.begin(c.table.Root)
	if err != nil {
		return false, err
	}
	if l, err = c.rightmost(l); err != nil {
		return false, err
	}
	l.i--
	return c.here(l.n > 0)
}

// SeekGE goes to the first row whose rowid is not less.
func (c *TableCursor) SeekGE(rowid int64) (ok bool, err error) {
	c.backward = false
	l, err := c.seek(rowid)
	if err != nil {
		return false, err
	}
	if l.i < l.n {
		return c.here(true)
	}
	return c.forward()
}

// SeekLE goes to the last row whose rowid is not greater.
func (c *TableCursor) SeekLE(rowid int64) (ok bool, err error) {
	c.backward = true
	l, err := c.seek(rowid)
	if err != nil {
		return false, err
	}
	if l.i < l.n {
		if ok, err := c.here(true); err != nil || ok && c.rowid == rowid {
			return ok, err
		}
	}
	return c.back()
}

// seek goes to a leaf, to where a rowid would be there.
func (c *TableCursor) seek(rowid int64) (*level, error) {
	l, err := c.begin(c.table.Root)
	for err == nil {
		if l.i, err = l.lower(rowid); err != nil {
			return nil, c.fail(err)
		}
		if l.leaf {
			return l, nil
		}
		l, err = c.down(l)
	}
	return nil, err
}

// lower is the first cell whose rowid is not less.
func (p *page) lower(rowid int64) (int, error) {
	low, high := 0, p.n
	for low < high {
		mid := int(uint(low+high) / 2)
		key, ok := p.key(mid)
		if !ok {
			return 0, p.damaged(reasonCell)
		}
		if key < rowid {
			low = mid + 1
		} else {
			high = mid
		}
	}
	return low, nil
}

// Next goes to the next row.
func (c *TableCursor) Next() (ok bool, err error) {
	if c.depth < 0 {
		return false, nil
	}
	before := c.rowid
	if l := &c.at[c.depth]; l.i+1 < l.n {
		l.i++
		ok, err = c.here(true)
	} else {
		c.heading(false)
		ok, err = c.forward()
	}
	if ok && c.rowid <= before {
		return false, c.fail(c.at[c.depth].damaged(reasonOrder))
	}
	return ok, err
}

// Prev goes to the row before.
func (c *TableCursor) Prev() (ok bool, err error) {
	if c.depth < 0 {
		return false, nil
	}
	before := c.rowid
	c.heading(true)
	ok, err = c.back()
	if ok && c.rowid >= before {
		return false, c.fail(c.at[c.depth].damaged(reasonOrder))
	}
	return ok, err
}

// forward goes from a leaf to the first row of the next one.
func (c *TableCursor) forward() (ok bool, err error) {
	for c.depth--; c.depth >= 0; c.depth-- {
		l := &c.at[c.depth]
		if l.i == l.n {
			continue
		}
		l.i++
		if _, err := c.leftmost(l); err != nil {
			return false, err
		}
		return c.here(true)
	}
	return false, nil
}

// back goes from before a place in a leaf to the row before it.
func (c *TableCursor) back() (ok bool, err error) {
	for ; c.depth >= 0; c.depth-- {
		l := &c.at[c.depth]
		if l.i == 0 {
			continue
		}
		l.i--
		if !l.leaf {
			if l, err = c.down(l); err != nil {
				return false, err
			}
			if l, err = c.rightmost(l); err != nil {
				return false, err
			}
			l.i--
		}
		return c.here(true)
	}
	return false, nil
}

// here reads which row the cursor is at, if it is at one.
func (c *TableCursor) here(ok bool) (bool, error) {
	if !ok {
		c.depth = -1
		return false, nil
	}
	l := &c.at[c.depth]
	if c.rowid, ok = l.key(l.i); !ok {
		return false, c.fail(l.damaged(reasonCell))
	}
	return true, nil
}

// Rowid is the present row's.
func (c *TableCursor) Rowid() int64 { return c.rowid }

// Row is the present one, of a cursor that is Valid. It is good until the cursor moves.
func (c *TableCursor) Row() (*Record, error) {
	l := &c.at[c.depth]
	if err := c.record.tableRecord(c.pages, &l.page, l.i); err != nil {
		return nil, err
	}
	return &c.record, nil
}
