package stress

import (
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"forge.lthn.ai/core/go-store/api"
)

// member is a watcher that lasts as long as the run, and what it has seen.
type member struct {
	*account
	name     string
	watcher  Watcher
	slow     bool // it pauses, so that it falls behind
	received atomic.Uint64

	tenants  tenantSet      // the keys under the quota, by the events
	seen     map[any]uint64 // by cell, or register and writer: the last write that an event told of
	latest   uint64         // the latest beginning of a write that an event told of
	at       time.Time      // of the last event
	revision uint64         // of the last event
}

// audience is all of them.
type audience struct {
	run     *run
	members []*member
	leaving chan struct{} // closed when nobody writes any more
	group   sync.WaitGroup
	cells   map[[2]string]*cell
}

// pause is how long a slow watcher rests after each event.
const pause = 5 * time.Millisecond

// gather registers the watchers. It is called before anybody writes.
func (r *run) gather() *audience {
	a := &audience{run: r, leaving: make(chan struct{}), cells: map[[2]string]*cell{}}
	for _, c := range r.callers {
		for _, k := range slices.Concat(c.cells, c.tenant, c.stamps.groups[:]) {
			a.cells[[2]string{k.group, k.key}] = k
		}
	}
	for _, m := range []*member{
		{account: &account{group: "*", key: "*"}, name: "everything"},
		{account: &account{group: "*", key: "*"}, name: "everything, slowly", slow: true},
		{account: &account{group: "own-0000", key: "*"}, name: "a group"},
		{account: &account{group: "own-0000", key: "key-01"}, name: "a key"},
		{account: &account{group: "*", key: "key-02"}, name: "a key of any group"},
		{account: &account{group: hotGroup, key: "*"}, name: "the keys of all"},
		{account: &account{group: sessionGroup, key: "*"}, name: "the sessions"},
		{account: &account{group: quotaPrefix + "team-0000", key: "*"}, name: "a group under the quota"},
	} {
		m.seen, m.tenants = map[any]uint64{}, tenantSet{}
		if m.watcher = r.target.Watch(m.group, m.key); m.watcher == nil {
			return a // they end with their process: there are none
		}
		a.members = append(a.members, m)
		r.ledger.accounts = append(r.ledger.accounts, m.account)
		a.group.Go(func() { a.follow(m) })
	}
	return a
}

// follow judges the events of one watcher until it is closed.
func (a *audience) follow(m *member) {
	for {
		event, ok := m.watcher.Next()
		if !ok {
			return
		}
		m.received.Add(1)
		a.judge(m, event)
		if m.slow {
			select {
			case <-a.leaving:
			case <-time.After(pause):
			}
		}
	}
}

// judge looks at one event.
func (a *audience) judge(m *member, event api.Event) {
	if event.Timestamp.Before(m.at) {
		a.run.findings.add(EventOrder, "watcher of %s: an event of %v came after one of %v", m.name, event.Timestamp, m.at)
	}
	if event.Revision < m.revision || event.Revision == 0 {
		a.run.findings.add(EventOrder, "watcher of %s: an event of revision %d came after one of revision %d", m.name, event.Revision, m.revision)
	}
	if event.Revision > m.revision {
		a.countTenants(m)
	}
	if strings.HasPrefix(event.Group, quotaPrefix) {
		m.tenants.follow(event)
	}
	m.at, m.revision = event.Timestamp, event.Revision
	a.run.saw(event.Revision)
	if !m.matches(change{event.Type, event.Group, event.Key}) {
		a.run.findings.add(EventExtra, "watcher of %s: got an event of %s/%s", m.name, event.Group, event.Key)
	}
	switch event.Group {
	case hotGroup:
		a.followsHot(m, event)
		return
	case counterGroup:
		a.followsCounter(m, event)
		return
	case bankGroup, sessionGroup:
		return // they are counted
	}
	k := a.cells[[2]string{event.Group, event.Key}]
	if k == nil {
		k = a.cells[[2]string{event.Group, ""}] // a group that is written as a whole
	}
	if k != nil {
		a.follows(m, k, event)
	} else {
		a.run.findings.add(EventExtra, "watcher of %s: an event of %s/%s, which nobody writes", m.name, event.Group, event.Key)
	}
}

// countTenants judges the keys under the quota after a commit: what the events
// say is exact while none was dropped.
func (a *audience) countTenants(m *member) {
	if n := len(m.tenants); n > quotaKeys && m.watcher.Dropped() == 0 {
		a.run.findings.add(QuotaExceeded, "watcher of %s: %d keys after revision %d, the quota allows %d", m.name, n, m.revision, quotaKeys)
	}
}

// follows judges an event of a key that one caller writes: its events come in
// the order of its writes. A group that is written as a whole has one event for
// each key, all of the same write.
func (a *audience) follows(m *member, k *cell, event api.Event) {
	last, issued := m.seen[k], k.issued.Load()
	var n, tick uint64
	var ok, again bool
	switch event.Type {
	case api.EventSet:
		n, tick, ok = parse(k.group, event.Key, event.Value)
		again = event.Key != k.key || k.touched(n)
	case api.EventExpire:
		n, tick, ok = parse(k.group, event.Key, event.Value)
		again = true
	case api.EventDelete, api.EventDeleteGroup:
		n, ok = k.nextDelete(last, issued)
		ok = ok && (event.Type == api.EventDelete) == (k.key != "")
	}
	switch {
	case !ok || n > issued:
		a.run.findings.add(EventExtra, "watcher of %s: %v of %s/%s %s, which no write caused after write %d", m.name, event.Type,
			event.Group, event.Key, brief(event.Value, event.Value != ""), last)
		return
	case n < last || n == last && !again:
		a.run.findings.add(EventOrder, "watcher of %s: an event of write %d of %s/%s came after that of write %d", m.name, n,
			event.Group, event.Key, last)
	}
	m.seen[k] = n
	ended, known := k.endOf(n)
	a.inTime(m, event, tick, ended, known && event.Type != api.EventExpire)
}

// followsHot judges an event of a register: each caller's writes of it come in
// their order.
func (a *audience) followsHot(m *member, event api.Event) {
	number, tick, ok := parse(event.Group, event.Key, event.Value)
	writer, write := ofHotNumber(number)
	var h *register
	for _, each := range a.run.registers {
		if each.key == event.Key {
			h = each
		}
	}
	if !ok || h == nil || event.Type != api.EventSet {
		a.run.findings.add(EventExtra, "watcher of %s: %v of %s/%s, which no write caused", m.name, event.Type, event.Group, event.Key)
		return
	}
	type source struct {
		*register
		writer uint64
	}
	if last := m.seen[source{h, writer}]; write <= last {
		a.run.findings.add(EventOrder, "watcher of %s: an event of write %d of caller %d of %s/%s came after that of write %d",
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
		a.run.findings.add(EventExtra, "watcher of %s: %v of %s/%s, which no addition caused", m.name, event.Type, event.Group, event.Key)
		return
	}
	if last := m.seen[event.Key]; sum <= last {
		a.run.findings.add(EventOrder, "watcher of %s: %s/%s became %d, after it had become %d", m.name, event.Group, event.Key, sum, last)
	}
	m.seen[event.Key] = sum
}

// inTime judges an event of a write whose call had returned at the tick ended,
// if that is known: no write that began later may have had its event before.
// This holds from key to key.
func (a *audience) inTime(m *member, event api.Event, began, ended uint64, known bool) {
	if known && ended < m.latest {
		a.run.findings.add(EventOrder, "watcher of %s: an event of a write of %s/%s, which had returned at tick %d, came after that of a write that began at tick %d",
			m.name, event.Group, event.Key, ended, m.latest)
	}
	m.latest = max(m.latest, began)
}

// leave ends the watchers and settles their accounts. Nothing has to be waited
// for: a call returns when its events are with the watchers, and whoever calls
// leave has made a call that removed what had expired.
func (a *audience) leave() (seen []Seen) {
	close(a.leaving)
	for _, m := range a.members {
		m.watcher.Close()
	}
	a.group.Wait()
	for _, m := range a.members {
		a.countTenants(m)
		got, least := m.received.Load()+m.watcher.Dropped(), m.certain.Load()
		most := least + m.doubtful.Load()
		if got < least {
			a.run.findings.add(EventMissing, "watcher of %s: %d received and %d dropped, but %d were committed",
				m.name, m.received.Load(), m.watcher.Dropped(), least)
		} else if got > most {
			a.run.findings.add(EventExtra, "watcher of %s: %d received and %d dropped, but only %d were committed",
				m.name, m.received.Load(), m.watcher.Dropped(), most)
		}
		seen = append(seen, Seen{Name: m.name, Received: m.received.Load(), Dropped: m.watcher.Dropped(), Committed: least})
	}
	return seen
}
