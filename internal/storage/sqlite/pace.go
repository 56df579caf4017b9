package sqlite

import (
	"context"
	"errors"
)

// pace is how far a read of a view's pages may go.
type pace struct {
	left  int          // steps: pages of an index, or rows
	check func() error // asked after each fewRows steps whether to go on; nil: no further than left
}

// short is the pace of a read that waits for no other read, and that no other need wait for.
func short() pace { return pace{left: fewRows} }

// long is the pace of a read that goes on until it is done, or ctx is, or the database closes.
func (p *pool) long(ctx context.Context) pace {
	return pace{left: fewRows, check: func() error { return p.check(ctx) }}
}

// errLong says that a read takes longer than a short one may.
var errLong = errors.New("more than a short read may take")

func (p *pace) step(n int) error {
	if p.left -= n; p.left >= 0 {
		return nil
	}
	if p.check == nil {
		return errLong
	}
	p.left = fewRows
	return p.check()
}

// one is step(1), as a function.
func (p *pace) one() error { return p.step(1) }

// fits says before so many steps whether they are too many.
func (p *pace) fits(n int) error {
	if p.check == nil && n > p.left {
		return errLong
	}
	return nil
}
