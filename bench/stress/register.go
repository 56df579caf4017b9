package stress

import (
	"fmt"
	"sync"

	"forge.lthn.ai/core/go-store/api"
)

const (
	sharedGroup = "shared"
	sharedKeys  = 4
	// remembered is how many writes of a caller a register knows the times of.
	remembered = 16
)

// register is a key that all callers write and read. A caller that reads
// it can't know what has to be there, but which values no longer may be: those
// whose write had returned before another began that was over, or had been
// read, before this read began.
type register struct {
	key string
	mu  struct {
		sync.Mutex
		writers map[uint64]*[remembered]interval // by the number of the caller; a ring by the number of the write
		// frontier is the latest beginning of a write that is known to have
		// taken place.
		frontier uint64
	}
}

// interval is when a write was under way, in ticks.
type interval struct{ write, began, ended uint64 }

const underWay = ^uint64(0) // the end of what has not ended

func newRegister(i int) *register {
	h := &register{key: fmt.Sprintf("shared-%02d", i)}
	h.mu.writers = map[uint64]*[remembered]interval{}
	return h
}

// A register's numbers hold the write's and the writer's.
func registerNumber(writer int, write uint64) uint64        { return write<<16 | uint64(writer) }
func ofRegisterNumber(number uint64) (writer, write uint64) { return number & 0xffff, number >> 16 }

// begin notes that a caller begins its next write.
func (h *register) begin(writer int, write, began uint64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	ring := h.mu.writers[uint64(writer)]
	if ring == nil {
		ring = new([remembered]interval)
		h.mu.writers[uint64(writer)] = ring
	}
	ring[write%remembered] = interval{write, began, underWay}
}

// end notes that the call has returned. Of one that did not say what it did
// it is known at least that it does nothing any more.
func (h *register) end(writer int, write, ended uint64, certain bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	in := &h.mu.writers[uint64(writer)][write%remembered]
	in.ended = ended
	if certain {
		h.mu.frontier = max(h.mu.frontier, in.began)
	}
}

// endOf is when the call of a write had returned, if that is still remembered.
func (h *register) endOf(writer, write uint64) (tick uint64, known bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	ring := h.mu.writers[writer]
	if ring == nil || ring[write%remembered].write != write {
		return 0, false
	}
	tick = ring[write%remembered].ended
	return tick, tick != underWay
}

// border is the frontier of a read that begins now.
func (h *register) border() uint64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.mu.frontier
}

// saw judges what a read found that began at a border, and moves the frontier
// for the reads to come.
func (h *register) saw(value string, found bool, border uint64) (Violation, string) {
	if !found {
		if border > 0 {
			return LostWrite, fmt.Sprintf("%s/%s: not found, though it was written and nobody deletes it", sharedGroup, h.key)
		}
		return "", ""
	}
	number, _, ok := parse(sharedGroup, h.key, value)
	h.mu.Lock()
	defer h.mu.Unlock()
	writer, write := ofRegisterNumber(number)
	ring := h.mu.writers[writer]
	if !ok || ring == nil {
		return PhantomWrite, fmt.Sprintf("%s/%s: found %s, which nobody wrote", sharedGroup, h.key, brief(value, found))
	}
	in := ring[write%remembered]
	switch {
	case in.write < write:
		return PhantomWrite, fmt.Sprintf("%s/%s: found write %d of caller %d, who has not made it yet", sharedGroup, h.key, write, writer)
	case in.write > write:
		// Forgotten: it had ended when the caller's next one began, at the
		// latest when this one did that took its place.
		in.ended = in.began
	default:
		h.mu.frontier = max(h.mu.frontier, in.began)
	}
	if in.ended < border {
		return StaleRead, fmt.Sprintf("%s/%s: found write %d of caller %d, which ended by tick %d; one that began at tick %d was over, or read, before this read began",
			sharedGroup, h.key, write, writer, in.ended, border)
	}
	return "", ""
}

// writeRegister writes a register.
func (c *caller) writeRegister() {
	h := c.registers[c.random.IntN(len(c.registers))]
	c.registerWrites++
	write, began := c.registerWrites, c.now()
	h.begin(c.number, write, began)
	call := Call{Kind: Set, Group: sharedGroup, Key: h.key, Value: valueOf(sharedGroup, h.key, registerNumber(c.number, write), began)}
	err := c.do(call).Err
	h.end(c.number, write, c.now(), err == nil)
	owed := change{api.EventSet, sharedGroup, h.key}
	switch {
	case err == nil:
		c.writes.Add(1)
		c.ledger.committed(owed)
	case c.inDoubt(err):
		c.doubts.Add(1)
		c.ledger.doubtful(owed)
	default:
		c.unexpected(call, err)
		c.ledger.doubtful(owed)
	}
}

// readRegister reads a register.
func (c *caller) readRegister() {
	h := c.registers[c.random.IntN(len(c.registers))]
	border := h.border()
	value, found, ok := c.get(sharedGroup, h.key)
	if !ok {
		return
	}
	// Looking again would tell nothing: others may have written since.
	if violation, detail := h.saw(value, found, border); detail != "" {
		c.findings.add(violation, "%s", detail)
	}
}
