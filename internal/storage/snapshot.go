package storage

import (
	"context"
	"errors"
	"math"

	"forge.lthn.ai/core/go-store/kv"
)

// Snapshot is what was committed at one moment. One goroutine may use it, any;
// Close it always.
type Snapshot struct {
	hold   *hold   // a file's
	memory *memory // of ":memory:", frozen
}

// snapshot pins what is committed now on a connection of its own. The limit of
// held connections is not for it: the writer takes one now and then, and must
// not be refused because of some callers' loops.
func (p *pool) snapshot() (*Snapshot, error) {
	if err := p.check(context.Background()); err != nil {
		return nil, err
	}
	r, err := p.spare()
	if err != nil {
		return nil, err
	}
	h, owned := p.own(r, math.MaxInt)
	if !owned {
		return nil, errors.Join(kv.ClosedError, r.conn.Close())
	}
	s := &Snapshot{hold: h}
	err = h.use(func(r *reader) error {
		if err := run(r.begin); err != nil {
			return err
		}
		_, err := exists(r.pin) // a snapshot begins with its first read
		return err
	})
	if err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

// Usage counts the rows that are stored, dead ones too, and their groups.
func (s *Snapshot) Usage(r kv.Range) (usage kv.Usage, err error) {
	if s.memory != nil {
		return s.memory.usage(context.Background(), r, func(*kv.Row) bool { return true })
	}
	err = s.hold.use(func(c *reader) error {
		return numbers(c.physical, r, nil, usageInto(&usage))
	})
	return usage, err
}

// Close lets go of what was pinned. It may be called again.
func (s *Snapshot) Close() {
	if s.hold == nil {
		return
	}
	s.hold.release(func(r *reader) error {
		if r.conn.AutocommitEnabled() {
			return nil
		}
		return run(r.done)
	})
}
