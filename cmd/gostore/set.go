package main

import (
	"time"

	"github.com/spf13/cobra"

	"forge.lthn.ai/core/go-store/api"
)

func (a *app) setCommand() *cobra.Command {
	var timeToLive time.Duration
	command := &cobra.Command{
		Use:   "set --db PATH [--ttl D] GROUP KEY VALUE",
		Short: "Write a key, creating the database if need be",
		Long: `Writes a key. Without --ttl it stays until it is deleted, even if it had a time
to live before. The database is created if it isn't there.

Put -- in front of a value that begins with a dash:
  gostore set --db s.db -- limits lowest -40`,
		Args: exactly("GROUP", "KEY", "VALUE"),
		RunE: func(command *cobra.Command, arguments []string) error {
			group, key, value := arguments[0], arguments[1], arguments[2]
			limited := command.Flags().Changed("ttl")
			if limited {
				if err := checkTTL("--ttl ", timeToLive); err != nil {
					return err
				}
			}
			return a.withStore(creating, nil, func(store *api.Store) error {
				if limited {
					return store.SetWithTTL(group, key, value, timeToLive)
				}
				return store.Set(group, key, value)
			})
		},
	}
	command.Flags().DurationVar(&timeToLive, "ttl", 0, "let the key expire after this `DURATION`, such as 90s or 12h")
	return command
}
