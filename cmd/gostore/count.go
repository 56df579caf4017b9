package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"forge.lthn.ai/core/go-store/api"
)

func (a *app) countCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "count --db PATH GROUP",
		Short: "Print how many keys a group has",
		Long: `Prints the number of keys in a group that have not expired: the number alone.
A group that isn't there has 0.`,
		Args: exactly("GROUP"),
		RunE: func(_ *cobra.Command, arguments []string) error {
			return a.withStore(reading, nil, func(store *api.Store) error {
				count, err := store.Count(arguments[0])
				if err != nil {
					return err
				}
				_, err = fmt.Fprintln(a.stdout, count)
				return err
			})
		},
	}
}
