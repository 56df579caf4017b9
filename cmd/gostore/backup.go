package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"forge.lthn.ai/core/go-store/api"
)

func (a *app) backupCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "backup --db PATH TO",
		Short: "Copy a database, also one that is in use, to one file",
		Long: `Copies everything that is committed at this moment to the file TO: entries with
their expiries and revisions, and the log of changes. A program that has the
database open may go on writing to it. The copy is verified, is one plain file that
every command opens, and takes its name when it is complete; what is interrupted
leaves nothing there.

A TO that is there is replaced, and keeps its mode and owner, if it is a go-store
database that no process has open; a new one has the mode of the database.`,
		Example: `  gostore backup --db app.db backups/monday.db`,
		Args:    exactly("TO"),
		RunE: func(command *cobra.Command, arguments []string) error {
			to := arguments[0]
			return a.untouched(command.Context(), func(store *api.Store) error {
				option, end := a.drawing("backing up")
				err := store.Backup(command.Context(), to, option)
				end()
				var locked *api.LockedError
				if errors.As(err, &locked) { // not the database of --db
					return fmt.Errorf("%s is in use by process %d; name another file", to, locked.PID)
				}
				if err != nil {
					return err
				}
				return a.printFile("backed up to", to)
			})
		},
	}
}

// printFile says what was written.
func (a *app) printFile(what, path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(a.stdout, "%s %s: %d bytes\n", what, path, info.Size())
	return err
}
