// Command sessions is a web application's sessions, shared by actors: front ends log users
// in and out, and any of them may be asked whether a user is logged in. A session lives for
// a while after the login (SetWithTTL). All of it is messages to the store's actor: no actor
// blocks, and no front end knows of another.
//
// The invariant: what a front end is told of a session was true at a moment between its
// question and the answer, whichever wrote it. A session that was ended or replaced before
// the question is not shown, and one of which an answer said that it had expired never again.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"forge.lthn.ai/core/go-store/api"
	"forge.lthn.ai/core/go-store/examples/internal/ending"
	"forge.lthn.ai/core/go-store/protocol"

	"github.com/asynkron/protoactor-go/actor"
)

const (
	frontEnds       = 8
	usersOfEach     = 4
	inFlight        = 4 // requests of a front end that are not answered
	sessionLifetime = 40 * time.Millisecond
)

func main() {
	length := flag.Duration("for", 2*time.Second, "how long it runs")
	seed := flag.Uint64("seed", 1, "of what the users do")
	flag.Parse()
	ending.Within(*length + 17*time.Second)
	if err := run(os.Stdout, *length, *seed); err != nil {
		fmt.Fprintln(os.Stderr, "sessions:", err)
		os.Exit(1)
	}
}

func run(out io.Writer, length time.Duration, seed uint64) error {
	system := actor.NewActorSystem(actor.WithLoggerFactory(
		func(*actor.ActorSystem) *slog.Logger { return slog.New(slog.DiscardHandler) }))
	passing := newClock()
	store, err := api.New(":memory:", api.WithActorSystem(system), api.WithClock(passing))
	if err != nil {
		return err
	}
	defer store.Close()
	pid, err := store.PID()
	if err != nil {
		return err
	}
	truth := newAuditor(passing)
	var pids []*actor.PID
	for i := range frontEnds {
		pids = append(pids, system.Root.Spawn(actor.PropsFromProducer(func() actor.Actor {
			return &frontEnd{number: i, store: pid, truth: truth, waiting: make(map[uint64]question),
				random: rand.New(rand.NewPCG(seed, uint64(i)))}
		})))
	}
	stop := make(chan struct{})
	ticking := make(chan error, 1)
	go func() { ticking <- passing.tick(store, stop) }()
	select {
	case <-time.After(length):
	case <-truth.failed:
	}
	close(stop)
	if err := <-ticking; err != nil {
		return err
	}
	for _, pid := range pids {
		if err := ending.Stop(system, pid); err != nil {
			return err
		}
	}
	fmt.Fprintf(out, "%d front ends, %d users: %d logins, %d logouts, %d questions, of which %d found a session, %d were busy\n",
		frontEnds, frontEnds*usersOfEach, truth.logins.Load(), truth.logouts.Load(), truth.questions.Load(), truth.found.Load(), truth.busy.Load())
	if err := truth.err(); err != nil {
		return err
	}
	if truth.found.Load() == 0 || truth.found.Load() == truth.questions.Load() {
		return errors.New("nothing was tested: every question had the same answer")
	}
	fmt.Fprintln(out, "no answer was wrong")
	return store.Close()
}

// frontEnd is an actor. It logs its own users in and out, and asks for any user's sessions.
type frontEnd struct {
	number  int
	store   *actor.PID
	truth   *auditor
	random  *rand.Rand
	last    uint64 // ID
	waiting map[uint64]question
}

// question is a request that is not answered.
type question struct {
	user, token string // token of a login
	change      bool
	sent        time.Time // what is done for it is done no earlier, by the store's clock
	known       session   // what was certain when it was sent
}

// Receive has a new request follow each answer.
func (f *frontEnd) Receive(c actor.Context) {
	switch m := c.Message().(type) {
	case *actor.Started:
		for range inFlight {
			f.next(c)
		}
	case protocol.SetWithTTLDone:
		f.answered(c, m, func(q question) { f.truth.loggedIn(q) })
	case protocol.DeleteDone:
		f.answered(c, m, func(q question) { f.truth.loggedOut(q) })
	case protocol.GetDone:
		if errors.Is(m.Err, api.NotFoundError) {
			m.Err = nil
		}
		f.answered(c, m, func(q question) { f.truth.judge(q, m.Value) })
	case protocol.Busy:
		f.truth.busy.Add(1)
		f.truth.abandoned(f.waiting[m.ID])
		delete(f.waiting, m.ID)
		root, self := c.ActorSystem().Root, c.Self()
		time.AfterFunc(m.RetryAfter, func() { root.Send(self, again{}) })
	case again:
		f.next(c)
	case protocol.Failed:
		f.truth.fail(fmt.Errorf("the store says: %w", m.Err))
	}
}

type again struct{}

func (f *frontEnd) answered(c actor.Context, m protocol.Reply, then func(question)) {
	if err := m.Failure(); err != nil {
		f.truth.fail(err)
		return
	}
	q := f.waiting[m.RequestID()]
	delete(f.waiting, m.RequestID())
	then(q)
	f.next(c)
}

// next does what some user does next.
func (f *frontEnd) next(c actor.Context) {
	f.last++
	own := fmt.Sprintf("user-%d", f.number*usersOfEach+f.random.IntN(usersOfEach))
	q := question{user: own, sent: f.truth.clock.certain()}
	switch n := f.random.IntN(20); {
	case n == 0 && f.truth.begin(&q, ""):
		c.Request(f.store, protocol.Delete{ID: f.last, Group: "sessions", Key: own})
	case n < 4 && f.truth.begin(&q, fmt.Sprintf("token-%d-%d", f.number, f.last)):
		c.Request(f.store, protocol.SetWithTTL{ID: f.last, Group: "sessions", Key: own, Value: q.token, TimeToLive: sessionLifetime})
	default:
		q.user = fmt.Sprintf("user-%d", f.random.IntN(frontEnds*usersOfEach))
		q.known = f.truth.now(q.user)
		c.Request(f.store, protocol.Get{ID: f.last, Group: "sessions", Key: q.user})
	}
	f.waiting[f.last] = q
}

// session is what is certain of a user's session.
type session struct {
	token    string    // of the last change that was answered; empty: logged out
	sent     time.Time // when that was asked for: it began to live no earlier
	answered time.Time // and no later than this
	changes  int       // that were asked for so far; more than were answered: one is under way
	done     int
	coming   string // what the change under way makes of it
	gone     bool   // a front end was told that it has expired
}

// auditor knows what was asked for and what was answered.
type auditor struct {
	clock                                   *clock
	logins, logouts, questions, found, busy atomic.Int64

	failed chan struct{}
	mu     struct {
		sync.Mutex
		sessions map[string]*session
		reason   error
	}
}

func newAuditor(c *clock) *auditor {
	a := &auditor{clock: c, failed: make(chan struct{})}
	a.mu.sessions = make(map[string]*session)
	return a
}

func (a *auditor) fail(err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.mu.reason == nil {
		a.mu.reason = err
		close(a.failed)
	}
}

func (a *auditor) err() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.mu.reason
}

// at is called under the lock.
func (a *auditor) at(user string) *session {
	if a.mu.sessions[user] == nil {
		a.mu.sessions[user] = &session{}
	}
	return a.mu.sessions[user]
}

// begin notes a change that is asked for, unless another of the same user is under way.
func (a *auditor) begin(q *question, token string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	s := a.at(q.user)
	if s.changes > s.done {
		return false
	}
	s.changes, s.coming, q.token, q.change = s.changes+1, token, token, true
	return true
}

// abandoned notes that a change was not made.
func (a *auditor) abandoned(q question) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if s := a.at(q.user); q.change {
		s.done++
	}
}

func (a *auditor) loggedIn(q question) { a.logins.Add(1); a.changed(q) }

func (a *auditor) loggedOut(q question) { a.logouts.Add(1); a.changed(q) }

func (a *auditor) changed(q question) {
	a.mu.Lock()
	defer a.mu.Unlock()
	s := a.at(q.user)
	s.token, s.sent, s.answered, s.done, s.gone = q.token, q.sent, a.clock.Now(), s.done+1, false
}

func (a *auditor) now(user string) session {
	a.mu.Lock()
	defer a.mu.Unlock()
	return *a.at(user)
}

// judge compares an answer with what was certain when the question was sent, and with what
// has been asked for until now.
func (a *auditor) judge(q question, token string) {
	const rounding = time.Millisecond // deadlines are in whole ones
	a.questions.Add(1)
	if token != "" {
		a.found.Add(1)
	}
	answered, now := a.clock.Now(), a.now(q.user)
	switch before := q.known; {
	case now.changes > before.done+1:
		// More than one change since: anything may have been true.
	case token != "" && token == before.token:
		if age := q.sent.Sub(before.answered); age > sessionLifetime+rounding {
			a.fail(fmt.Errorf("%s: a session that ended %v before was shown", q.user, age-sessionLifetime))
		}
		if before.gone {
			a.fail(fmt.Errorf("%s: a session was shown again after it had expired", q.user))
		}
	case now.changes > before.done && token == now.coming:
	case token != "":
		a.fail(fmt.Errorf("%s: %s was shown, and is neither %q nor %q, to which it may have changed", q.user, token, before.token, now.coming))
	case before.token != "" && now.changes == before.done && answered.Sub(before.sent) < sessionLifetime-rounding:
		a.fail(fmt.Errorf("%s: the session was not found %v after it began", q.user, answered.Sub(before.sent)))
	case before.token != "" && now.changes == before.done:
		a.expired(q.user, before.done)
	}
}

// expired notes that a front end was told so of what a change has made.
func (a *auditor) expired(user string, change int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if s := a.at(user); s.done == change {
		s.gone = true
	}
}
