package main

import (
	"encoding/json"
	"fmt"
	"runtime"
	"runtime/debug"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"forge.lthn.ai/core/go-store/api"
)

// versions is what 'gostore version' prints. What the build does not know is
// left out.
type versions struct {
	Version  string `json:"version"`
	Revision string `json:"revision,omitempty"` // of the version control
	Time     string `json:"time,omitempty"`     // of that revision
	Modified bool   `json:"modified,omitempty"` // the sources were not those of the revision
	Go       string `json:"go"`
	Platform string `json:"platform"`
	SQLite   string `json:"sqlite"`
	Schema   int    `json:"schema"`
}

func (a *app) versionCommand() *cobra.Command {
	var asJSON bool
	command := &cobra.Command{
		Use:   "version [--json]",
		Short: "Print what this program was built from",
		Long: `Prints the version of gostore and the revision of its sources, as far as the build
knows them, and those of Go, of the SQLite that is built in, and of the layout of
databases: this program opens those of that number and of lower ones.

With --json one object is printed: version, revision, time and modified (left out
where the build doesn't know them), go, platform, sqlite and schema.`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			info, _ := debug.ReadBuildInfo()
			built := versionsOf(info)
			if asJSON {
				return json.NewEncoder(a.stdout).Encode(built)
			}
			return a.printVersions(built)
		},
	}
	jsonFlag(command, &asJSON, "one JSON object")
	return command
}

// versionsOf reads what the build has left in the program; nil: nothing.
func versionsOf(info *debug.BuildInfo) versions {
	v := versions{
		Version: "(unknown)", Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH,
		SQLite: api.SQLiteVersion(), Schema: api.SchemaVersion(),
	}
	if info == nil {
		return v
	}
	if info.Main.Version != "" {
		v.Version = info.Main.Version
	}
	for _, setting := range info.Settings {
		switch setting.Key {
		case "vcs.revision":
			v.Revision = setting.Value
		case "vcs.time":
			v.Time = setting.Value
		case "vcs.modified":
			v.Modified = setting.Value == "true"
		}
	}
	return v
}

func (a *app) printVersions(v versions) error {
	table := tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintf(table, "gostore\t%s\n", v.Version)
	if v.Revision != "" {
		modified := ""
		if v.Modified {
			modified = ", modified"
		}
		fmt.Fprintf(table, "revision\t%s of %s%s\n", v.Revision, v.Time, modified)
	}
	fmt.Fprintf(table, "go\t%s %s\n", v.Go, v.Platform)
	fmt.Fprintf(table, "sqlite\t%s\n", v.SQLite)
	fmt.Fprintf(table, "schema\t%d\n", v.Schema)
	return table.Flush()
}
