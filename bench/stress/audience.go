package stress

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// audience is all of them.
type audience struct {
	run     *run
	members []*member
	leaving chan struct{} // closed after the last write
	end     atomic.Uint64 // the revision of the last commit, once it is known
	group   sync.WaitGroup
	owned   map[[2]string]*ownedKey
}

// pause is how long a slow watcher rests after each event.
const pause = 5 * time.Millisecond

// gather registers the watchers. It is called before any caller writes.
func (r *run) gather() *audience {
	a := &audience{run: r, leaving: make(chan struct{}), owned: map[[2]string]*ownedKey{}}
	for _, c := range r.callers {
		for _, k := range slices.Concat(c.owned, c.tenant, c.whole.groups[:]) {
			a.owned[[2]string{k.group, k.key}] = k
		}
	}
	for _, m := range []*member{
		newMember("watcher of everything", &account{group: "*", key: "*"}, false),
		newMember("slow watcher of everything", &account{group: "*", key: "*"}, true),
		newMember("watcher of a group", &account{group: "own-0000", key: "*"}, false),
		newMember("watcher of a key", &account{group: "own-0000", key: "key-01"}, false),
		newMember("watcher of a key of any group", &account{group: "*", key: "key-02"}, false),
		newMember("watcher of the keys of all", &account{group: sharedGroup, key: "*"}, false),
		newMember("watcher of the sessions", &account{group: sessionGroup, key: "*"}, false),
		newMember("watcher of a group under the quota", &account{group: quotaPrefix + "team-0000", key: "*"}, false),
	} {
		if m.watcher = r.target.Watch(m.group, m.key); m.watcher == nil {
			break // they end with their process: there are none
		}
		a.join(m, func() { a.follow(m) })
	}
	a.subscribe()
	return a
}

// join has a member follow the events from now on.
func (a *audience) join(m *member, follow func()) {
	a.members = append(a.members, m)
	a.run.ledger.accounts = append(a.run.ledger.accounts, m.account)
	a.group.Go(follow)
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

// leave ends the watchers and the subscribers and settles their accounts.
// Watchers need not be waited for: a call returns when its events are with
// them, and the caller of leave has made a call that removed what had expired.
func (a *audience) leave() (seen []Seen) {
	a.markEnd()
	close(a.leaving)
	for _, m := range a.members {
		if m.watcher != nil {
			m.watcher.Close()
		}
	}
	a.group.Wait()
	for _, m := range a.members {
		a.endOfCommit(m)
		seen = append(seen, a.settle(m))
	}
	return seen
}

// settle compares what a member has seen with what it was owed.
func (a *audience) settle(m *member) Seen {
	s := Seen{Name: m.name, Received: m.received.Load(), Committed: m.certain.Load(), Doubtful: m.doubtful.Load()}
	if m.sub != nil {
		m.sub.report(&s)
	} else {
		s.Dropped = m.watcher.Dropped()
	}
	if m.sub != nil && m.sub.joinedLate() {
		s.Committed, s.Doubtful = s.Received, 0 // what came before it is not known
		return s
	}
	if got := s.Received + s.Dropped; got < s.Committed && s.Gaps == 0 {
		a.run.findings.add(EventMissing, "%s: %d received and %d dropped, but %d were committed", m.name, s.Received, s.Dropped, s.Committed)
	} else if most := s.Committed + s.Doubtful; got > most {
		a.run.findings.add(EventExtra, "%s: %d received and %d dropped, but only %d were committed", m.name, s.Received, s.Dropped, most)
	}
	return s
}
