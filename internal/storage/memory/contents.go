package memory

import (
	"context"

	"forge.lthn.ai/core/go-store/kv"
)

// Contents is everything that a store holds, at one moment.
type Contents struct{ forest *forest }

// Contents pins what is committed now, until done is called.
func (m *Store) Contents(ctx context.Context) (c Contents, done func(), err error) {
	f, done, err := m.pinned(ctx)
	return Contents{f}, done, err
}

// Rows visits every row, dead or alive, in order, until visit says no.
func (c Contents) Rows(visit func(*kv.Row) bool) { c.forest.rows.Scan(visit) }

// Expiring is how many rows have a deadline, as the order of deadlines has it.
func (c Contents) Expiring() int { return c.forest.expiring.Len() }

// Log visits the rows of the log, the oldest first, each with what the records of the log
// are together at its end, counting those removed. It ends with the first error.
func (c Contents) Log(visit func(row kv.LogRow, end int64) error) error {
	l := &c.forest.log
	for i := range l.n {
		row := l.at(i)
		if err := visit(row.LogRow, row.end); err != nil {
			return err
		}
	}
	return nil
}

// Last is the last revision committed.
func (c Contents) Last() uint64 { return c.forest.log.last }

// Base is the revision that the log goes on from.
func (c Contents) Base() uint64 {
	if l := &c.forest.log; l.n > 0 {
		return l.at(0).First - 1
	}
	return c.Last()
}
