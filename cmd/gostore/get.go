package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"forge.lthn.ai/core/go-store/api"
)

func (a *app) getCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "get --db PATH GROUP KEY",
		Short: "Print a key's value",
		Long: `Prints the value of a key, followed by a line end. A key that is not there, or
has expired, is a failure.`,
		Args: exactly("GROUP", "KEY"),
		RunE: func(_ *cobra.Command, arguments []string) error {
			group, key := arguments[0], arguments[1]
			return a.withStore(reading, nil, func(store *api.Store) error {
				value, err := store.Get(group, key)
				if errors.Is(err, api.NotFoundError) {
					return fmt.Errorf("no key %q in group %q, or it has expired", key, group)
				}
				if err != nil {
					return err
				}
				_, err = fmt.Fprintln(a.stdout, value)
				return err
			})
		},
	}
}
