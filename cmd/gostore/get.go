package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"forge.lthn.ai/core/go-store/api"
)

func (a *app) getCommand() *cobra.Command {
	var asJSON bool
	command := &cobra.Command{
		Use:   "get --db PATH [--json] GROUP KEY",
		Short: "Print a key's value",
		Long: `Prints the value of a key, followed by a line end. A key that is not there, or
has expired, is a failure.

With --json one object is printed: key, value, revision and, if the key expires,
expires_ms, in milliseconds since 1970. A string that is not UTF-8, or would be
longer in JSON, stands in base64 under its name with 64 behind it.`,
		Args:              exactly("GROUP", "KEY"),
		ValidArgsFunction: a.completeNames(2),
		RunE: func(command *cobra.Command, arguments []string) error {
			group, key := arguments[0], arguments[1]
			return a.reader(command, func(store *api.Store) error {
				entry, err := store.Entry(group, key)
				if errors.Is(err, api.NotFoundError) {
					return noKey(group, key)
				}
				if err != nil {
					return err
				}
				if asJSON {
					return printJSON(a.stdout, appendEntry(nil, key, entry.Value, entry.Revision, entry.ExpiresAt))
				}
				_, err = fmt.Fprintln(a.stdout, entry.Value)
				return err
			})
		},
	}
	jsonFlag(command, &asJSON, "one JSON object")
	return command
}
