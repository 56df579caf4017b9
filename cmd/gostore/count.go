package main

import (
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	"forge.lthn.ai/core/go-store/api"
)

func (a *app) countCommand() *cobra.Command {
	var asJSON bool
	command := &cobra.Command{
		Use:   "count --db PATH [--json] GROUP",
		Short: "Print how many keys a group has",
		Long: `Prints the number of keys in a group that have not expired: the number alone, or
with --json an object whose member is keys. A group that isn't there has 0.`,
		Args:              exactly("GROUP"),
		ValidArgsFunction: a.completeNames(1),
		RunE: func(command *cobra.Command, arguments []string) error {
			return a.reader(command, func(store *api.Store) error {
				count, err := store.Count(arguments[0])
				if err != nil {
					return err
				}
				if asJSON {
					return printJSON(a.stdout, strconv.AppendInt([]byte(`"keys":`), int64(count), 10))
				}
				_, err = fmt.Fprintln(a.stdout, count)
				return err
			})
		},
	}
	jsonFlag(command, &asJSON, "one JSON object")
	return command
}
