package sqlite

import "sync/atomic"

// A run that has been folded leaves memory once no reader reads it any more: a snapshot, or a
// long scan, keeps the runs that it began with. One keeps as much as the overlay's bound at
// most, but each that began at another time may keep others. So when runs that only such
// readers keep come to another bound, it is done as with those that keep a WAL from starting
// anew (see checkpoints): the gate is shut, so that open reads come to their end and no
// others take their place; from twice that bound on those are ended that are older than
// gateWait, and from three times that on all of them.

// leastHeld is how many bytes may be kept so in any case. Only tests change it.
var leastHeld int64 = 16 << 20

// heldRuns is what the goroutine of the checkpoints is asked for.
type heldRuns struct {
	parts atomic.Int64 // by the writer: how many times the bound is kept; 0: it did not ask
	gated int64        // the writer's: what was kept when the gate was last shut for it
}

// boundHeld looks at what is kept, when there may be more of it: a run was retired.
func (w *fileWriter) boundHeld() {
	c, held, bound := w.checkpoints, w.over.Held(), max(w.bound, leastHeld)
	if held < bound {
		c.held.gated = 0
		return
	}
	if held < c.held.gated || held >= c.held.gated+bound/4 {
		c.held.gated = held
		c.readers.gate.close()
		c.logger.Warn("scans and snapshots keep in memory what was committed before they began", "bytes", held, "views", c.readers.holding())
	}
	c.held.parts.Store(held / bound)
	c.signal()
}

// lighten ends scans and snapshots that are too old for what is kept in memory.
func (c *checkpoints) lighten() {
	parts := c.held.parts.Swap(0)
	if parts == 0 {
		return
	}
	age := c.scanAge
	switch {
	case parts >= 3:
		age = -1 // whatever it is
	case parts == 2:
		age = min(age, gateWait)
	}
	if ended := c.expire(age); ended > 0 {
		c.logger.Warn("scans and snapshots that kept too much in memory were ended", "ended", ended)
	}
}
