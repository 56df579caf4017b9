package stress

import (
	"fmt"

	"forge.lthn.ai/core/go-store/api"
)

const wholeKeys = 6 // of each group

// wholeGroups is two groups that one caller writes as a whole: one SetAll puts
// the same stamp on every key of both; the other writes delete the first group
// or both. So a scan of a group finds all keys with one stamp, or none, and a
// count of both finds all, half or none.
type wholeGroups struct {
	prefix string
	groups [2]*ownedKey // each stands for a whole group; deleted as wholeWrite says
	keys   [wholeKeys]string
	writes uint64 // owned by the caller
}

type wholeWrite int

const (
	writeBoth wholeWrite = iota
	deleteFirst
	deleteBoth
)

func newWholeGroups(number int) *wholeGroups {
	s := &wholeGroups{prefix: fmt.Sprintf("whole-%04d-", number)}
	id := hash(s.prefix)
	kind := func(n uint64) wholeWrite {
		switch h := mix(id, n) % 8; {
		case n == 1 || h > 2:
			return writeBoth
		case h == 2:
			return deleteBoth
		}
		return deleteFirst
	}
	s.groups[0] = &ownedKey{group: s.prefix + "a", deletes: func(n uint64) bool { return kind(n) != writeBoth }}
	s.groups[1] = &ownedKey{group: s.prefix + "b", deletes: func(n uint64) bool { return kind(n) == deleteBoth }}
	for i := range s.keys {
		s.keys[i] = fmt.Sprintf("part-%d", i)
	}
	return s
}

// kind is what write n does.
func (s *wholeGroups) kind(n uint64) wholeWrite {
	switch {
	case s.groups[1].deletes(n):
		return deleteBoth
	case s.groups[0].deletes(n):
		return deleteFirst
	}
	return writeBoth
}

// touched is the groups that write n changes.
func (s *wholeGroups) touched(n uint64) []*ownedKey {
	if s.kind(n) == deleteFirst {
		return s.groups[:1]
	}
	return s.groups[:]
}

// callOf is the call that makes write n.
func (s *wholeGroups) callOf(n, started uint64) Call {
	switch s.kind(n) {
	case deleteBoth:
		return Call{Kind: DeletePrefix, Group: s.prefix}
	case deleteFirst:
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

// writeWholeGroups makes the caller's next write of its whole groups, having read what
// the last one left.
func (c *caller) writeWholeGroups() {
	s := c.whole
	c.verifyWholeGroups()
	s.writes++
	n, started := s.writes, c.now()
	for _, g := range s.touched(n) {
		g.issued.Store(n)
	}
	call := s.callOf(n, started)
	err := c.do(call).Err
	if err == nil {
		c.acknowledgedWholeGroups(n, started)
		return
	}
	if !c.inDoubt(err) {
		c.unexpected(call, err)
	}
	c.resolveWholeGroups(n, started)
}

func (c *caller) acknowledgedWholeGroups(n, started uint64) {
	ended := c.now()
	for _, g := range c.whole.touched(n) {
		was := g.present()
		g.acknowledge(n, started, ended)
		switch {
		case g.present():
			for _, key := range c.whole.keys {
				c.ledger.committed(change{api.EventSet, g.group, key})
			}
		case was:
			c.ledger.committed(change{api.EventDeleteGroup, g.group, ""})
		}
	}
	c.writes.Add(1)
}

// resolveWholeGroups finds out whether write n took place: in every group that it
// changes, or in none.
func (c *caller) resolveWholeGroups(n, started uint64) {
	c.doubts.Add(1)
	s, done, undone := c.whole, 0, 0
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
		c.acknowledgedWholeGroups(n, started)
	}
}

// holds reports whether these rows are what a write left of a group.
func (s *wholeGroups) holds(g *ownedKey, rows []api.KeyValue, present bool, n, started uint64) bool {
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

// verifyWholeGroups reads the caller's own groups, of which it knows exactly what is there.
func (c *caller) verifyWholeGroups() {
	for _, g := range c.whole.groups {
		if g.checked == g.number() {
			continue
		}
		g.checked = g.number()
		rows, ok := c.rows(c.scanOf(g.group))
		if !ok || c.whole.holds(g, rows, g.present(), g.number(), g.started) {
			continue
		}
		violation := LostWrite
		for range 3 {
			if rows, ok := c.rows(c.scanOf(g.group)); ok && c.whole.holds(g, rows, g.present(), g.number(), g.started) {
				violation = StaleRead
			}
		}
		c.findings.add(violation, "%s: %d keys, not what write %d left, right after it was acknowledged", g.group, len(rows), g.number())
	}
}

// scanOf is one of the calls that read a group as a whole.
func (c *caller) scanOf(group string) Call {
	kind := []Kind{GetAll, All, GetPage}[c.random.IntN(3)]
	return Call{Kind: kind, Group: group, Limit: wholeKeys + 1}
}

func (c *caller) rows(call Call) ([]api.KeyValue, bool) {
	answer := c.do(call)
	if answer.Err != nil {
		c.unexpected(call, answer.Err)
	}
	return answer.Rows, answer.Err == nil
}

// scanWholeGroups reads another caller's groups while they are written.
func (c *caller) scanWholeGroups() {
	s := c.callers[c.random.IntN(len(c.callers))].whole
	if c.random.IntN(4) == 0 {
		c.countWholeGroups(s)
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
func (s *wholeGroups) judge(g *ownedKey, rows []api.KeyValue, before, issued uint64) (Violation, string) {
	if len(rows) == 0 {
		return g.judge("", false, before, issued)
	}
	versions := map[uint64]bool{}
	for _, row := range rows {
		n, _, ok := parse(g.group, row.Key, row.Value)
		if !ok || n > issued || g.deletes(n) {
			return PhantomWrite, fmt.Sprintf("%s/%s: found %s, which nobody wrote", g.group, row.Key, brief(row.Value, true))
		}
		if n < before>>1 {
			return StaleRead, fmt.Sprintf("%s/%s: found stamp %d after write %d was acknowledged", g.group, row.Key, n, before>>1)
		}
		versions[n] = true
	}
	if len(versions) > 1 || len(rows) != wholeKeys {
		return TornScan, fmt.Sprintf("%s: %d of %d keys, with %d different versions", g.group, len(rows), wholeKeys, len(versions))
	}
	return "", ""
}

// countWholeGroups counts both groups at once.
func (c *caller) countWholeGroups(s *wholeGroups) {
	call := Call{Kind: CountAll, Group: s.prefix}
	answer := c.do(call)
	if answer.Err != nil {
		c.unexpected(call, answer.Err)
	} else if answer.Count%wholeKeys != 0 || answer.Count > 2*wholeKeys {
		c.findings.add(TornScan, "CountAll(%s) = %d, never written but %d, or %d, or none at a time", s.prefix, answer.Count, wholeKeys, 2*wholeKeys)
	}
}
