package stress

import (
	"fmt"

	"forge.lthn.ai/core/go-store/api"
)

const stampKeys = 6 // of each group

// stampSet is two groups that one caller writes as a whole: one SetAll puts
// the same stamp on every key of both; the other writes delete the first group
// or both. So a scan of a group finds all keys with one stamp, or none, and a
// count of both finds all, half or none.
type stampSet struct {
	prefix string
	groups [2]*cell // each stands for a whole group; deleted as stampWrite says
	keys   [stampKeys]string
	writes uint64 // owned by the caller
}

type stampWrite int

const (
	stampAll stampWrite = iota
	stampDeleteFirst
	stampDeleteBoth
)

func newStampSet(number int) *stampSet {
	s := &stampSet{prefix: fmt.Sprintf("stamps-%04d-", number)}
	id := hash(s.prefix)
	kind := func(n uint64) stampWrite {
		switch h := mix(id, n) % 8; {
		case n == 1 || h > 2:
			return stampAll
		case h == 2:
			return stampDeleteBoth
		}
		return stampDeleteFirst
	}
	s.groups[0] = &cell{group: s.prefix + "a", deletes: func(n uint64) bool { return kind(n) != stampAll }}
	s.groups[1] = &cell{group: s.prefix + "b", deletes: func(n uint64) bool { return kind(n) == stampDeleteBoth }}
	for i := range s.keys {
		s.keys[i] = fmt.Sprintf("part-%d", i)
	}
	return s
}

// kind is what write n does.
func (s *stampSet) kind(n uint64) stampWrite {
	switch {
	case s.groups[1].deletes(n):
		return stampDeleteBoth
	case s.groups[0].deletes(n):
		return stampDeleteFirst
	}
	return stampAll
}

// touched is the groups that write n changes.
func (s *stampSet) touched(n uint64) []*cell {
	if s.kind(n) == stampDeleteFirst {
		return s.groups[:1]
	}
	return s.groups[:]
}

// callOf is the call that makes write n.
func (s *stampSet) callOf(n, started uint64) Call {
	switch s.kind(n) {
	case stampDeleteBoth:
		return Call{Kind: DeletePrefix, Group: s.prefix}
	case stampDeleteFirst:
		return Call{Kind: DeleteGroup, Group: s.groups[0].group}
	}
	call := Call{Kind: SetAll}
	for _, g := range s.groups {
		for _, key := range s.keys {
			call.Items = append(call.Items, api.Item{Group: g.group, Key: key, Value: valueOf(g.group, key, n, started)})
		}
	}
	return call
}

// writeStamps makes the caller's next write of its stamps, having read what
// the last one left.
func (c *caller) writeStamps() {
	s := c.stamps
	c.verifyStamps()
	s.writes++
	n, started := s.writes, c.now()
	for _, g := range s.touched(n) {
		g.issued.Store(n)
	}
	call := s.callOf(n, started)
	err := c.do(call).Err
	if err == nil {
		c.acknowledgedStamps(n, started)
		return
	}
	if !c.inDoubt(err) {
		c.unexpected(call, err)
	}
	c.resolveStamps(n, started)
}

func (c *caller) acknowledgedStamps(n, started uint64) {
	ended := c.now()
	for _, g := range c.stamps.touched(n) {
		was := g.present()
		g.acknowledge(n, started, ended)
		switch {
		case g.present():
			for _, key := range c.stamps.keys {
				c.ledger.committed(change{api.EventSet, g.group, key})
			}
		case was:
			c.ledger.committed(change{api.EventDeleteGroup, g.group, ""})
		}
	}
	c.writes.Add(1)
}

// resolveStamps finds out whether write n took place: in every group that it
// changes, or in none.
func (c *caller) resolveStamps(n, started uint64) {
	c.doubts.Add(1)
	s, done, undone := c.stamps, 0, 0
	for _, g := range s.touched(n) {
		rows, ok := c.rows(Call{Kind: GetAll, Group: g.group})
		if !ok {
			return
		}
		after := s.holds(g, rows, !g.deletes(n), n, started)
		before := s.holds(g, rows, g.present(), g.number(), g.started)
		switch {
		case after && before: // a deletion of what was not there
		case after:
			done++
		case before:
			undone++
		default:
			c.findings.add(TornScan, "%s: %d keys, neither what write %d, whose outcome was unknown, leaves, nor what was there before it", g.group, len(rows), n)
			return
		}
	}
	if done > 0 && undone > 0 {
		c.findings.add(TornScan, "%s: write %d took place in one group and not in the other", s.prefix, n)
	}
	if done > 0 {
		c.acknowledgedStamps(n, started)
	}
}

// holds reports whether these rows are what a write left of a group.
func (s *stampSet) holds(g *cell, rows []api.KeyValue, present bool, n, started uint64) bool {
	if !present {
		return len(rows) == 0
	}
	if len(rows) != len(s.keys) {
		return false
	}
	for _, row := range rows {
		if row.Value != valueOf(g.group, row.Key, n, started) {
			return false
		}
	}
	return true
}

// verifyStamps reads the caller's own groups, of which it knows exactly what is there.
func (c *caller) verifyStamps() {
	for _, g := range c.stamps.groups {
		if g.checked == g.number() {
			continue
		}
		g.checked = g.number()
		rows, ok := c.rows(c.scanOf(g.group))
		if !ok || c.stamps.holds(g, rows, g.present(), g.number(), g.started) {
			continue
		}
		violation := LostWrite
		for range 3 {
			if rows, ok := c.rows(c.scanOf(g.group)); ok && c.stamps.holds(g, rows, g.present(), g.number(), g.started) {
				violation = StaleRead
			}
		}
		c.findings.add(violation, "%s: %d keys, not what write %d left, right after it was acknowledged", g.group, len(rows), g.number())
	}
}

// scanOf is one of the calls that read a group as a whole.
func (c *caller) scanOf(group string) Call {
	kind := []Kind{GetAll, All, GetPage}[c.random.IntN(3)]
	return Call{Kind: kind, Group: group, Limit: stampKeys + 1}
}

func (c *caller) rows(call Call) ([]api.KeyValue, bool) {
	answer := c.do(call)
	if answer.Err != nil {
		c.unexpected(call, answer.Err)
	}
	return answer.Rows, answer.Err == nil
}

// scanStamps reads another caller's groups while they are written.
func (c *caller) scanStamps() {
	s := c.callers[c.random.IntN(len(c.callers))].stamps
	if c.random.IntN(4) == 0 {
		c.countStamps(s)
		return
	}
	g := s.groups[c.random.IntN(len(s.groups))]
	c.lookAgain(func() (Violation, string) {
		before := g.acked.Load()
		call := c.scanOf(g.group)
		rows, ok := c.rows(call)
		if !ok {
			return "", ""
		}
		violation, detail := s.judge(g, rows, before, g.issued.Load())
		if detail != "" {
			detail = call.Kind.String() + ": " + detail
		}
		return violation, detail
	})
}

// judge says what is wrong with a scan of a group.
func (s *stampSet) judge(g *cell, rows []api.KeyValue, before, issued uint64) (Violation, string) {
	if len(rows) == 0 {
		return g.judge("", false, before, issued)
	}
	stamps := map[uint64]bool{}
	for _, row := range rows {
		n, _, ok := parse(g.group, row.Key, row.Value)
		if !ok || n > issued || g.deletes(n) {
			return PhantomWrite, fmt.Sprintf("%s/%s: found %s, which nobody wrote", g.group, row.Key, brief(row.Value, true))
		}
		if n < before>>1 {
			return StaleRead, fmt.Sprintf("%s/%s: found stamp %d after write %d was acknowledged", g.group, row.Key, n, before>>1)
		}
		stamps[n] = true
	}
	if len(stamps) > 1 || len(rows) != stampKeys {
		return TornScan, fmt.Sprintf("%s: %d of %d keys, with %d different stamps", g.group, len(rows), stampKeys, len(stamps))
	}
	return "", ""
}

// countStamps counts both groups at once.
func (c *caller) countStamps(s *stampSet) {
	call := Call{Kind: CountAll, Group: s.prefix}
	answer := c.do(call)
	if answer.Err != nil {
		c.unexpected(call, answer.Err)
	} else if answer.Count%stampKeys != 0 || answer.Count > 2*stampKeys {
		c.findings.add(TornScan, "CountAll(%s) = %d, never written but %d, or %d, or none at a time", s.prefix, answer.Count, stampKeys, 2*stampKeys)
	}
}
