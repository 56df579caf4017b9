package demo

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"forge.lthn.ai/core/go-store/api"
)

const (
	sessionGroup = "sessions"
	// sessionLife is the longest time to live.
	sessionLife = 500 * time.Millisecond
	// slack covers the rounding of deadlines to milliseconds.
	slack = 10 * time.Millisecond
)

// sessions are keys that live for a few hundred milliseconds. Each is used
// once, so that each expires exactly once.
type sessions struct {
	written uint64    // acknowledged
	open    []session // in the order they were written; bounded by their lives
}

type session struct {
	key string
	end time.Time // no earlier than its deadline in the store
}

// keepSessions writes sessions, reads them while they live and when they are over.
func (l *load) keepSessions(ctx context.Context, random *rand.Rand) {
	every(ctx, 5*time.Millisecond, func() {
		// Reads judge expiry no later than the commit under way. What was over before a
		// write that has returned since is over for them.
		before := time.Now()
		l.startSession(sessionLife/2 + time.Duration(random.Int64N(int64(sessionLife/2))))
		l.endSessions(before)
	})
}

func (l *load) startSession(life time.Duration) {
	key := fmt.Sprintf("session-%06d", l.sessions.written)
	started := time.Now()
	if err := l.store.SetWithTTL(sessionGroup, key, life.String(), life); err != nil {
		l.failed("write with TTL", err)
		return
	}
	l.sessions.written++
	l.writes.Add(1)
	l.sessions.open = append(l.sessions.open, session{key, time.Now().Add(life + slack)})

	alive := l.readable(key)
	if !alive && time.Since(started) < life-slack {
		l.findings.add("%s/%s: not found %v before its time", sessionGroup, key, life-time.Since(started))
	}
}

// endSessions looks for sessions that are over: no read may find them, whether
// or not they were purged yet.
func (l *load) endSessions(now time.Time) {
	var open []session
	for _, s := range l.sessions.open {
		if now.Before(s.end) {
			open = append(open, s)
		} else if l.readable(s.key) {
			l.findings.add("%s/%s: readable after it expired", sessionGroup, s.key)
		}
	}
	l.sessions.open = open
}

func (l *load) readable(key string) bool {
	_, err := l.store.Get(sessionGroup, key)
	if err != nil && !errors.Is(err, api.NotFoundError) {
		l.failed("read", err)
	}
	l.gets.Add(1)
	return err == nil
}
