package stress

import (
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"forge.lthn.ai/core/go-store/api"
)

// member follows the store's events as long as the run lasts:
// a watcher or a subscriber, and what it has seen.
type member struct {
	*account
	name     string
	watcher  Watcher     // of a watcher
	sub      *subscriber // of a subscriber
	slow     bool        // it pauses, so that it falls behind
	received atomic.Uint64

	tenants  tenantSet      // the keys under the quota, by the events
	seen     map[any]uint64 // by ownedKey, or register and writer: the last write that an event told of
	whole    int            // how many events of whole groups being written the present revision had
	latest   uint64         // the latest beginning of a write that an event told of
	at       time.Time      // of the last event
	revision uint64         // of the last event
}

func newMember(name string, a *account, slow bool) *member {
	return &member{account: a, name: name, slow: slow, seen: map[any]uint64{}, tenants: tenantSet{}}
}

// missed reports whether it has not seen everything that it is owed.
func (m *member) missed() bool {
	if m.sub != nil {
		return m.sub.missed()
	}
	return m.watcher.Dropped() > 0
}

// judge looks at one event.
func (a *audience) judge(m *member, event api.Event) {
	if event.Timestamp.Before(m.at) {
		a.run.findings.add(EventOrder, "%s: an event of %v came after one of %v", m.name, event.Timestamp, m.at)
	}
	if event.Revision < m.revision || event.Revision == 0 {
		a.run.findings.add(EventOrder, "%s: an event of revision %d came after one of revision %d", m.name, event.Revision, m.revision)
	}
	if event.Revision > m.revision {
		a.endOfCommit(m)
	}
	if strings.HasPrefix(event.Group, quotaPrefix) {
		m.tenants.follow(event)
	}
	m.at, m.revision = event.Timestamp, event.Revision
	a.run.saw(event.Revision)
	if !m.matches(change{event.Type, event.Group, event.Key}) {
		a.run.findings.add(EventExtra, "%s: got an event of %s/%s", m.name, event.Group, event.Key)
	}
	switch event.Group {
	case sharedGroup:
		a.followsRegister(m, event)
		return
	case counterGroup:
		a.followsCounter(m, event)
		return
	case accountGroup, sessionGroup, endGroup:
		return // they are counted
	}
	if a.run.data.groups[event.Group] != nil {
		a.followsData(m, event)
		return
	}
	k := a.owned[[2]string{event.Group, event.Key}]
	if k == nil {
		k = a.owned[[2]string{event.Group, ""}] // a group that is written as a whole
	}
	if k != nil {
		a.follows(m, k, event)
	} else {
		a.run.findings.add(EventExtra, "%s: an event of %s/%s, which nobody writes", m.name, event.Group, event.Key)
	}
}

// endOfCommit judges what the events of whole commits come to, which is exact
// as long as none was missed: the keys under the quota, and that whole groups are
// written as a whole.
func (a *audience) endOfCommit(m *member) {
	if n := len(m.tenants); n > quotaKeys && !m.missed() {
		a.run.findings.add(QuotaExceeded, "%s: %d keys after revision %d, the quota allows %d", m.name, n, m.revision, quotaKeys)
	}
	if m.whole%(2*wholeKeys) != 0 && m.everything() && !m.missed() {
		a.run.findings.add(EventMissing, "%s: %d events of revision %d, which wrote %d keys", m.name, m.whole, m.revision, 2*wholeKeys)
	}
	m.whole = 0
}

// follows judges an event of a key that one caller writes: its events come in
// the order of its writes. A group that is written as a whole has one event for
// each key, all of the same write.
func (a *audience) follows(m *member, k *ownedKey, event api.Event) {
	last, issued := m.seen[k], k.issued.Load()
	var n, tick uint64
	var ok, again bool
	switch event.Type {
	case api.EventSet:
		n, tick, ok = parse(k.group, event.Key, event.Value)
		again = event.Key != k.key || k.touched(n)
		if k.key == "" {
			m.whole++
		}
	case api.EventExpire:
		n, tick, ok = parse(k.group, event.Key, event.Value)
		again = true
	case api.EventDelete, api.EventDeleteGroup:
		n, ok = k.nextDelete(last, issued)
		ok = ok && (event.Type == api.EventDelete) == (k.key != "")
	}
	switch {
	case !ok || n > issued:
		a.run.findings.add(EventExtra, "%s: %v of %s/%s %s, which no write caused after write %d", m.name, event.Type,
			event.Group, event.Key, brief(event.Value, event.Value != ""), last)
		return
	case n < last || n == last && !again:
		a.run.findings.add(EventOrder, "%s: an event of write %d of %s/%s came after that of write %d", m.name, n,
			event.Group, event.Key, last)
	}
	m.seen[k] = n
	ended, known := k.endOf(n)
	a.inTime(m, event, tick, ended, known && event.Type != api.EventExpire)
}

// followsRegister judges an event of a register: each caller's writes of it come in
// their order.
func (a *audience) followsRegister(m *member, event api.Event) {
	number, tick, ok := parse(event.Group, event.Key, event.Value)
	writer, write := ofRegisterNumber(number)
	var h *register
	for _, each := range a.run.registers {
		if each.key == event.Key {
			h = each
		}
	}
	if !ok || h == nil || event.Type != api.EventSet {
		a.run.findings.add(EventExtra, "%s: %v of %s/%s, which no write caused", m.name, event.Type, event.Group, event.Key)
		return
	}
	type source struct {
		*register
		writer uint64
	}
	if last := m.seen[source{h, writer}]; write <= last {
		a.run.findings.add(EventOrder, "%s: an event of write %d of caller %d of %s/%s came after that of write %d",
			m.name, write, writer, event.Group, event.Key, last)
	}
	m.seen[source{h, writer}] = write
	ended, known := h.endOf(writer, write)
	a.inTime(m, event, tick, ended, known)
}

// followsCounter judges an event of a counter: additions come one by one.
func (a *audience) followsCounter(m *member, event api.Event) {
	sum, err := strconv.ParseUint(event.Value, 10, 64)
	if err != nil || event.Type != api.EventSet {
		a.run.findings.add(EventExtra, "%s: %v of %s/%s, which no addition caused", m.name, event.Type, event.Group, event.Key)
		return
	}
	if last := m.seen[event.Key]; sum <= last {
		a.run.findings.add(EventOrder, "%s: %s/%s became %d, after it had become %d", m.name, event.Group, event.Key, sum, last)
	}
	m.seen[event.Key] = sum
}

// inTime judges an event of a write whose call had returned at the tick ended,
// if that is known: no write that began later may have had its event before.
// This holds from key to key.
func (a *audience) inTime(m *member, event api.Event, began, ended uint64, known bool) {
	if known && ended < m.latest {
		a.run.findings.add(EventOrder, "%s: an event of a write of %s/%s, which had returned at tick %d, came after that of a write that began at tick %d",
			m.name, event.Group, event.Key, ended, m.latest)
	}
	m.latest = max(m.latest, began)
}
