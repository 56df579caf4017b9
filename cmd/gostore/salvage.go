package main

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"forge.lthn.ai/core/go-store/api"
)

// salvagedJSON is what 'gostore salvage --json' prints.
type salvagedJSON struct {
	Entries      int64         `json:"entries"`
	Strays       int64         `json:"strays"`
	Replayed     int64         `json:"replayed"`
	LogRecords   int64         `json:"log_records"`
	Revision     uint64        `json:"revision"`
	Unreadable   [][2]uint32   `json:"unreadable_pages"`
	LostEntries  int64         `json:"lost_entries"`
	LostRecords  int64         `json:"lost_records"`
	OlderRecords int64         `json:"older_records"`
	Findings     []findingLine `json:"findings"`
}

func (a *app) salvageCommand() *cobra.Command {
	var asJSON, force bool
	command := &cobra.Command{
		Use:   "salvage --db DAMAGED [--force] [--json] OUT",
		Short: "Make a new database of what can still be read of a damaged one",
		Long: `Reads the pages of a damaged database one by one, with what is committed in the
-wal file beside it, and puts every entry and every record of the log that can be
read into the new database OUT; then it lists what could not be. The damaged file is
not changed, nor is anything made beside it. Stop what has it open first.

Of two versions of a key the newer one is taken, and what was removed does not come
back, as far as that can be told. What is lost of the pages and still in the log of
changes is taken from there. OUT must not be there yet.

A file whose header says that it is another program's, of a newer version, or in
another encoding is read only with --force: that may be the damage.

It exits with 0 if OUT was made, however much was lost.

With --json one object is printed: entries, strays (entries on pages that nothing
led to), replayed (those that only the log had), log_records, revision,
unreadable_pages (a list of pairs, first and last), lost_entries (whose keys are
known), lost_records, older_records (which lie before a gap of the log) and
findings.`,
		Example: `  gostore salvage --db app.db saved.db && gostore check --db saved.db`,
		Args:    exactly("OUT"),
		RunE: func(command *cobra.Command, arguments []string) error {
			if err := a.named(); err != nil {
				return err
			}
			option, end := a.drawing("salvaging")
			options := []api.OperationOption{option}
			if force {
				options = append(options, api.WithForce())
			}
			report, err := api.Salvage(command.Context(), a.database, arguments[0], options...)
			end()
			if err != nil {
				return interrupted(command.Context(), err)
			}
			if asJSON {
				return a.printSalvageJSON(&report)
			}
			return a.printSalvage(&report, arguments[0])
		},
	}
	jsonFlag(command, &asJSON, "one JSON object")
	command.Flags().BoolVar(&force, "force", false, "read it whatever its header says of whose it is")
	return command
}

func (a *app) printSalvageJSON(report *api.SalvageReport) error {
	runs := make([][2]uint32, len(report.Unreadable))
	for i, run := range report.Unreadable {
		runs[i] = [2]uint32{run.First, run.Last}
	}
	return json.NewEncoder(a.stdout).Encode(salvagedJSON{report.Entries, report.Strays, report.Replayed, report.LogRecords,
		report.Revision, runs, report.LostEntries, report.LostRecords, report.OlderRecords, findingLines(report.Findings)})
}

func (a *app) printSalvage(report *api.SalvageReport, out string) (err error) {
	line := func(format string, arguments ...any) {
		_, printing := fmt.Fprintf(a.stdout, format+"\n", arguments...)
		err = errors.Join(err, printing)
	}
	line("salvaged %s and %s of the log to %s, revision %d", plural(int(report.Entries), "entry", "entries"),
		plural(int(report.LogRecords), "record"), out, report.Revision)
	if report.Strays > 0 {
		line("%s lay on pages that nothing led to", plural(int(report.Strays), "entry", "entries"))
	}
	if report.Replayed > 0 {
		line("%s only the log had", plural(int(report.Replayed), "entry", "entries"))
	}
	for _, finding := range report.Findings {
		line("%s: %s", finding.Kind, printable(finding.Text))
	}
	return err
}
