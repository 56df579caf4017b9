package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"forge.lthn.ai/core/go-store/cmd/gostore/internal/demo"
	"forge.lthn.ai/core/go-store/cmd/gostore/internal/progress"
)

func (a *app) demoCommand() *cobra.Command {
	var (
		duration time.Duration
		asJSON   bool
	)
	command := &cobra.Command{
		Use:   "demo [--for D] [--json] [--db PATH]",
		Short: "Put a store under load, and check every promise it makes",
		Long: `Opens a store in a temporary folder, fills it with the service names of IANA,
and lets 64 writers, readers, a watcher of everything, sessions that expire and
a tenant at its quota at it, all at the same time. Every read is checked against
what is known to be acknowledged. Then it closes the store, opens it again and
looks for every acknowledged write.

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
			bar := progress.Duration(a.stderr, "running", duration)
			result, err := demo.Run(command.Context(), demo.Config{
				Path:     path,
				Duration: duration,
				Progress: func(elapsed time.Duration) { bar.Set(min(elapsed, duration).Milliseconds()) },
			})
			bar.Close()
			if err != nil && result.Acknowledged == 0 {
				return err // there is nothing to report
			}
			return errors.Join(err, a.reportDemo(result, asJSON))
		},
	}
	command.Flags().DurationVar(&duration, "for", 20*time.Second, "how long the load lasts, a `DURATION` such as 1m")
	command.Flags().BoolVar(&asJSON, "json", false, "print one JSON object instead of the table")
	return command
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

func (a *app) reportDemo(result demo.Result, asJSON bool) error {
	var err error
	if asJSON {
		err = json.NewEncoder(a.stdout).Encode(result)
	} else {
		err = result.Print(a.stdout)
	}
	if err != nil || result.BrokenCount == 0 {
		return err
	}
	return fmt.Errorf("%s broken, such as: %s", plural(result.BrokenCount, "promise"), result.Broken[0])
}
