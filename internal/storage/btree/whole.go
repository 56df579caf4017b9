package btree

// Payload is the whole record as it is stored: a part of its page, or a copy if it is too
// large for that, which is good until the next is read into it.
func (r *Record) Payload() ([]byte, error) {
	if len(r.local) == r.size {
		return r.local, nil
	}
	return r.bytes(0, r.size)
}

// Count is how many rows there are. It reads a leaf for each of theirs, and calls leaf then,
// if that is not nil: an error of it ends the count.
func (t *Table) Count(leaf func() error) (n int64, err error) {
	var c TableCursor
	c.Reset(t)
	for ok, err := c.First(); ok || err != nil; ok, err = c.forward() {
		if err != nil {
			return 0, err
		}
		n += int64(c.at[c.depth].n)
		if leaf == nil {
			continue
		}
		if err := leaf(); err != nil {
			return 0, err
		}
	}
	return n, nil
}

// Span is the least and the greatest rowid. Not ok: there are no rows.
func (t *Table) Span() (least, greatest int64, ok bool, err error) {
	var c TableCursor
	c.Reset(t)
	if ok, err = c.First(); err != nil || !ok {
		return 0, 0, false, err
	}
	least = c.rowid
	if ok, err = c.Last(); err != nil || !ok {
		return 0, 0, false, err
	}
	return least, c.rowid, true, nil
}
