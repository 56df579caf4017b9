package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"forge.lthn.ai/core/go-store/bench/command"
	"forge.lthn.ai/core/go-store/bench/soak"
	"forge.lthn.ai/core/go-store/cmd/gostore/internal/progress"
)

// soakFlags is how 'gostore soak' was called.
type soakFlags struct {
	duration   time.Duration
	every      time.Duration
	callers    int
	rate       float64
	seed       uint64
	jsonPath   string
	reportPath string
}

func (a *app) soakCommand() *cobra.Command {
	var flags soakFlags
	command := &cobra.Command{
		Use:   "soak [--for D] [--rate N] [--callers N] [--report FILE] [--json FILE] [--db PATH]",
		Short: "Work on a store for long, and see whether anything grows",
		Long: `Puts a mixed load on one store for long, over a set of keys that does not grow,
and samples what it takes: memory in Go's heap and outside it, goroutines,
descriptors, the write-ahead log and the database file. From minute five on (in
less than 25 minutes: after a fifth of the time) nothing may grow by more than
2 %, besides a small slack for small figures; a run that is too short for five
minutes of warm-up is judged less strictly.

The database is made in a temporary folder; with --db it is made there, and
stays. It must not exist yet.

It exits with 1 if a figure grew, and says which. Ctrl-C ends the load early,
with the verdict on what was sampled by then.`,
		Example: "  gostore soak --for 1h --report soak.html",
		Args:    cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			if !command.Flags().Changed("seed") {
				flags.seed = uint64(time.Now().UnixNano()) % 1_000_000_000
			}
			return a.soak(command, flags)
		},
	}
	set := command.Flags()
	set.DurationVar(&flags.duration, "for", time.Hour, "how long the load lasts, a `DURATION` such as 30m")
	set.DurationVar(&flags.every, "every", 0, "the `DURATION` between two samples (default: a 360th of the time, a second at least)")
	set.IntVar(&flags.callers, "callers", 64, "how many goroutines call the store, 1 to 4096")
	set.Float64Var(&flags.rate, "rate", 0, "calls a second of all callers together; 0: as many as they can")
	set.Uint64Var(&flags.seed, "seed", 0, "what the callers do follows from this `NUMBER` (default: another each time)")
	set.StringVar(&flags.reportPath, "report", "", "write a page with charts to this `FILE`")
	set.StringVar(&flags.jsonPath, "json", "", "write the samples and the verdict to this `FILE`; - prints them instead of the table")
	return command
}

func (a *app) soak(command *cobra.Command, flags soakFlags) error {
	switch {
	case flags.duration < time.Second:
		return misuse("--for %v: use at least 1s", flags.duration)
	case flags.callers < 1 || flags.callers > mostCallers:
		return misuse("--callers %d: use 1 to %d", flags.callers, mostCallers)
	case !(flags.rate >= 0):
		return misuse("--rate %g: use a positive number, or 0 for as many as there can be", flags.rate)
	case flags.every != 0 && (flags.every < 10*time.Millisecond || flags.every > flags.duration/10):
		return misuse("--every %v: use 10ms to a tenth of the time", flags.every)
	case a.database == ":memory:":
		return misuse("--db :memory:: such a store has no files to watch; name a file, or leave --db out")
	}
	path, remove, err := a.ownDatabase("soak")
	if err != nil {
		return err
	}
	defer remove()
	bar := progress.Duration(a.stderr, "soak", flags.duration)
	result, err := soak.Run(command.Context(), soak.Config{
		Path: path, Duration: flags.duration, Callers: flags.callers, Rate: flags.rate, Every: flags.every, Seed: flags.seed,
		Progress: func(elapsed time.Duration) { bar.Set(elapsed.Milliseconds()) },
	})
	bar.Close()
	if err != nil && len(result.Samples) == 0 {
		return err
	}
	result.Command = flags.commandLine()
	return errors.Join(err, a.reportSoak(result, flags))
}

// commandLine is the command that runs the same workload.
func (f soakFlags) commandLine() string {
	line := fmt.Sprintf("gostore soak --for %v --callers %d --seed %d", f.duration, f.callers, f.seed)
	if f.rate > 0 {
		line += fmt.Sprintf(" --rate %g", f.rate)
	}
	if f.every > 0 {
		line += fmt.Sprintf(" --every %v", f.every)
	}
	return line
}

// reportSoak writes the outcome wherever it should go. One place that fails
// does not keep it from the others.
func (a *app) reportSoak(result soak.Result, flags soakFlags) error {
	var errs []error
	if flags.jsonPath == "-" {
		errs = append(errs, result.WriteJSON(a.stdout))
	} else {
		errs = append(errs, result.Print(a.stdout), command.ToFile(flags.jsonPath, result.WriteJSON))
	}
	errs = append(errs, command.ToFile(flags.reportPath, result.HTML))
	switch result.Verdict {
	case soak.Pass:
	case soak.Fail:
		errs = append(errs, fmt.Errorf("grew: %s", result.Summary()))
	default:
		errs = append(errs, errors.New(result.Summary()))
	}
	return errors.Join(errs...)
}
