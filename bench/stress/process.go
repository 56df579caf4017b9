package stress

import (
	"bufio"
	"context"
	"encoding/gob"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"sync"
	"time"
)

var (
	errNotClosed = errors.New("the store did not close in time")
	errGone      = errors.New("the store's process is gone")

	errNoSubscriptions = errors.New("the store has no subscriptions")
)

// process is a process that runs Serve. When this one ends, even by SIGKILL,
// its standard input ends, and with that the process.
type process struct {
	command *exec.Cmd
	stdin   io.Closer
	calls   *sender
	stderr  tail
	opened  chan struct{} // closed when the store is open
	gone    chan struct{} // closed when it has ended, and every answer that it sent was read
	mu      struct {
		sync.Mutex
		last    uint64
		waiting map[uint64]*inbox // nil when it is gone
		wanted  bool              // its end is our doing
		err     error             // how it ended
	}
}

// start starts one.
func start(program []string) (*process, error) {
	p := &process{command: exec.Command(program[0], program[1:]...), opened: make(chan struct{}), gone: make(chan struct{})}
	p.mu.waiting = map[uint64]*inbox{}
	p.command.Stderr = &p.stderr
	stdin, err := p.command.StdinPipe()
	if err != nil {
		return nil, err
	}
	stdout, err := p.command.StdoutPipe()
	if err != nil {
		return nil, err
	}
	p.stdin, p.calls = stdin, newSender(stdin)
	if err := p.command.Start(); err != nil {
		return nil, err
	}
	go p.receive(gob.NewDecoder(bufio.NewReader(stdout)))
	return p, nil
}

// receive hands out answers until the process has ended.
func (p *process) receive(answers *gob.Decoder) {
	defer close(p.gone)
	for {
		var r response
		if answers.Decode(&r) != nil {
			break
		}
		if r.ID == 0 {
			close(p.opened)
			continue
		}
		p.mu.Lock()
		waiting := p.mu.waiting[r.ID]
		if r.Event == nil {
			delete(p.mu.waiting, r.ID)
		}
		p.mu.Unlock()
		if waiting != nil {
			waiting.put(r)
		}
	}
	err := p.command.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.mu.wanted {
		p.mu.err = fmt.Errorf("%w: it ended by itself: %w: %s", errGone, err, p.stderr.text())
	}
	for _, waiting := range p.mu.waiting {
		waiting.end()
	}
	p.mu.waiting = nil
}

// post sends a request. Where its answers will be is nil if the process has
// ended before.
func (p *process) post(r request) (id uint64, answers *inbox) {
	answers = newInbox()
	p.mu.Lock()
	if p.mu.waiting == nil {
		p.mu.Unlock()
		return 0, nil
	}
	p.mu.last++
	r.ID = p.mu.last
	p.mu.waiting[r.ID] = answers
	p.mu.Unlock()
	_ = p.calls.send(r) // if that fails the process is ending
	return r.ID, answers
}

// ask sends a request and waits for its answer. Without one the process has
// ended; sent reports whether the request may have reached it.
func (p *process) ask(r request) (answer response, answered, sent bool) {
	_, answers := p.post(r)
	if answers == nil {
		return response{}, false, false
	}
	answer, answered = answers.take(context.Background())
	return answer, answered, true
}

// forget tells the process that a subscription is over.
func (p *process) forget(id uint64) {
	p.mu.Lock()
	delete(p.mu.waiting, id)
	p.mu.Unlock()
	_ = p.calls.send(request{ID: id, Cancel: true})
}

// inbox is where the answers to a request gather. It takes any number, so that
// a caller that does not fetch its answers holds up no other.
type inbox struct {
	ready chan struct{} // holds something when there may be something new
	mu    struct {
		sync.Mutex
		answers []response
		ended   bool
	}
}

func newInbox() *inbox { return &inbox{ready: make(chan struct{}, 1)} }

func (i *inbox) put(r response) {
	i.mu.Lock()
	i.mu.answers = append(i.mu.answers, r)
	i.mu.Unlock()
	i.signal()
}

// end says that nothing will be added.
func (i *inbox) end() {
	i.mu.Lock()
	i.mu.ended = true
	i.mu.Unlock()
	i.signal()
}

func (i *inbox) signal() {
	select {
	case i.ready <- struct{}{}:
	default:
	}
}

// take waits for the next answer. There is none when the inbox or ctx has ended.
func (i *inbox) take(ctx context.Context) (answer response, ok bool) {
	for {
		i.mu.Lock()
		if len(i.mu.answers) > 0 {
			answer, i.mu.answers = i.mu.answers[0], i.mu.answers[1:]
			i.mu.Unlock()
			return answer, true
		}
		ended := i.mu.ended
		i.mu.Unlock()
		if ended {
			return response{}, false
		}
		select {
		case <-i.ready:
		case <-ctx.Done():
			return response{}, false
		}
	}
}

// kill ends the process at once, without a chance to clean up, and waits for that.
func (p *process) kill() {
	p.mu.Lock()
	p.mu.wanted = true
	p.mu.Unlock()
	_ = p.command.Process.Kill() // it may have ended already
	<-p.gone
}

// close has the process close the store and end.
func (p *process) close() error {
	_ = p.stdin.Close()
	select {
	case <-p.gone:
	case <-time.After(2 * patience):
		p.kill()
		return errNotClosed
	}
	if code := p.command.ProcessState.ExitCode(); code != 0 {
		return fmt.Errorf("%w: exit code %d: %s", errGone, code, p.stderr.text())
	}
	return nil
}

// failure is why it ended, nil if it has not, or was meant to.
func (p *process) failure() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.mu.err
}

// tail keeps the end of what a process wrote to its standard error.
type tail struct {
	mu struct {
		sync.Mutex
		bytes []byte
	}
}

const tailBytes = 4096

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.mu.bytes = append(t.mu.bytes, p...)
	t.mu.bytes = t.mu.bytes[max(0, len(t.mu.bytes)-tailBytes):]
	return len(p), nil
}

func (t *tail) text() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return strings.TrimSpace(string(t.mu.bytes))
}
