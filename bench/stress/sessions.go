package stress

import (
	"fmt"
	"time"

	"forge.lthn.ai/core/go-store/api"
)

const (
	sessionGroup = "sessions"
	sessionLife  = 250 * time.Millisecond // the longest time to live
	openSessions = 16                     // of each caller
	// slack covers the rounding of deadlines to milliseconds, and the
	// difference between two clocks that are read one after the other.
	slack = 10 * time.Millisecond
)

// session is a key that expires. Each is written once, so it expires once.
type session struct {
	key, value string
	life       time.Duration
	// The store fixed the deadline between these two, plus life.
	begun, returned time.Time
}

// keepSession looks whether a session that ought to be over is, or else reads
// one that ought not to be, or starts one.
func (c *caller) keepSession() {
	for i, s := range c.sessions {
		if c.judged().Sub(s.returned) > s.life+slack {
			c.readSession(s)
			c.sessions = append(c.sessions[:i], c.sessions[i+1:]...)
			return
		}
	}
	if open := len(c.sessions); open == openSessions || open > 0 && c.random.IntN(3) == 0 {
		c.readSession(c.sessions[c.random.IntN(open)])
		return
	}
	c.startSession()
}

func (c *caller) startSession() {
	c.sessionsBegun++
	s := session{key: fmt.Sprintf("%04d-%d", c.number, c.sessionsBegun), begun: time.Now(),
		life: time.Millisecond + time.Duration(c.random.Int64N(int64(sessionLife)))}
	s.value = valueOf(sessionGroup, s.key, 1, c.now())
	call := Call{Kind: SetWithTTL, Group: sessionGroup, Key: s.key, Value: s.value, TimeToLive: s.life}
	err := c.do(call).Err
	s.returned = time.Now()
	owed := []change{{api.EventSet, sessionGroup, s.key}, {api.EventExpire, sessionGroup, s.key}}
	switch {
	case err == nil:
		c.writes.Add(1)
		c.ledger.committed(owed...)
		c.sessions = append(c.sessions, s)
	case c.inDoubt(err):
		c.doubts.Add(1)
		c.ledger.doubtful(owed...)
	default:
		c.unexpected(call, err)
		c.ledger.doubtful(owed...)
	}
}

// readSession judges a session by the time at which the read has judged it at the
// earliest, or by that after it ended.
func (c *caller) readSession(s session) {
	before := c.judged()
	value, found, ok := c.get(sessionGroup, s.key)
	after := time.Now()
	if !ok || c.clockWasSet() {
		return
	}
	switch {
	case found && value != s.value:
		c.findings.add(PhantomWrite, "%s/%s: found %s, which nobody wrote", sessionGroup, s.key, brief(value, found))
	case found && before.Sub(s.returned) > s.life+slack:
		c.findings.add(ExpiredRead, "%s/%s: found %v after it was written with a time to live of %v", sessionGroup, s.key, before.Sub(s.returned), s.life)
	case !found && after.Sub(s.begun) < s.life-slack:
		c.findings.add(EarlyExpiry, "%s/%s: not found %v after it was written with a time to live of %v", sessionGroup, s.key, after.Sub(s.begun), s.life)
	}
	if !found {
		c.sessionsOver.Add(1)
	}
}

// clockWasSet reports whether the machine's clock was set during the
// run. Deadlines follow it; our measurements don't.
func (r *run) clockWasSet() bool {
	now := time.Now()
	drift := now.Round(0).Sub(r.began.Round(0)) - now.Sub(r.began)
	return drift.Abs() > slack/2
}

// endSessions waits until every session is over, and has what expired removed.
func (r *run) endSessions() {
	var last time.Time
	for _, c := range r.callers {
		for _, s := range c.sessions {
			if end := s.returned.Add(s.life + slack); end.After(last) {
				last = end
			}
		}
	}
	time.Sleep(time.Until(last) + time.Millisecond)
	call := Call{Kind: PurgeExpired}
	if err := r.callers[0].do(call).Err; err != nil {
		r.callers[0].unexpected(call, err)
	}
	for _, c := range r.callers {
		for _, s := range c.sessions {
			c.readSession(s)
		}
		c.sessions = nil
	}
}
