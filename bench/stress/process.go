package stress

import (
	"bufio"
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
		waiting map[uint64]chan response // nil when it is gone
		wanted  bool                     // its end is our doing
		err     error                    // how it ended
	}
}

// start starts one.
func start(program []string) (*process, error) {
	p := &process{command: exec.Command(program[0], program[1:]...), opened: make(chan struct{}), gone: make(chan struct{})}
	p.mu.waiting = map[uint64]chan response{}
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
		delete(p.mu.waiting, r.ID)
		p.mu.Unlock()
		if waiting != nil {
			waiting <- r
		}
	}
	err := p.command.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.mu.wanted {
		p.mu.err = fmt.Errorf("%w: it ended by itself: %v: %s", errGone, err, p.stderr.text())
	}
	for _, waiting := range p.mu.waiting {
		close(waiting)
	}
	p.mu.waiting = nil
}

// ask sends a request and waits for its answer. Without one the process has
// ended; sent reports whether the request may have reached it.
func (p *process) ask(r request) (answer response, answered, sent bool) {
	waiting := make(chan response, 1)
	p.mu.Lock()
	if p.mu.waiting == nil {
		p.mu.Unlock()
		return response{}, false, false
	}
	p.mu.last++
	r.ID = p.mu.last
	p.mu.waiting[r.ID] = waiting
	p.mu.Unlock()
	_ = p.calls.send(r) // if that fails the process is ending
	answer, answered = <-waiting
	return answer, answered, true
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
