package stress

import (
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

	seen   map[*cell]uint64 // the last write of each key that an event told of
	latest uint64           // the latest beginning of a write that an event told of
	at     time.Time        // of the last event
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
		for _, k := range c.cells {
			a.cells[[2]string{k.group, k.key}] = k
		}
	}
	for _, m := range []*member{
		{account: &account{group: "*", key: "*"}, name: "everything"},
		{account: &account{group: "*", key: "*"}, name: "everything, slowly", slow: true},
		{account: &account{group: "own-0000", key: "*"}, name: "a group"},
		{account: &account{group: "own-0000", key: "key-01"}, name: "a key"},
		{account: &account{group: "*", key: "key-02"}, name: "a key of any group"},
	} {
		m.seen = map[*cell]uint64{}
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
	m.at = event.Timestamp
	if !m.matches(change{event.Type, event.Group, event.Key}) {
		a.run.findings.add(EventExtra, "watcher of %s: got an event of %s/%s", m.name, event.Group, event.Key)
	}
	if k := a.cells[[2]string{event.Group, event.Key}]; k != nil {
		a.follows(m, k, event)
	}
}

// follows judges an event of a key that one caller writes: its events come in
// the order of its writes, and after those of every write that had returned
// before theirs began.
func (a *audience) follows(m *member, k *cell, event api.Event) {
	last, issued := m.seen[k], k.issued.Load()
	var n, tick uint64
	ok := true
	switch event.Type {
	case api.EventSet:
		n, tick, ok = parse(k.group, k.key, event.Value)
		ok = ok && n <= issued
	case api.EventDelete:
		n, ok = k.nextDelete(last, issued)
	default:
		ok = false
	}
	switch {
	case !ok:
		a.run.findings.add(EventExtra, "watcher of %s: %v of %v %s, which no write caused after write %d", m.name, event.Type, k,
			brief(event.Value, event.Type == api.EventSet), last)
		return
	case n <= last:
		a.run.findings.add(EventOrder, "watcher of %s: an event of write %d of %v came after that of write %d", m.name, n, k, last)
	}
	m.seen[k] = n
	if ended, known := k.endOf(n); known && ended < m.latest {
		a.run.findings.add(EventOrder, "watcher of %s: an event of write %d of %v, which had returned at tick %d, came after that of a write that began at %d",
			m.name, n, k, ended, m.latest)
	}
	m.latest = max(m.latest, tick)
}

// leave ends the watchers and settles their accounts. Nothing has to be waited
// for: a call returns when its events are with the watchers, and whoever calls
// leave has made a call that removed what had expired.
func (a *audience) leave() {
	close(a.leaving)
	for _, m := range a.members {
		m.watcher.Close()
	}
	a.group.Wait()
	for _, m := range a.members {
		got, least := m.received.Load()+m.watcher.Dropped(), m.certain.Load()
		most := least + m.doubtful.Load()
		if got < least {
			a.run.findings.add(EventMissing, "watcher of %s: %d received and %d dropped, but %d were committed",
				m.name, m.received.Load(), m.watcher.Dropped(), least)
		} else if got > most {
			a.run.findings.add(EventExtra, "watcher of %s: %d received and %d dropped, but only %d were committed",
				m.name, m.received.Load(), m.watcher.Dropped(), most)
		}
	}
}
