package main

import (
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"forge.lthn.ai/core/go-store/bench"
	"forge.lthn.ai/core/go-store/bench/command"
	"forge.lthn.ai/core/go-store/bench/floor"
	"forge.lthn.ai/core/go-store/bench/store"
	"forge.lthn.ai/core/go-store/cmd/gostore/internal/progress"
)

func (a *app) benchCommand() *cobra.Command {
	var (
		flags      *command.Flags
		durability []string
	)
	cobraCommand := &cobra.Command{
		Use:   "bench [--for D | --full] [--workloads A,B] [--json FILE] [--report FILE]",
		Short: "Measure this store, each figure beside what it relates to",
		Long: `Measures the store at one or more levels of durability, beside the disk's floor:
an append to a file and a sync, shared by the callers that wait for it. Rounds
alternate, and each ratio is that of neighbours in time, to the first level
named: the median, with the least and the greatest. Closing the store is inside
the time of every workload that writes.

` + workloadHelp() + `

Other stores are measured beside this one by a module of its own, from the
sources: go run -C bench/peers . --quick

A figure of another machine, or of another run, may be compared with nothing
here. Ctrl-C ends the run; what was measured by then is written.`,
		Example: `  gostore bench --report bench.html
  gostore bench --workloads set,ycsb --callers 1,64,512 --for 2m
  gostore bench --workloads mixed --rate 5000 --distribution zipfian --durability sync,buffered`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if a.database != "" {
				return misuse("--db: a benchmark makes databases of its own; --folder says where")
			}
			contenders, err := benchContenders(durability)
			if err != nil {
				return err
			}
			err = flags.Run(c.Context(), contenders, command.Output{
				Stdout:  a.stdout,
				Bar:     func(total int64) command.Bar { return progress.Steps(a.stderr, "measuring", total) },
				Command: commandLine(c),
			})
			var wrong command.MisuseError
			if errors.As(err, &wrong) {
				return misuse("%s", wrong.Error())
			}
			return err
		},
	}
	set := cobraCommand.Flags()
	flags = command.Add(set, command.Defaults{
		Duration: 30 * time.Second, Workloads: bench.QuickWorkloads(), Callers: []int{1, 16, 64}, Keys: 20_000,
	})
	set.StringSliceVar(&durability, "durability", []string{"sync", "memory"}, "`LEVELS` to compare, with commas: sync, buffered, memory; ratios are to the first")
	return cobraCommand
}

// benchContenders is the store at each level, and the floor of the disk if one
// of them uses it.
func benchContenders(levels []string) ([]bench.Contender, error) {
	if len(levels) == 0 {
		return nil, misuse("--durability: name sync, buffered or memory")
	}
	var contenders []bench.Contender
	disk := false
	for i, level := range levels {
		switch {
		case !slices.Contains(store.Levels, store.Level(level)):
			return nil, misuse("--durability %q: use sync, buffered or memory", level)
		case slices.Contains(levels[:i], level):
			return nil, misuse("--durability: %s is named twice", level)
		}
		disk = disk || level == string(store.Sync)
		contenders = append(contenders, store.Contender(store.Level(level)))
	}
	if disk {
		contenders = append(contenders, floor.Contender())
	}
	return contenders, nil
}

// workloadHelp lists the workloads.
func workloadHelp() string {
	text := "Workloads:"
	for _, w := range bench.Workloads() {
		text += "\n  " + w.Name + strings.Repeat(" ", 13-len(w.Name)) + w.About
	}
	return text
}

// commandLine is the command with the flags that were given.
func commandLine(c *cobra.Command) string {
	return command.Line(c.CommandPath(), c.Flags())
}
