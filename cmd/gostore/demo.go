package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"forge.lthn.ai/core/go-store/api"
	"forge.lthn.ai/core/go-store/bench/report"
	"forge.lthn.ai/core/go-store/bench/stress"
	"forge.lthn.ai/core/go-store/cmd/gostore/internal/progress"
	"forge.lthn.ai/core/go-store/cmd/gostore/internal/services"
)

// demoCallers is how many goroutines call the store in the demo.
const demoCallers = 64

func (a *app) demoCommand() *cobra.Command {
	var (
		duration time.Duration
		asJSON   bool
	)
	command := &cobra.Command{
		Use:   "demo [--for D] [--json] [--db PATH]",
		Short: "Put a store under load, and check every promise it makes",
		Long: `Opens a store in a temporary folder, fills it with the service names of IANA,
and lets 64 writers and readers, watchers of everything, sessions that expire and
a tenant at its quota at it, all at the same time: the load of 'gostore stress',
whose checks these are. Every read is checked against what is known to be
acknowledged. Then it closes the store, opens it again and looks for every
acknowledged write.

With --db the database is made there, and stays. It must not exist yet.

The watcher counts the events it receives, and those that were dropped because
it fell behind; both together have to be every change. With --json one object
is printed: acknowledged, verified, lost, expired, refused, events, dropped,
sets_per_second, gets_per_second.

It fails if anything was lost or any other promise broken. Ctrl-C ends the load
early; what was written by then is verified all the same.`,
		Args: cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			if duration < time.Second {
				return misuse("--for %v: use at least 1s", duration)
			}
			path, remove, err := a.demoDatabase()
			if err != nil {
				return err
			}
			defer remove()
			target, err := stress.Open(path)
			if err != nil {
				return err
			}
			bar := progress.Duration(a.stderr, "running", duration)
			result := stress.Run(command.Context(), target, stress.Config{
				Seed: uint64(time.Now().UnixNano()), Callers: demoCallers, Duration: duration, Log: path + "-wal", Data: demoData(),
				Progress: func(elapsed time.Duration) { bar.Set(min(elapsed, duration).Milliseconds()) },
			})
			bar.Close()
			if result.Violations[stress.Stalled] == 0 { // closing it would wait for the call that never returns
				err = target.Close()
			}
			shown := newDemoResult(result)
			if info, err := os.Stat(path); err == nil {
				shown.fileBytes = info.Size()
			}
			return errors.Join(err, a.reportDemo(shown, asJSON))
		},
	}
	command.Flags().DurationVar(&duration, "for", 20*time.Second, "how long the load lasts, a `DURATION` such as 1m")
	command.Flags().BoolVar(&asJSON, "json", false, "print one JSON object instead of the table")
	return command
}

// demoData is the service names, each a key of its protocol's group.
func demoData() (items []api.Item) {
	for service := range services.All() {
		value := service.Name
		if service.Description != "" {
			value += ": " + service.Description
		}
		items = append(items, api.Item{Group: service.Protocol, Key: service.Port, Value: value})
	}
	return items
}

// demoDatabase is where the demo makes its database, and what removes it.
func (a *app) demoDatabase() (path string, remove func(), err error) {
	if a.database == ":memory:" {
		return "", nil, misuse("--db :memory: can't be reopened; name a file, or leave --db out")
	}
	if a.database != "" {
		if _, err := os.Lstat(a.database); !errors.Is(err, fs.ErrNotExist) {
			return "", nil, fmt.Errorf("%s exists already; the demo needs a database of its own, name another", a.database)
		}
		return a.database, func() {}, nil
	}
	folder, err := os.MkdirTemp("", "gostore-demo-")
	if err != nil {
		return "", nil, err
	}
	return filepath.Join(folder, "demo.db"), func() { _ = os.RemoveAll(folder) }, nil
}

// demoResult is what a demo found, as it is told. Acknowledged and Expired together are all
// changes, and so are Events and Dropped.
type demoResult struct {
	Acknowledged uint64 `json:"acknowledged"` // changes whose call returned without an error
	Verified     uint64 `json:"verified"`     // of these, as expected when they were read back
	Lost         uint64 `json:"lost"`         // the others
	Expired      uint64 `json:"expired"`      // keys whose time was over
	Refused      uint64 `json:"refused"`      // writes that the quota refused
	Events       uint64 `json:"events"`       // received by the watcher of everything
	Dropped      uint64 `json:"dropped"`      // events it missed, as it was told
	Sets         uint64 `json:"sets_per_second"`
	Gets         uint64 `json:"gets_per_second"`

	stress    stress.Result
	gets      uint64
	fileBytes int64
}

func newDemoResult(r stress.Result) demoResult {
	d := demoResult{stress: r, Acknowledged: r.Changes - r.Expiries, Lost: r.Violations[stress.LostWrite], Expired: r.Expiries, Refused: r.Refused}
	d.Verified = d.Acknowledged - min(d.Lost, d.Acknowledged)
	if len(r.Watchers) > 0 {
		d.Events, d.Dropped = r.Watchers[0].Received, r.Watchers[0].Dropped
	}
	for _, kind := range []stress.Kind{stress.Get, stress.Entry, stress.GetAll, stress.All, stress.GetPage, stress.Count, stress.CountAll, stress.Groups} {
		d.gets += r.Calls[kind.String()]
	}
	if r.Seconds > 0 {
		d.Sets, d.Gets = uint64(float64(r.Acknowledged)/r.Seconds), uint64(float64(d.gets)/r.Seconds)
	}
	return d
}

func (a *app) reportDemo(result demoResult, asJSON bool) error {
	var err error
	if asJSON {
		err = json.NewEncoder(a.stdout).Encode(result)
	} else {
		err = result.print(a.stdout)
	}
	if err != nil || result.stress.Passed() {
		return err
	}
	return fmt.Errorf("promises were broken: %s", result.stress.Summary())
}

// print prints the result as a table.
func (r demoResult) print(out io.Writer) error {
	fmt.Fprintf(out, "%d goroutines that write and read, watchers, sessions that expire and a tenant at its\n"+
		"quota shared one store for %.1f s.\n\n", demoCallers, r.stress.Seconds)
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	row := func(what string, n uint64, remark string, arguments ...any) {
		// The cell of the number is aligned right; the others fill their columns.
		fmt.Fprintf(table, "%-20s\t%s\t  %s\n", what, report.Count(float64(n)), fmt.Sprintf(remark, arguments...))
	}
	row("changes acknowledged", r.Acknowledged, "by %s writes a second under load, each on disk before its call returned", report.Count(float64(r.Sets)))
	row("reads checked", r.gets, "%s a second", report.Count(float64(r.Gets)))
	row("keys expired", r.Expired, "each when its time was over, with one event")
	row("writes refused", r.Refused, "by the tenant's quota")
	row("events received", r.Events, "by the watcher of everything")
	if r.Dropped == 0 {
		row("events dropped", r.Dropped, "it never fell behind: it saw every change")
	} else {
		row("events dropped", r.Dropped, "it fell behind, and was told: both together are every change")
	}
	if err := table.Flush(); err != nil {
		return err
	}
	fmt.Fprintf(out, "\nClosed, reopened and compared with what the writers know (%.1f MB on disk):\n\n", float64(r.fileBytes)/1e6)
	row("writes verified", r.Verified, "each is there, or was replaced by one that is")
	row("writes lost", r.Lost, "none may be")
	if err := table.Flush(); err != nil {
		return err
	}
	for _, finding := range r.stress.Findings {
		fmt.Fprintf(out, "\nBROKEN: %v", finding)
	}
	if !r.stress.Passed() {
		_, err := fmt.Fprintln(out)
		return err
	}
	return nil
}
