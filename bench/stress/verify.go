package stress

import (
	"slices"
	"strconv"
)

// verify reads everything after the last write.
func (r *run) verify() {
	for _, c := range r.callers {
		for _, k := range slices.Concat(c.owned, c.tenant) {
			c.verify(k)
		}
		c.verifyOwn()
		c.count()
	}
	r.verifyData()
	r.callers[0].audit()
	r.callers[0].revise()
	r.verifyCounters()
	r.verifyWhole()
}

// verifyWhole compares the list of groups and the count of all keys with what
// all models together hold.
func (r *run) verifyWhole() {
	keys, groups := map[string]int{accountGroup: accounts}, []string{}
	for _, c := range r.callers {
		for _, k := range slices.Concat(c.owned, c.tenant) {
			if k.present() {
				keys[k.group]++
			}
		}
		for _, g := range c.whole.groups {
			if g.present() {
				keys[g.group] = wholeKeys
			}
		}
	}
	for group, entries := range r.data.groups {
		keys[group] = len(entries)
	}
	for _, h := range r.registers {
		if h.border() > 0 {
			keys[sharedGroup]++
		}
	}
	for _, h := range r.counters {
		if value, _ := strconv.Atoi(r.callers[0].do(Call{Kind: Get, Group: counterGroup, Key: h.key}).Value); value > 0 {
			keys[counterGroup]++
		}
	}
	if r.marked {
		keys[endGroup] = 1
	}
	total := 0
	for group, n := range keys {
		if n > 0 {
			groups = append(groups, group)
			total += n
		}
	}
	slices.Sort(groups)
	c := r.callers[0]
	call := Call{Kind: Groups}
	if answer := c.do(call); answer.Err != nil {
		c.unexpected(call, answer.Err)
	} else if !slices.Equal(answer.Names, groups) {
		r.findings.add(WrongCount, "Groups() lists %d groups, %d were left: %s", len(answer.Names), len(groups), firstDifference(answer.Names, groups))
	}
	call = Call{Kind: CountAll}
	if answer := c.do(call); answer.Err != nil {
		c.unexpected(call, answer.Err)
	} else if answer.Count != int64(total) {
		r.findings.add(WrongCount, "CountAll() = %d, %d keys were left", answer.Count, total)
	}
	call = Call{Kind: Usage, Group: quotaNamespace}
	if answer := c.do(call); answer.Err != nil {
		c.unexpected(call, answer.Err)
	} else if answer.Count != r.tenants.Load() {
		r.findings.add(WrongCount, "Usage(%s) = %d keys, %d were left", quotaNamespace, answer.Count, r.tenants.Load())
	}
}

// firstDifference is the first name that is in one list only.
func firstDifference(got, want []string) string {
	for _, name := range got {
		if !slices.Contains(want, name) {
			return name + " ought not to be there"
		}
	}
	for _, name := range want {
		if !slices.Contains(got, name) {
			return name + " is missing"
		}
	}
	return "they are not in order"
}
