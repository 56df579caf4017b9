package stress

import (
	"errors"
	"fmt"
	"strconv"
	"sync/atomic"

	"forge.lthn.ai/core/go-store/api"
)

const (
	counterGroup = "counters"
	counterKeys  = 4
)

// counter is a number that every caller adds 1 to: by Increment, or by reading it
// and writing the next one on condition that no other has meanwhile.
type counter struct {
	key         string
	conditional bool
	begun       atomic.Uint64 // additions that may have taken place by now
	done        atomic.Uint64 // that have, for certain
}

func newCounter(i int) *counter {
	return &counter{key: fmt.Sprintf("counter-%d", i), conditional: i%2 == 1}
}

// addOne adds 1 to a counter.
func (c *caller) addOne() {
	i := c.random.IntN(len(c.counters))
	if h := c.counters[i]; h.conditional {
		c.compareAndAdd(h, i)
	} else {
		c.increment(h, i)
	}
}

func (c *caller) increment(h *counter, i int) {
	done := h.done.Load()
	h.begun.Add(1)
	call := Call{Kind: Increment, Group: counterGroup, Key: h.key, Delta: 1}
	answer := c.do(call)
	if c.added(h, call, answer.Err) {
		c.reached(h, i, answer.Count, done)
	}
}

// added notes what became of an addition.
func (c *caller) added(h *counter, call Call, err error) bool {
	owed := change{api.EventSet, counterGroup, h.key}
	switch {
	case err == nil:
		h.done.Add(1)
		c.writes.Add(1)
		c.ledger.committed(owed)
		return true
	case c.inDoubt(err):
		c.doubts.Add(1)
	default:
		c.unexpected(call, err)
	}
	c.ledger.doubtful(owed)
	return false
}

// reached judges the sum after an addition of the caller's: it is more than
// what was there before, and no more than all additions that had begun.
func (c *caller) reached(h *counter, i int, sum int64, done uint64) {
	switch begun := h.begun.Load(); {
	case sum <= int64(done):
		c.findings.add(WrongCount, "%s/%s: an addition made %d, after %d others had been acknowledged", counterGroup, h.key, sum, done)
	case sum <= c.sums[i]:
		c.findings.add(WrongCount, "%s/%s: an addition made %d, after one of the same caller had made %d", counterGroup, h.key, sum, c.sums[i])
	case sum > int64(begun):
		c.findings.add(WrongCount, "%s/%s: an addition made %d, of %d in all", counterGroup, h.key, sum, begun)
	}
	c.sums[i] = sum
}

// compareAndAdd reads the counter and writes the next number, if no other caller
// has meanwhile.
func (c *caller) compareAndAdd(h *counter, i int) {
	done := h.done.Load()
	read := Call{Kind: Entry, Group: counterGroup, Key: h.key}
	entry := c.do(read)
	if entry.Err != nil && !errors.Is(entry.Err, api.NotFoundError) {
		c.unexpected(read, entry.Err)
		return
	}
	sum, err := int64(0), error(nil)
	if entry.Err == nil {
		sum, err = strconv.ParseInt(entry.Value, 10, 64)
	}
	if err != nil || sum < int64(done) || sum > int64(h.begun.Load()) {
		c.findings.add(WrongCount, "%s/%s: found %s, after %d additions were acknowledged, of %d in all", counterGroup, h.key,
			brief(entry.Value, entry.Err == nil), done, h.begun.Load())
		return
	}
	h.begun.Add(1)
	call := Call{Kind: CompareAndSet, Group: counterGroup, Key: h.key, Value: strconv.FormatInt(sum+1, 10), Revision: entry.Revision}
	answer := c.do(call)
	var mismatch *api.RevisionMismatchError
	if errors.As(answer.Err, &mismatch) {
		h.begun.Add(^uint64(0)) // it did not take place
		c.conflicts.Add(1)
		if mismatch.Current <= entry.Revision {
			c.findings.add(WrongCondition, "%s/%s: revision %d was read, and then refused as the current one was %d", counterGroup, h.key,
				entry.Revision, mismatch.Current)
		}
		return
	}
	if !c.added(h, call, answer.Err) {
		return
	}
	if answer.Revision <= entry.Revision {
		c.findings.add(WrongRevision, "%s/%s: revision %d follows %d", counterGroup, h.key, answer.Revision, entry.Revision)
	}
	c.saw(answer.Revision)
	c.reached(h, i, sum+1, done)
}

// verifyCounters reads what all additions came to.
func (r *run) verifyCounters() {
	c := r.callers[0]
	for _, h := range r.counters {
		value, found, ok := c.get(counterGroup, h.key)
		sum, err := strconv.ParseUint(value, 10, 64)
		if !found {
			sum, err = 0, nil
		}
		if ok && (err != nil || sum < h.done.Load() || sum > h.begun.Load()) {
			r.findings.add(WrongCount, "%s/%s: found %s, after %d additions were acknowledged, of %d that may have been made",
				counterGroup, h.key, brief(value, found), h.done.Load(), h.begun.Load())
		}
	}
}
