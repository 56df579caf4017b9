package stress

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"sync"
	"time"

	"forge.lthn.ai/core/go-store/api"
)

// remote is a store in a process that is killed now and then. A call that is
// under way then, and writes, has an unknown outcome. A read is made
// again: it changes nothing, and then took that long. Calls meanwhile wait for
// the next process.
type remote struct {
	program []string
	mu      struct {
		sync.Mutex
		process *process      // nil while there is none
		up      chan struct{} // closed when there is one again, or err is set
		err     error         // there will be none any more
		Killed
	}
}

// Killed is what a run did to the store's process.
type Killed struct {
	Kills       uint64        `json:"kills"`
	Opening     uint64        `json:"kills_while_opening"` // of these, before the store was open
	SlowestOpen time.Duration `json:"slowest_open_ns"`     // from its start until it answered
}

// Spawn is a store in another process as a Target. program is the command that
// runs Serve there. Its watchers would end with it: it has none.
func Spawn(program ...string) (Target, error) {
	t := &remote{program: program}
	t.mu.up = make(chan struct{})
	return t, t.begin()
}

// begin starts a process and waits until it answers.
func (t *remote) begin() error {
	started := time.Now()
	p, err := start(t.program)
	if err == nil {
		err = p.untilOpen()
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.mu.err = err; err == nil {
		t.mu.process = p
		t.mu.SlowestOpen = max(t.mu.SlowestOpen, time.Since(started))
	}
	close(t.mu.up)
	return err
}

func (p *process) untilOpen() error {
	select {
	case <-p.opened:
		return nil
	case <-p.gone:
		return p.failure()
	case <-time.After(patience):
		p.kill()
		return errors.New("the store did not open in time")
	}
}

// current waits for a process.
func (t *remote) current() (*process, error) {
	for {
		t.mu.Lock()
		process, up, err := t.mu.process, t.mu.up, t.mu.err
		t.mu.Unlock()
		if process != nil || err != nil {
			return process, err
		}
		<-up
	}
}

// ask has a request answered, if need be by the next process. sent reports
// that it was not, and may not be repeated.
func (t *remote) ask(r request) (answer response, lost bool, err error) {
	for {
		process, err := t.current()
		if err != nil {
			return response{}, false, err
		}
		answer, answered, sent := process.ask(r)
		if answered {
			return answer, false, nil
		}
		if sent && !r.repeatable() {
			return response{}, true, nil
		}
		if err := process.failure(); err != nil {
			return response{}, false, err
		}
		t.forget(process)
	}
}

// forget notes that a process has ended, which its killer knows already.
func (t *remote) forget(p *process) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.mu.process == p {
		t.mu.process, t.mu.up = nil, make(chan struct{})
	}
}

func (t *remote) Do(call Call) Answer {
	answer, lost, err := t.ask(request{Call: call})
	switch {
	case err != nil:
		return Answer{Err: err}
	case lost:
		return Answer{Err: fmt.Errorf("%w: %w", errGone, api.UnknownOutcomeError)}
	}
	answer.Answer.Err = answer.Failed.unpack()
	return answer.Answer
}

func (t *remote) Footprint() (Footprint, error) {
	answer, _, err := t.ask(request{Measure: true})
	return answer.Takes, errors.Join(err, answer.Failed.unpack())
}

func (t *remote) Watch(string, string) Watcher { return nil }

// Subscribe ends with errGone when the process does.
func (t *remote) Subscribe(ctx context.Context, wish Wish) iter.Seq2[api.Event, error] {
	return func(yield func(api.Event, error) bool) {
		process, err := t.current()
		if err != nil {
			yield(api.Event{}, err)
			return
		}
		id, answers := process.post(request{Subscribe: &wish})
		if answers == nil {
			t.forget(process)
			yield(api.Event{}, errors.Join(errGone, process.failure()))
			return
		}
		for {
			answer, ok := answers.take(ctx)
			switch {
			case !ok && ctx.Err() != nil:
				process.forget(id)
				yield(api.Event{}, ctx.Err())
				return
			case !ok:
				yield(api.Event{}, errGone)
				return
			case answer.Event == nil:
				if err := answer.Failed.unpack(); err != nil {
					yield(api.Event{}, err)
				}
				return
			case !yield(*answer.Event, nil):
				process.forget(id)
				return
			}
		}
	}
}

func (t *remote) Close() error {
	process, err := t.current()
	if err != nil {
		return err
	}
	return process.close()
}

// Reopen kills the process and starts another.
func (t *remote) Reopen() error {
	process, err := t.current()
	if err != nil {
		return err
	}
	process.kill()
	t.forget(process)
	t.mu.Lock()
	t.mu.Kills++
	t.mu.Unlock()
	return t.begin()
}

// Killed is what was done so far. Its Kills are how often the store has ended.
func (t *remote) Killed() Killed {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.mu.Killed
}

// Disturb kills the process at random moments until ctx ends, and leaves one
// that works, or calls that fail.
func (t *remote) Disturb(ctx context.Context, random *rand.Rand) {
	const opening = 30 * time.Millisecond
	for {
		// On a slow machine too something has to be done between two kills.
		longest := max(800*time.Millisecond, 4*t.Killed().SlowestOpen)
		select {
		case <-ctx.Done():
			return
		case <-time.After(time.Duration(random.Int64N(int64(longest)))):
		}
		process, err := t.current()
		if err != nil {
			return
		}
		process.kill()
		t.forget(process)
		t.count(false)
		for random.IntN(4) == 0 { // now and then while it opens, when it recovers the log
			if p, err := start(t.program); err == nil {
				time.Sleep(time.Duration(random.Int64N(int64(opening))))
				p.kill()
				t.count(true)
			}
		}
		if t.begin() != nil {
			return
		}
	}
}

func (t *remote) count(opening bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.mu.Kills++
	if opening {
		t.mu.Opening++
	}
}
