package main

import (
	"github.com/spf13/cobra"

	"forge.lthn.ai/core/go-store/api"
)

func (a *app) restoreCommand() *cobra.Command {
	var force bool
	command := &cobra.Command{
		Use:   "restore --db TO [--force] FROM",
		Short: "Put a backup in the place of a database that no process has open",
		Long: `Checks the database FROM as 'gostore check' does, copies it, and puts the copy in
the place of TO; then it removes what the old file had beside it (-wal, -shm,
-journal), which would be taken for a part of the new one. Until the copy takes its
place TO is as it was. FROM may be in use.

TO may be damaged, but nobody may have it open. It keeps its mode and owner. A file
that can't be told to be a go-store database, or has other names (hard links), is
replaced only with --force.`,
		Example: `  gostore restore --db app.db backups/monday.db`,
		Args:    exactly("FROM"),
		RunE: func(command *cobra.Command, arguments []string) error {
			if err := a.named(); err != nil {
				return err
			}
			option, end := a.drawing("restoring")
			options := []api.OperationOption{option}
			if force {
				options = append(options, api.WithForce())
			}
			err := api.Restore(command.Context(), a.database, arguments[0], options...)
			end()
			if err != nil {
				return interrupted(command.Context(), err)
			}
			return a.printFile("restored", a.database)
		},
	}
	command.Flags().BoolVar(&force, "force", false, "replace TO even if it can't be recognised")
	return command
}
