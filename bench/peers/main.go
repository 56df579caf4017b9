// Command peers measures go-store beside other stores, and beside what it is
// made of, at equal durability: every contender has made a write durable before
// its call returns. Those in memory, of which nothing is left, run where they are
// named, to be compared with each other.
//
// It is a module of its own, so that no program that uses go-store downloads them.
//
//	go run -C bench/peers . --quick
//	go run -C bench/peers . --full --report peers.html
//	go run -C bench/peers . --stores store-memory,buntdb-memory --workloads set,get-hot --callers 1 --keys 100000
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/schollz/progressbar/v3"
	"github.com/spf13/pflag"
	"golang.org/x/term"

	"forge.lthn.ai/core/go-store/bench"
	"forge.lthn.ai/core/go-store/bench/command"
	"forge.lthn.ai/core/go-store/bench/floor"
	"forge.lthn.ai/core/go-store/bench/store"
)

// Exit codes, as those of gostore.
const (
	succeeded = 0
	failed    = 1
	misused   = 2
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// A second signal ends the process at once.
	context.AfterFunc(ctx, stop)
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// contenders are all there are. The ratios relate to the first.
func contenders() []bench.Contender {
	return append(append(durable(), store.Direct()), inMemory()...)
}

// inMemory are those that lose everything.
func inMemory() []bench.Contender {
	return []bench.Contender{store.Contender(store.Memory), buntMemoryContender()}
}

// durable are those that run if none is named.
func durable() []bench.Contender {
	return []bench.Contender{
		store.Contender(store.Sync),
		seedContender(),
		bboltContender(),
		badgerContender(),
		pebbleContender(),
		buntContender(),
		natsContender(),
		bareContender(),
		floor.Contender(),
	}
}

// run is all of the program but the signals.
func run(ctx context.Context, arguments []string, stdout, stderr io.Writer) int {
	set := pflag.NewFlagSet("peers", pflag.ContinueOnError)
	set.SetOutput(io.Discard)
	flags := command.Add(set, command.Defaults{
		Duration: 40 * time.Second, Workloads: []string{"set", "get-hot", "mixed", "ycsb-a", "getall"}, Callers: []int{1, 64}, Keys: 10_000,
	})
	quick := set.Bool("quick", false, "about a minute: what happens without --full too")
	names := set.StringSlice("stores", nil, "only these, `NAMES` with commas, and not all but those in memory and store-direct; ratios are to the first: "+strings.Join(allNames(), ", "))
	err := set.Parse(arguments)
	if errors.Is(err, pflag.ErrHelp) {
		fmt.Fprintf(stdout, "Usage: go run -C bench/peers . [--quick | --full] [flags]\n\nMeasures go-store beside other stores, all of them durable but those whose names end in -memory.\n\n%s", set.FlagUsages())
		return succeeded
	}
	if err == nil {
		err = measure(ctx, set, flags, *quick, *names, stdout, stderr)
	} else {
		err = usageError{err.Error()}
	}
	var wrong command.MisuseError
	var usage usageError
	switch {
	case err == nil:
		return succeeded
	case errors.As(err, &wrong), errors.As(err, &usage):
		fmt.Fprintf(stderr, "peers: %v; see --help\n", err)
		return misused
	}
	fmt.Fprintf(stderr, "peers: %v\n", err)
	return failed
}

// usageError is a mistake in the command line.
type usageError struct{ text string }

func (e usageError) Error() string { return e.text }

func measure(ctx context.Context, set *pflag.FlagSet, flags *command.Flags, quick bool, names []string, stdout, stderr io.Writer) error {
	if set.NArg() > 0 {
		return usageError{fmt.Sprintf("%q: there are no arguments, only flags", set.Arg(0))}
	}
	if full, _ := set.GetBool("full"); full && quick {
		return usageError{"--quick and --full: give one of them"}
	}
	chosen, err := choose(names)
	if err != nil {
		return err
	}
	return flags.Run(ctx, chosen, command.Output{
		Stdout:  stdout,
		Bar:     func(total int64) command.Bar { return newBar(stderr, total) },
		Command: command.Line("go run -C bench/peers .", set),
	})
}

// choose finds contenders by name, in the order of the names.
func choose(names []string) ([]bench.Contender, error) {
	if names == nil {
		return durable(), nil
	}
	all := contenders()
	var chosen []bench.Contender
	for i, name := range names {
		at := slices.Index(allNames(), name)
		if at < 0 || slices.Contains(names[:i], name) {
			return nil, usageError{fmt.Sprintf("--stores %q: name each once; there are %s", name, strings.Join(allNames(), ", "))}
		}
		chosen = append(chosen, all[at])
	}
	if chosen == nil {
		return nil, usageError{"--stores: name one at least; there are " + strings.Join(allNames(), ", ")}
	}
	return chosen, nil
}

func allNames() []string {
	var names []string
	for _, c := range contenders() {
		names = append(names, c.Name)
	}
	return names
}

// bar is a progress bar on a terminal, and nothing elsewhere.
type bar struct{ bar *progressbar.ProgressBar }

func newBar(out io.Writer, total int64) bar {
	if file, ok := out.(*os.File); !ok || !term.IsTerminal(int(file.Fd())) {
		out = io.Discard
	}
	return bar{progressbar.NewOptions64(total,
		progressbar.OptionSetWriter(out),
		progressbar.OptionSetDescription("measuring"),
		progressbar.OptionSetWidth(30),
		progressbar.OptionShowCount(),
		progressbar.OptionThrottle(100*time.Millisecond),
		progressbar.OptionClearOnFinish(),
	)}
}

// A bar that can't be drawn is no reason to stop.
func (b bar) Set(done int64)       { _ = b.bar.Set64(done) }
func (b bar) Describe(text string) { b.bar.Describe(text) }
func (b bar) Close()               { _ = b.bar.Finish() }
