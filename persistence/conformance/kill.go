package conformance

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"github.com/asynkron/protoactor-go/persistence"
)

var killChecks = []check{
	{"KilledAfterEveryStep", SurvivesKill, killedBetween},
	{"KilledWithinSteps", SurvivesKill, killedWithin},
	{"KilledUnderLoad", SurvivesKill | Concurrent, killedUnderLoad},
}

// The other process is this program, started again with these in its environment.
const (
	childName  = "CONFORMANCE_CHILD" // the entry of the map
	childPlace = "CONFORMANCE_PLACE"
	childTask  = "CONFORMANCE_TASK"
	childKeeps = "CONFORMANCE_PROMISES"

	taskObey = "obey" // take the steps that standard input says
	taskLoad = "load" // have many actors write, until killed
)

// Child does what the suite wants of the other process, if this is one; it returns if it
// is not. TestMain of a provider that SurvivesKill calls it first, with an Open for each
// name that Options.Child has.
func Child(open map[string]func(place string, interval int) (*Opened, error)) {
	if os.Getenv(childTask) == "" {
		return
	}
	if err := obey(open[os.Getenv(childName)]); err != nil {
		fmt.Println("error:", strings.ReplaceAll(err.Error(), "\n", " "))
		os.Exit(1)
	}
	os.Exit(0)
}

func obey(open func(place string, interval int) (*Opened, error)) error {
	if open == nil {
		return fmt.Errorf("TestMain has given Child no entry %q", os.Getenv(childName))
	}
	if os.Getenv(childTask) == taskLoad {
		return load(open)
	}
	opened, err := open(os.Getenv(childPlace), 1<<30)
	if err != nil {
		return err
	}
	fmt.Println("ready")
	states := map[string]persistence.ProviderState{}
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		next, err := parseStep(lines.Text())
		if err == nil {
			err = next.take(opened.Provider, states)
		}
		if err != nil {
			return err
		}
		fmt.Println("ok")
	}
	return lines.Err()
}

// child is the other process.
type child struct {
	command *exec.Cmd
	stdin   io.WriteCloser
	lines   *bufio.Scanner
}

// startChild returns once the child has opened the provider.
func (s *subject) startChild(task string) (*child, error) {
	program, err := os.Executable()
	if err != nil {
		return nil, err
	}
	c := &child{command: exec.Command(program, "-test.run=^$")} // so that one without Child ends
	c.command.Env = append(os.Environ(), childName+"="+s.options.Child, childPlace+"="+s.place, childTask+"="+task,
		fmt.Sprintf("%s=%d", childKeeps, s.options.Promises))
	c.command.Stderr = os.Stderr
	if c.stdin, err = c.command.StdinPipe(); err != nil {
		return nil, err
	}
	stdout, err := c.command.StdoutPipe()
	if err != nil {
		return nil, err
	}
	c.lines = bufio.NewScanner(stdout)
	if err := c.command.Start(); err != nil {
		return nil, err
	}
	if err := c.await("ready"); err != nil {
		c.kill()
		return nil, fmt.Errorf("the other process (does TestMain call conformance.Child?): %w", err)
	}
	return c, nil
}

func (c *child) await(want string) error {
	if !c.lines.Scan() {
		return errors.Join(errors.New("it has ended"), c.lines.Err())
	}
	if got := c.lines.Text(); got != want {
		return fmt.Errorf("it says %q", got)
	}
	return nil
}

// kill ends it without a chance to clean up, and returns what it has said and was not
// read yet, but the last line, which may be a part of one.
func (c *child) kill() (lines []string) {
	_ = c.command.Process.Kill()
	for c.lines.Scan() {
		lines = append(lines, c.lines.Text())
	}
	_ = c.command.Wait()
	return lines // each was written to the pipe by one call: none is cut
}

// killedBetween: after each step of a life the process is killed, and another goes on.
func killedBetween(s *subject) error {
	want, random := newModel("killed"), rand.New(rand.NewPCG(1, 2))
	var taken []string
	for range 30 {
		next := want.next(random, s.options.Promises&Deletes != 0)
		c, err := s.startChild(taskObey)
		if err != nil {
			return err
		}
		taken = append(taken, next.String())
		_, err = fmt.Fprintln(c.stdin, next)
		err = errors.Join(err, c.await("ok"))
		c.kill()
		if err != nil {
			return fmt.Errorf("after %q: %w", taken, err)
		}
		want = want.take(next)
		if _, err := s.which([]model{want}); err != nil {
			return fmt.Errorf("killed after %q: %w", taken, err)
		}
	}
	return nil
}

// killedWithin: the process is killed some moment after it was told to take steps. It has
// taken some of them then, from the first on.
func killedWithin(s *subject) error {
	want, random := newModel("killed"), rand.New(rand.NewPCG(3, 4))
	for range 6 {
		c, err := s.startChild(taskObey)
		if err != nil {
			return err
		}
		after := []model{want}
		var steps strings.Builder
		for range 40 {
			next := after[len(after)-1].next(random, s.options.Promises&Deletes != 0)
			after = append(after, after[len(after)-1].take(next))
			fmt.Fprintln(&steps, next)
		}
		_, err = io.WriteString(c.stdin, steps.String())
		acknowledged := random.IntN(len(after))
		for range acknowledged {
			err = errors.Join(err, c.await("ok"))
		}
		time.Sleep(time.Duration(random.IntN(1000)) * time.Microsecond) // to be within a step, whichever
		acknowledged += len(c.kill())
		if err != nil {
			return err
		}
		if want, err = s.which(after[acknowledged:]); err != nil {
			return fmt.Errorf("killed within %q: %w", steps.String(), err)
		}
	}
	return nil
}

// which opens the provider here: it is the last of the models that holds.
func (s *subject) which(models []model) (model, error) {
	provider, err := s.use(1 << 30)
	if err != nil {
		return nil, err
	}
	for i := len(models) - 1; i >= 0; i-- {
		if err = models[i].holds(provider); err == nil {
			return models[i], s.close()
		}
	}
	return nil, errors.Join(err, s.close())
}

const (
	loadActors   = 64
	loadInterval = 4
)

func loadName(i int) string { return fmt.Sprint("loaded-", i) }

// load has witnesses write, and says which event of which was acknowledged.
func load(open func(place string, interval int) (*Opened, error)) error {
	opened, err := open(os.Getenv(childPlace), loadInterval)
	if err != nil {
		return err
	}
	fmt.Println("ready")
	system := newSystem(opened.Provider)
	promises, err := strconv.ParseUint(os.Getenv(childKeeps), 10, 64)
	if err != nil {
		return err
	}
	if Promise(promises)&Deletes != 0 {
		system.trim = trimmer(opened.Provider)
	}
	failed := make(chan error)
	for i := range loadActors {
		go func() {
			name := loadName(i)
			pid, err := system.spawn(name)
			var at told
			if err == nil {
				at, err = system.ask(pid, tell{})
			}
			for index := int(at.digest.events); err == nil; index++ {
				var answer told
				answer, err = system.ask(pid, add{eventText(name, index)})
				if err = errors.Join(err, answer.err); err == nil {
					fmt.Println(i, index)
				}
			}
			failed <- err
		}()
	}
	return <-failed
}

// killedUnderLoad: each actor has all that was acknowledged, in order, and one event more
// at most.
func killedUnderLoad(s *subject) error {
	random := rand.New(rand.NewPCG(5, 6))
	acknowledged := make([]int, loadActors) // how many events
	for round := range 4 {
		c, err := s.startChild(taskLoad)
		if err != nil {
			return err
		}
		var lines []string
		for range 20 + random.IntN(400) {
			if !c.lines.Scan() {
				break
			}
			lines = append(lines, c.lines.Text())
		}
		for _, line := range append(lines, c.kill()...) {
			if err := note(acknowledged, line); err != nil {
				return err
			}
		}
		if err := s.loaded(acknowledged); err != nil {
			return fmt.Errorf("killed in round %d: %w", round, err)
		}
	}
	return nil
}

func note(acknowledged []int, line string) error {
	actor, index, found := strings.Cut(line, " ")
	i, err1 := strconv.Atoi(actor)
	at, err2 := strconv.Atoi(index)
	if !found || err1 != nil || err2 != nil || i < 0 || i >= len(acknowledged) {
		return fmt.Errorf("the other process says %q", line)
	}
	acknowledged[i] = max(acknowledged[i], at+1)
	return nil
}

// loaded looks at what the actors have come to, and takes it for acknowledged.
func (s *subject) loaded(acknowledged []int) error {
	provider, err := s.use(loadInterval)
	if err != nil {
		return err
	}
	system := s.start(provider)
	for i := range acknowledged {
		name := loadName(i)
		got, err := system.run(name, nil)
		if err != nil {
			return err
		}
		events := int(got.digest.events)
		if events < acknowledged[i] || events > acknowledged[i]+1 {
			return fmt.Errorf("%s has %d events, %d were acknowledged", name, events, acknowledged[i])
		}
		if want := digestOf(eventTexts(name, 0, events)); got.digest != want {
			return fmt.Errorf("%s is %v, %d events make %v", name, got.digest, events, want)
		}
		acknowledged[i] = events
	}
	return s.end()
}
