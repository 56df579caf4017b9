// Package command is what the programs that run the harness have in common:
// the flags, the checks before anything runs, the progress bar, and where the
// outcome goes.
//
// It knows no store: a program brings its contenders.
package command

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"forge.lthn.ai/core/go-store/bench"
)

// MisuseError is a mistake in the command line. Its text says what would be
// right.
type MisuseError struct{ text string }

func (e MisuseError) Error() string { return e.text }

func misuse(format string, arguments ...any) error {
	return MisuseError{fmt.Sprintf(format, arguments...)}
}

// Flags are the flags as they were given.
type Flags struct {
	set *pflag.FlagSet

	full                               bool
	duration                           time.Duration
	workloads                          []string
	callers                            []int
	keys                               int
	valueSize, distribution            string
	sorted                             bool
	rate                               float64
	seed                               uint64
	rounds                             int
	expiring                           int
	folder                             string
	jsonPath, reportPath, markdownPath string
}

// Defaults are what a program does without flags.
type Defaults struct {
	Duration  time.Duration
	Workloads []string
	Callers   []int
	Keys      int
}

// Add registers the flags.
func Add(set *pflag.FlagSet, d Defaults) *Flags {
	f := &Flags{set: set}
	set.SortFlags = false
	set.DurationVar(&f.duration, "for", d.Duration, "about how long to measure, a `DURATION` such as 2m")
	set.BoolVar(&f.full, "full", false, "every workload, to 4096 callers, 100,000 keys, five rounds of a second each: up to an hour")
	set.StringSliceVar(&f.workloads, "workloads", d.Workloads, "which to run, `NAMES` with commas; a family such as get or ycsb, or all")
	set.IntSliceVar(&f.callers, "callers", d.Callers, "how many goroutines call, `NUMBERS` from 1 to 4096 with commas")
	set.IntVar(&f.keys, "keys", d.Keys, "how many keys are there before a workload begins, a `NUMBER`")
	set.StringVar(&f.valueSize, "value-size", "100", "`BYTES` of a value: a number, uniform:LEAST-MOST or skewed:LEAST-MOST (YCSB's records: 1000 if this is not given)")
	set.StringVar(&f.distribution, "distribution", "uniform", "which keys, a `NAME`: uniform, zipfian, latest or sequential")
	set.BoolVar(&f.sorted, "sorted", false, "load the keys in the order of their names, as an import of sorted rows does")
	set.Float64Var(&f.rate, "rate", 0, "`CALLS` a second by all callers together, latencies from the moment each is due; 0: as many as go")
	set.Uint64Var(&f.seed, "seed", 1, "the `NUMBER` that keys and values come from")
	set.IntVar(&f.rounds, "rounds", 3, "how many rounds each store has, a `NUMBER`")
	set.IntVar(&f.expiring, "expiring", 20_000, "how many keys expire in the workload ttl, a `NUMBER`")
	set.StringVar(&f.folder, "folder", "", "the `PATH` of a folder on the disk to measure; the system's for temporary files")
	set.StringVar(&f.jsonPath, "json", "", "write the result to a `FILE` as JSON; - is standard output, without the table")
	set.StringVar(&f.reportPath, "report", "", "write a report with charts to a `FILE`, one HTML page")
	set.StringVar(&f.markdownPath, "markdown", "", "write the table to a `FILE` as Markdown")
	return f
}

// Plan checks all flags and says what to measure.
func (f *Flags) Plan(contenders int) (bench.Plan, error) {
	plan := bench.DefaultPlan()
	if f.full {
		if f.set.Changed("for") {
			return plan, misuse("--full and --for: --full takes as long as it takes; give one of them")
		}
		plan = bench.FullPlan()
	}
	given := func(flag string) bool { return !f.full || f.set.Changed(flag) }
	var err error
	if given("workloads") {
		if plan.Workloads, err = bench.SelectWorkloads(f.workloads); err != nil {
			return plan, misuse("--workloads: %v", err)
		}
	}
	if given("callers") {
		plan.Callers = slices.Clone(f.callers)
	}
	if given("keys") {
		plan.Keys = f.keys
	}
	if given("rounds") {
		plan.Rounds = f.rounds
	}
	if given("expiring") {
		plan.Expiring = f.expiring
	}
	if plan.ValueSize, err = bench.ParseSizes(f.valueSize); err != nil {
		return plan, misuse("--value-size %v", err)
	}
	if f.set.Changed("value-size") {
		plan.RecordSize = plan.ValueSize
	}
	plan.Distribution, plan.Sorted, plan.Rate, plan.Seed, plan.Folder = bench.Distribution(f.distribution), f.sorted, f.rate, f.seed, f.folder
	if !f.full {
		if f.duration < time.Second || f.duration > 24*time.Hour {
			return plan, misuse("--for %v: use 1s to 24h", f.duration)
		}
		plan.Fit(f.duration, contenders)
	}
	if err := plan.Validate(); err != nil {
		return plan, misuse("%v", err)
	}
	return plan, errors.Join(f.checkPlaces())
}

// checkPlaces finds out before a long run whether what it finds can be written.
func (f *Flags) checkPlaces() error {
	if f.folder != "" {
		if info, err := os.Stat(f.folder); err != nil || !info.IsDir() {
			return misuse("--folder %s: no such folder; name one that is there", f.folder)
		}
	}
	places := make(map[string]string)
	for _, place := range []struct{ flag, path string }{
		{"--json", f.jsonPath}, {"--report", f.reportPath}, {"--markdown", f.markdownPath},
	} {
		if place.path == "" || place.flag == "--json" && place.path == "-" {
			continue
		}
		absolute, err := filepath.Abs(place.path)
		if err != nil {
			return misuse("%s %s: %v", place.flag, place.path, err)
		}
		if other := places[absolute]; other != "" {
			return misuse("%s and %s both name %s: give each a file of its own", other, place.flag, place.path)
		}
		places[absolute] = place.flag
		if err := writable(place.path); err != nil {
			return misuse("%s %s: it can't be written (%s); name a file in a folder that is there and yours", place.flag, place.path, cause(err))
		}
	}
	return nil
}

// writable tries to open a file as it will be opened at the end, and leaves
// what is there as it is.
func writable(path string) error {
	_, missing := os.Lstat(path)
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE, 0o644)
	if err != nil {
		return err
	}
	err = file.Close()
	if missing != nil {
		err = errors.Join(err, os.Remove(path))
	}
	return err
}

// cause is what went wrong, without the path, which stands before it anyway.
func cause(err error) string {
	var at *os.PathError
	if errors.As(err, &at) {
		err = at.Err
	}
	return strings.ToLower(err.Error())
}

// Line is a command line with the flags that were given, to run it again.
func Line(program string, set *pflag.FlagSet) string {
	line := program
	set.Visit(func(flag *pflag.Flag) {
		value := strings.Trim(flag.Value.String(), "[]")
		if flag.Value.Type() == "bool" && value == "true" {
			line += " --" + flag.Name
			return
		}
		line += " --" + flag.Name + " " + value
	})
	return line
}
