package btree

// level is a page on the way from a tree's root to a cursor's place.
type level struct {
	page
	i int // of the cell that the cursor is at, or of the child that it is below
}

// path is that way.
type path struct {
	pages    *Pages
	kind     byte
	backward bool
	depth    int   // of the last level; -1: the cursor is nowhere
	left     int64 // pages that it may still come to, in this direction
	at       [deepest]level
}

// begin is at the root.
func (c *path) begin(root uint32) (*level, error) {
	c.depth = 0
	c.left = int64(c.pages.Count) + deepest
	l := &c.at[0]
	if err := c.pages.root(&l.page, root, c.kind); err != nil {
		return nil, c.fail(err)
	}
	l.i = 0
	return l, nil
}

// down goes to the child that l.i says.
func (c *path) down(l *level) (*level, error) {
	number, err := l.child(l.i)
	if err != nil {
		return nil, c.fail(err)
	}
	if c.depth+1 == deepest {
		return nil, c.fail(l.damaged(reasonDeep))
	}
	if c.left--; c.left < 0 {
		return nil, c.fail(l.damaged(reasonLoop))
	}
	c.depth++
	below := &c.at[c.depth]
	if err := c.pages.load(&below.page, number, l.number, c.kind); err != nil {
		return nil, c.fail(err)
	}
	below.i = 0
	return below, nil
}

// leftmost goes down to a leaf.
func (c *path) leftmost(l *level) (_ *level, err error) {
	for !l.leaf {
		if l, err = c.down(l); err != nil {
			return nil, err
		}
	}
	return l, nil
}

// rightmost goes down to a leaf, behind the last of everything.
func (c *path) rightmost(l *level) (_ *level, err error) {
	l.i = l.n
	for !l.leaf {
		if l, err = c.down(l); err != nil {
			return nil, err
		}
		l.i = l.n
	}
	return l, nil
}

// heading lets a cursor that turns round meet as many pages again.
func (c *path) heading(backward bool) {
	if c.backward != backward {
		c.backward = backward
		c.left = int64(c.pages.Count) + deepest
	}
}

// fail leaves the cursor nowhere.
func (c *path) fail(err error) error {
	c.depth = -1
	return err
}

// Valid reports whether the cursor is at something.
func (c *path) Valid() bool { return c.depth >= 0 }
