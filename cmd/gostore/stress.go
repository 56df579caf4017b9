package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"forge.lthn.ai/core/go-store/bench/stress"
	"forge.lthn.ai/core/go-store/cmd/gostore/internal/progress"
)

// mostCallers is what a register's numbers leave room for.
const mostCallers = 4096

// stressFlags is how 'gostore stress' was called.
type stressFlags struct {
	duration time.Duration
	callers  int
	seed     uint64
	kill     bool
	asJSON   bool
}

func (a *app) stressCommand() *cobra.Command {
	var flags stressFlags
	command := &cobra.Command{
		Use:   "stress [--for D] [--kill] [--callers N] [--seed N] [--json] [--db PATH]",
		Short: "Try to break a store, and judge all that it answers",
		Long: `Puts every load on one store at the same time: keys that one caller writes and
all read, keys that all write, groups written as a whole and scanned meanwhile,
a namespace at its quota, keys that expire, watchers fast and slow. Each answer
and each event is judged by what the callers know. Then everything is read, the
store closed, opened, and everything read once more.

The database is made in a temporary folder; with --db it is made there, and
stays. It must not exist yet. --db :memory: is a store in memory.

With --kill the store runs in a process of its own, which is killed at random
moments, sometimes while it opens: every acknowledged write must be there
afterwards, and of each one under way all or nothing. Watchers would end with
the process: there are none then.

It exits with 1 if a promise was broken, and prints which, what was seen, and
the command that runs the same workload again (--seed; which call meets which
is up to the scheduler). Ctrl-C ends the load early, with the verdict so far.
With --json one object is printed.`,
		Args: cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			if !command.Flags().Changed("seed") {
				flags.seed = uint64(time.Now().UnixNano()) % 1_000_000_000
			}
			return a.stress(command, flags)
		},
	}
	command.AddCommand(a.serveCommand())
	command.Flags().BoolVar(&flags.kill, "kill", false, "keep the store in a process of its own that is killed (SIGKILL) at random moments")
	command.Flags().DurationVar(&flags.duration, "for", 30*time.Second, "how long the load lasts, a `DURATION` such as 1m")
	command.Flags().IntVar(&flags.callers, "callers", 64, "how many goroutines call the store, 1 to 4096")
	command.Flags().Uint64Var(&flags.seed, "seed", 0, "what the callers do follows from this `NUMBER` (default: another each time)")
	command.Flags().BoolVar(&flags.asJSON, "json", false, "print one JSON object instead of the table")
	return command
}

func (a *app) stress(command *cobra.Command, flags stressFlags) error {
	if flags.duration < 100*time.Millisecond {
		return misuse("--for %v: use at least 100ms", flags.duration)
	}
	if flags.callers < 1 || flags.callers > mostCallers {
		return misuse("--callers %d: use 1 to %d", flags.callers, mostCallers)
	}
	if flags.kill && a.database == ":memory:" {
		return misuse("--kill with --db :memory:: such a store ends with its process; name a file, or leave --db out")
	}
	path, remove, err := a.ownDatabase("stress")
	if err != nil {
		return err
	}
	defer remove()
	target, err := openTarget(path, flags.kill)
	if err != nil {
		return err
	}
	bar := progress.Duration(a.stderr, "stress", flags.duration)
	result := stress.Run(command.Context(), target, stress.Config{
		Seed: flags.seed, Callers: flags.callers, Duration: flags.duration, Log: path + "-wal",
		Progress: func(elapsed time.Duration) { bar.Set(min(elapsed, flags.duration).Milliseconds()) },
	})
	bar.Close()
	if result.Violations[stress.Stalled] == 0 { // closing it would wait for the call that never returns
		err = target.Close()
	}
	result.Command = flags.commandLine()
	return errors.Join(err, a.reportStress(result, flags.asJSON))
}

// commandLine is the command that runs the same workload.
func (f stressFlags) commandLine() string {
	line := fmt.Sprintf("gostore stress --for %v --callers %d --seed %d", f.duration, f.callers, f.seed)
	if f.kill {
		line += " --kill"
	}
	return line
}

// openTarget opens the store here, or in a process of its own: this program
// once more.
func openTarget(path string, kill bool) (stress.Target, error) {
	if !kill {
		return stress.Open(path)
	}
	program, err := os.Executable()
	if err != nil {
		return nil, err
	}
	return stress.Spawn(program, "stress", serveName, "--db", path)
}

const serveName = "serve-for-stress"

// serveCommand is the other end of 'gostore stress --kill'.
func (a *app) serveCommand() *cobra.Command {
	return &cobra.Command{
		Use:    serveName,
		Hidden: true,
		Args:   cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			// Ctrl-C reaches every process of the terminal. When to end is up
			// to the one that started this.
			signal.Ignore(os.Interrupt, syscall.SIGTERM)
			return stress.Serve(a.database, a.stdin, a.stdout)
		},
	}
}

func (a *app) reportStress(result stress.Result, asJSON bool) error {
	var err error
	if asJSON {
		err = json.NewEncoder(a.stdout).Encode(result)
	} else {
		err = result.Print(a.stdout)
	}
	if err != nil || result.Passed() {
		return err
	}
	return fmt.Errorf("promises were broken: %s; the same workload again: %s", result.Summary(), result.Command)
}

// ownDatabase is where a command makes a database of its own, and what removes
// it when it was made in a temporary folder.
func (a *app) ownDatabase(command string) (path string, remove func(), err error) {
	if a.database == ":memory:" {
		return a.database, func() {}, nil
	}
	if a.database != "" {
		if _, err := os.Lstat(a.database); !errors.Is(err, fs.ErrNotExist) {
			return "", nil, fmt.Errorf("%s exists already; %s needs a database of its own, name another", a.database, command)
		}
		return a.database, func() {}, nil
	}
	folder, err := os.MkdirTemp("", "gostore-"+command+"-")
	if err != nil {
		return "", nil, err
	}
	return filepath.Join(folder, command+".db"), func() { _ = os.RemoveAll(folder) }, nil
}
