package btree

import "forge.lthn.ai/core/go-store/internal/storage/pages"

// IndexCursor goes through an index's entries, in interior pages too. It must not be
// copied while it is in use. After an error of a move it is nowhere.
type IndexCursor struct {
	path
	index  *Index
	record Record
}

// Reset has the cursor go through an index. Its buffers stay.
func (c *IndexCursor) Reset(x *Index) {
	c.index, c.pages, c.kind, c.depth = x, &x.Pages, indexes, -1
}

// First goes to the first entry.
func (c *IndexCursor) First() (ok bool, err error) {
	c.backward = false
	l, err := c.begin(c.index.Root)
	if err != nil {
		return false, err
	}
	if _, err := c.leftmost(l); err != nil {
		return false, err
	}
	return c.up(), nil
}

// Last goes to the last entry.
func (c *IndexCursor) Last() (ok bool, err error) {
	c.backward = true
	l, err := c.begin(c.index.Root)
	if err != nil {
		return false, err
	}
	if _, err := c.rightmost(l); err != nil {
		return false, err
	}
	return c.back(), nil
}

// SeekGE goes to the first entry that is not less than the key, which may be of fewer
// columns than the index: then all entries that begin with it are equal to it.
func (c *IndexCursor) SeekGE(key ...Value) (ok bool, err error) {
	if err := c.seek(key, before); err != nil {
		return false, err
	}
	return c.up(), nil
}

// SeekGT goes to the first entry that is greater than the key.
func (c *IndexCursor) SeekGT(key ...Value) (ok bool, err error) {
	if err := c.seek(key, behind); err != nil {
		return false, err
	}
	return c.up(), nil
}

// SeekLE goes to the last entry that is not greater than the key.
func (c *IndexCursor) SeekLE(key ...Value) (ok bool, err error) {
	if err := c.seek(key, behind); err != nil {
		return false, err
	}
	return c.back(), nil
}

// SeekLT goes to the last entry that is less than the key.
func (c *IndexCursor) SeekLT(key ...Value) (ok bool, err error) {
	if err := c.seek(key, before); err != nil {
		return false, err
	}
	return c.back(), nil
}

// seek goes to a leaf, to where the key would be there.
func (c *IndexCursor) seek(key []Value, to side) error {
	w := newProbe(key)
	l, err := c.begin(c.index.Root)
	for err == nil {
		if l.i, _, err = w.search(c.pages, &l.page, to); err != nil {
			return c.fail(err)
		}
		if l.leaf {
			return nil
		}
		l, err = c.down(l)
	}
	return err
}

// Next goes to the next entry.
func (c *IndexCursor) Next() (ok bool, err error) {
	if c.depth < 0 {
		return false, nil
	}
	l := &c.at[c.depth]
	l.i++
	if l.leaf && l.i < l.n {
		return true, nil
	}
	c.heading(false)
	if _, err := c.leftmost(l); err != nil {
		return false, err
	}
	return c.up(), nil
}

// Prev goes to the entry before.
func (c *IndexCursor) Prev() (ok bool, err error) {
	if c.depth < 0 {
		return false, nil
	}
	l := &c.at[c.depth]
	if !l.leaf {
		c.heading(true)
		l, err := c.down(l)
		if err != nil {
			return false, err
		}
		if _, err := c.rightmost(l); err != nil {
			return false, err
		}
	}
	return c.back(), nil
}

// Skip goes n entries on, without looking at those that it passes. It reads a leaf for
// each of theirs.
func (c *IndexCursor) Skip(n int) (ok bool, err error) {
	for n > 0 && c.depth >= 0 {
		l := &c.at[c.depth]
		if !l.leaf {
			if _, err := c.Next(); err != nil {
				return false, err
			}
			n--
			continue
		}
		step := min(n, l.n-l.i)
		l.i += step
		n -= step
		c.up()
	}
	return c.depth >= 0, nil
}

// up goes from behind the last entry of a leaf to the one above that follows.
func (c *IndexCursor) up() (ok bool) {
	for c.depth >= 0 && c.at[c.depth].i >= c.at[c.depth].n {
		c.depth--
	}
	return c.depth >= 0
}

// back goes from before a place to the entry before it.
func (c *IndexCursor) back() (ok bool) {
	for c.depth >= 0 && c.at[c.depth].i == 0 {
		c.depth--
	}
	if c.depth < 0 {
		return false
	}
	c.at[c.depth].i--
	return true
}

// Entry is the present one, of a cursor that is Valid. It is good until the cursor moves.
func (c *IndexCursor) Entry() (*Record, error) {
	l := &c.at[c.depth]
	if err := c.record.indexRecord(c.pages, &l.page, l.i); err != nil {
		return nil, err
	}
	return &c.record, nil
}

// Pair is the present entry, of an index of two columns that are both text. If they
// are not, it is a RefusedError: Entry has what they are.
func (c *IndexCursor) Pair() (first, second []byte, rowid int64, err error) {
	l := &c.at[c.depth]
	return c.record.pair(c.pages, &l.page, l.i)
}

// Gather appends the rowids of the entries from the present one on whose first column is a
// text, and whose second one is a text too, before end if that is bounded, and goes to the one
// behind them. It stops before, at an entry for Pair to tell of, and where rowids is full. It
// reports whether the cursor is at an entry.
func (c *IndexCursor) Gather(first, end string, bounded bool, rowids []int64) (_ []int64, ok bool, err error) {
	for c.depth >= 0 {
		l := &c.at[c.depth]
		for ; l.i < l.n; l.i++ {
			if len(rowids) == cap(rowids) {
				return rowids, true, nil
			}
			a, b, rest, to := l.split(l.i)
			if to == 0 || string(l.data[a:b]) != first || bounded && string(l.data[b:rest]) >= end {
				return rowids, true, nil
			}
			rowid, n := pages.ParseInteger(l.data[a-1], l.data[rest:to])
			if n != to-rest {
				return rowids, true, nil
			}
			rowids = append(rowids, rowid)
			if !l.leaf {
				break
			}
		}
		if l.i == l.n && l.leaf {
			c.up()
			continue
		}
		if _, err := c.Next(); err != nil {
			return rowids, false, err
		}
	}
	return rowids, false, nil
}

// Count is how many entries are not less than from, and less than to. No from is before
// all of them, no to behind all. It reads a leaf for each of theirs, and calls leaf then,
// if that is not nil: an error of it ends the count.
func (x *Index) Count(from, to []Value, leaf func() error) (n int, err error) {
	var c, end IndexCursor
	c.Reset(x)
	end.Reset(x)
	if len(from) > 0 && len(to) > 0 && compareKeys(from, to) >= 0 {
		return 0, nil
	}
	if len(to) > 0 {
		if _, err := end.SeekGE(to...); err != nil {
			return 0, err
		}
	}
	ok := false
	if len(from) > 0 {
		ok, err = c.SeekGE(from...)
	} else {
		ok, err = c.First()
	}
	for ok && err == nil {
		l := &c.at[c.depth]
		if c.depth == end.depth && l.number == end.at[end.depth].number {
			there := end.at[end.depth].i
			if l.i > there {
				return 0, l.damaged(reasonOrder)
			}
			if l.leaf || l.i == there {
				return n + there - l.i, nil
			}
		}
		if l.leaf {
			n += l.n - l.i
			l.i = l.n
			ok = c.up()
			if leaf != nil {
				err = leaf()
			}
			continue
		}
		n++
		ok, err = c.Next()
	}
	if err == nil && end.Valid() {
		err = end.at[end.depth].damaged(reasonOrder)
	}
	return n, err
}

func compareKeys(a, b []Value) int {
	for i := range min(len(a), len(b)) {
		if d := compareValues(&a[i], &b[i]); d != 0 {
			return d
		}
	}
	return len(a) - len(b)
}
