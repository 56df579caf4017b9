package main

import (
	"github.com/spf13/cobra"

	"forge.lthn.ai/core/go-store/api"
)

func (a *app) deleteCommand() *cobra.Command {
	return &cobra.Command{
		Use:               "delete --db PATH GROUP KEY",
		Short:             "Delete a key",
		Long:              `Deletes a key. A key that isn't there is no failure: afterwards it is not there.`,
		Args:              exactly("GROUP", "KEY"),
		ValidArgsFunction: a.completeNames(2),
		RunE: func(_ *cobra.Command, arguments []string) error {
			return a.withStore(changing, nil, func(store *api.Store) error {
				return store.Delete(arguments[0], arguments[1])
			})
		},
	}
}
