package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"forge.lthn.ai/core/go-store/api"
)

func (a *app) compactCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "compact --db PATH",
		Short: "Give the space of removed entries back, and put entries in order",
		Long: `Writes the database anew without the gaps that removed entries have left, and with its
entries in the order of their keys, which makes scans faster, and says how large it was
and is. The first time after entries were written in no order that takes up to twice as
long as later, or ten times if another program has given their table columns or indexes.
Nobody else may have it open for writing. It needs room for the compacted database twice,
beside the file; if there is not enough, or it is interrupted, the database is as it was.`,
		Args: cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			return a.withStore(changing, nil, func(store *api.Store) error {
				option, end := a.drawing("compacting")
				sizes, err := store.Compact(command.Context(), option)
				end()
				if err != nil {
					return interrupted(command.Context(), err)
				}
				_, err = fmt.Fprintf(a.stdout, "%d bytes before, %d after\n", sizes.Before, sizes.After)
				return err
			})
		},
	}
}
