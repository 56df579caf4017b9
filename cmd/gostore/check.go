package main

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"forge.lthn.ai/core/go-store/api"
)

// checked is what 'gostore check --json' prints.
type checked struct {
	Whole      bool          `json:"whole"`
	Findings   []findingLine `json:"findings"`
	Foreign    []string      `json:"foreign"`
	Pages      int64         `json:"pages"`
	Entries    int64         `json:"entries"`
	LogRecords int64         `json:"log_records"`
	Revision   uint64        `json:"revision"`
	Differing  int64         `json:"differing"`
}

type findingLine struct {
	Kind string `json:"kind"`
	Text string `json:"text"`
}

func findingLines(findings []api.Finding) []findingLine {
	lines := make([]findingLine, len(findings))
	for i, finding := range findings {
		lines[i] = findingLine{finding.Kind, finding.Text}
	}
	return lines
}

func (a *app) checkCommand() *cobra.Command {
	var asJSON bool
	command := &cobra.Command{
		Use:   "check --db PATH [--json]",
		Short: "Look for damage in all of a database",
		Long: `Looks at everything in the database at one moment: SQLite's own integrity check; the
checksums, revisions and sizes of the log of changes; entries that can't be read;
what is counted in two ways; triggers, which change what is written; and lists what
others keep in the file, which does no harm. It writes nothing, and works beside a
program that has the database open.

It exits with 0 if all is whole, and with 1 if anything was found or the database
can't be read.

With --json one object is printed: whole, findings (a list of objects with kind and
text), foreign (a list), pages, entries, log_records, revision and differing: how many entries are not what the log
says that their revision wrote. Another program may have changed them while no store was
open, as it may, or the disk has: that is told, and no finding.`,
		Args: cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			return a.untouched(command.Context(), func(store *api.Store) error {
				option, end := a.drawing("checking")
				report, err := store.Check(command.Context(), option)
				end()
				if err != nil {
					return err
				}
				if asJSON {
					err = a.printCheckJSON(&report)
				} else {
					err = a.printCheck(&report)
				}
				if err == nil && !report.Whole() {
					err = fmt.Errorf("%s is not whole: %s; restore a backup, or see 'gostore salvage --help'",
						a.database, plural(len(report.Findings), "finding"))
				}
				return err
			})
		},
	}
	jsonFlag(command, &asJSON, "one JSON object")
	return command
}

func (a *app) printCheckJSON(report *api.CheckReport) error {
	foreign := report.Foreign
	if foreign == nil {
		foreign = []string{}
	}
	return json.NewEncoder(a.stdout).Encode(checked{report.Whole(), findingLines(report.Findings), foreign,
		report.Pages, report.Entries, report.LogRecords, report.Revision, report.Differing})
}

func (a *app) printCheck(report *api.CheckReport) (err error) {
	line := func(format string, arguments ...any) {
		_, printing := fmt.Fprintf(a.stdout, format+"\n", arguments...)
		err = errors.Join(err, printing)
	}
	for _, finding := range report.Findings {
		line("%s: %s", finding.Kind, printable(finding.Text))
	}
	if report.Differing > 0 {
		line("not what the log says: %s, which another program has changed while no store was open, or the disk has",
			plural(int(report.Differing), "entry", "entries"))
	}
	for _, foreign := range report.Foreign {
		line("not of go-store: %s", printable(foreign))
	}
	if report.Whole() {
		line("whole: %s and %s of the log, revision %d", plural(int(report.Entries), "entry", "entries"),
			plural(int(report.LogRecords), "record"), report.Revision)
	}
	return err
}
