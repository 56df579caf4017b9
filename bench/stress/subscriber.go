package stress

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"forge.lthn.ai/core/go-store/api"
)

const (
	// endGroup has the run's last commit, so that a subscriber knows when
	// it has seen everything.
	endGroup = "the end"
	// A slow subscriber pauses after so many events, for so long, unless it is
	// so many revisions behind: the log does not go back for ever.
	slowEvery, slowPause, slowest = 200, 20 * time.Millisecond, 5000
	// A restless one turns away after so many events on average.
	restlessAfter = 300
)

// subscriber follows the store's log: it misses nothing, or is told what. When
// its subscription ends, whyever, it goes on from its last revision.
type subscriber struct {
	audience *audience
	member   *member
	wish     Wish
	restless bool
	random   *rand.Rand
	ctx      context.Context
	stop     context.CancelFunc

	last    uint64      // the last revision that it has seen something of
	same    []api.Event // what it has seen of it
	synced  bool        // with a State: it is complete
	replica map[string]map[string]string
	reached atomic.Uint64 // last, for others
	gaps    atomic.Uint64 // revisions
	resumed atomic.Uint64
}

// subscribe starts the subscribers that the target can have.
func (a *audience) subscribe() {
	everything := func() *account { return &account{group: "*", key: "*"} }
	some := []string{"own-", "whole-", endGroup}
	for i, each := range []*subscriber{
		{member: newMember("subscriber to everything", everything(), false)},
		{member: newMember("slow subscriber", everything(), true), wish: Wish{Buffer: 16}},
		{member: newMember("slow subscriber that skips", everything(), true), wish: Wish{Buffer: 16, Slow: Skip}},
		{member: newMember("slow subscriber that is sent away", everything(), true), wish: Wish{Buffer: 16, Slow: End}},
		{member: newMember("restless subscriber", everything(), false), restless: true},
		{member: newMember("subscriber to some groups", &account{prefixes: some}, false), wish: Wish{Prefixes: some}},
		{member: newMember("subscriber that joins late", everything(), false), wish: Wish{State: true}},
	} {
		each.audience, each.random = a, rand.New(rand.NewPCG(a.run.config.Seed, hash("subscriber", each.member.name)))
		each.ctx, each.stop = context.WithCancel(context.Background())
		each.member.sub, each.replica = each, map[string]map[string]string{}
		if i == 0 && a.run.target.Subscribe(each.ctx, each.wish) == nil {
			each.stop()
			return // the target has none
		}
		if !each.wish.State {
			each.wish.From = 1
		}
		a.join(each.member, each.follow)
	}
}

// markEnd makes the run's last commit.
func (a *audience) markEnd() {
	c := a.run.callers[0]
	call := Call{Kind: SetIfAbsent, Group: endGroup, Key: "end", Value: "end"}
	answer := c.do(call)
	if answer.Err != nil {
		c.unexpected(call, answer.Err)
	}
	a.run.ledger.committed(change{api.EventSet, endGroup, "end"})
	a.end.Store(answer.Revision)
	for _, m := range a.members {
		if m.sub == nil {
			continue
		}
		if m.sub.reached.Load() >= answer.Revision {
			m.sub.stop() // it has seen the end without knowing, and waits for more
		} else {
			time.AfterFunc(patience, m.sub.stop) // it has finished by then
		}
	}
}

func (s *subscriber) missed() bool     { return s.gaps.Load() > 0 }
func (s *subscriber) joinedLate() bool { return s.wish.State }

func (s *subscriber) report(seen *Seen) {
	seen.Gaps, seen.Resumed = s.gaps.Load(), s.resumed.Load()
}

// follow follows the log until it has seen the last commit.
func (s *subscriber) follow() {
	defer s.stop()
	if s.wish.State {
		select { // in the middle of the run
		case <-time.After(time.Duration(1+s.random.IntN(300)) * time.Millisecond):
		case <-s.audience.leaving:
		}
	}
	for !s.finished() {
		if s.ctx.Err() != nil {
			s.complain(EventMissing, "has seen revision %d, and nothing after it for %v; the last is %d", s.last, patience, s.audience.end.Load())
			return
		}
		if err := s.listen(); err != nil && !s.forgives(err) {
			violation := CallFailed
			if errors.Is(err, errFuture) {
				violation = EventExtra // it was told of a commit that the store does not know
			}
			s.complain(violation, "after revision %d: %v", s.last, err)
			return
		}
		if !s.finished() {
			s.resumed.Add(1)
		}
	}
	s.compare()
}

// finished reports whether the last commit was seen, or was among those that
// it was told it had missed.
func (s *subscriber) finished() bool {
	s.reached.Store(s.last) // before end is read: see markEnd
	end := s.audience.end.Load()
	return end > 0 && s.last >= end
}

// forgives reports whether a subscription may end like this.
func (s *subscriber) forgives(err error) bool {
	return errors.Is(err, errGone) || errors.Is(err, context.Canceled) ||
		s.wish.Slow == End && errors.Is(err, api.SlowConsumerError)
}

func (s *subscriber) complain(violation Violation, format string, arguments ...any) {
	s.audience.run.findings.add(violation, s.member.name+": "+format, arguments...)
}

// listen follows one subscription. It asks for its last revision once more, of
// which it may have seen a part only: what it has seen has to come again.
func (s *subscriber) listen() error {
	wish := s.wish
	if s.last > 0 {
		wish.State, wish.From = false, s.last
	}
	again := s.same
	if wish.State {
		s.replica, s.synced = map[string]map[string]string{}, false
	}
	for event, err := range s.audience.run.target.Subscribe(s.ctx, wish) {
		switch {
		case err != nil:
			return err
		case event.Type == api.EventGap:
			s.gap(event)
			again = nil
		case event.Type == api.EventSynced:
			s.synced, s.last, s.same = true, event.Revision, nil
		case wish.State && !s.synced:
			s.apply(event)
		case len(again) > 0:
			if !sameEvent(event, again[0]) {
				s.complain(EventOrder, "%v of %s/%s of revision %d, where it had seen %v of %s/%s of revision %d", event.Type, event.Group,
					event.Key, event.Revision, again[0].Type, again[0].Group, again[0].Key, again[0].Revision)
				again = again[:1]
			}
			again = again[1:]
		default:
			s.take(event)
		}
		if s.finished() || s.restless && s.random.IntN(restlessAfter) == 0 {
			return nil
		}
		s.rest()
	}
	return nil
}

// rest pauses now and then, if it is slow and the run goes on.
func (s *subscriber) rest() {
	if s.member.slow && s.member.received.Load()%slowEvery == 0 && s.audience.run.revisions.Load() < s.last+slowest {
		select {
		case <-s.audience.leaving:
		case <-time.After(slowPause):
		}
	}
}

// sameEvent compares what the log must give again.
func sameEvent(a, b api.Event) bool {
	return a.Type == b.Type && a.Group == b.Group && a.Key == b.Key && a.Value == b.Value && a.Revision == b.Revision
}

// gap judges an account of what was missed: from the revision after the last.
func (s *subscriber) gap(event api.Event) {
	if s.wish.Slow != Skip || event.Gap == nil || event.Gap.From != s.last+1 || event.Gap.To < event.Gap.From {
		s.complain(EventMissing, "a gap of %+v after revision %d", event.Gap, s.last)
		if event.Gap == nil {
			return
		}
	}
	s.gaps.Add(event.Gap.To - event.Gap.From + 1)
	s.last, s.same = event.Gap.To, nil
	s.member.whole = 0
}

// take judges a new event. A subscriber to everything sees every revision.
func (s *subscriber) take(event api.Event) {
	switch whole := s.member.everything(); {
	case event.Revision < s.last:
		s.complain(EventOrder, "an event of revision %d after one of revision %d", event.Revision, s.last)
	case whole && event.Revision > s.last+1:
		s.complain(EventMissing, "revision %d came after revision %d", event.Revision, s.last)
	}
	if event.Revision != s.last {
		s.same = s.same[:0:0]
	}
	s.last, s.same = event.Revision, append(s.same, event)
	s.member.received.Add(1)
	s.apply(event)
	s.audience.judge(s.member, event)
}

// apply does to the replica what was done to the store.
func (s *subscriber) apply(event api.Event) {
	switch event.Type {
	case api.EventSet:
		if s.replica[event.Group] == nil {
			s.replica[event.Group] = map[string]string{}
		}
		s.replica[event.Group][event.Key] = event.Value
	case api.EventDelete, api.EventExpire:
		delete(s.replica[event.Group], event.Key)
	case api.EventDeleteGroup:
		delete(s.replica, event.Group)
	}
	if len(s.replica[event.Group]) == 0 {
		delete(s.replica, event.Group)
	}
}

// compare compares the replica with the store, after the last write.
func (s *subscriber) compare() {
	if s.missed() || !s.member.everything() {
		return
	}
	c := s.audience.run.callers[0]
	listed, groups := c.listAll()
	if !listed {
		return
	}
	for group, want := range groups {
		got := s.replica[group]
		for key, value := range want {
			if found, ok := got[key]; !ok || found != value {
				s.complain(Diverged, "%s/%s: the events left %s, the store has %s", group, key, brief(found, ok), brief(value, true))
			}
		}
		if len(got) > len(want) {
			s.complain(Diverged, "%s: the events left %d keys, the store has %d", group, len(got), len(want))
		}
	}
	if len(s.replica) > len(groups) {
		s.complain(Diverged, "the events left %d groups, the store has %d", len(s.replica), len(groups))
	}
}

// listAll reads the whole store.
func (c *caller) listAll() (ok bool, groups map[string]map[string]string) {
	call := Call{Kind: Groups}
	answer := c.run.target.Do(call)
	if answer.Err != nil {
		c.unexpected(call, answer.Err)
		return false, nil
	}
	groups = map[string]map[string]string{}
	for _, group := range answer.Names {
		call := Call{Kind: GetAll, Group: group}
		answer := c.run.target.Do(call)
		if answer.Err != nil {
			c.unexpected(call, answer.Err)
			return false, nil
		}
		groups[group] = map[string]string{}
		for _, row := range answer.Rows {
			groups[group][row.Key] = row.Value
		}
	}
	return true, groups
}
