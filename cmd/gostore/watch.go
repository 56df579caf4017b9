package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"forge.lthn.ai/core/go-store/api"
)

// watchFlags is how 'gostore watch' was called.
type watchFlags struct {
	from                  uint64
	state, prefix, asJSON bool
}

func (a *app) watchCommand() *cobra.Command {
	var flags watchFlags
	command := &cobra.Command{
		Use:   "watch --db PATH [--from REV | --state] [--prefix] [--json] GROUP [KEY]",
		Short: "Follow the changes of a group or a key",
		Long: `Prints each change of a group, or of one key of it, as it is committed, until
Ctrl-C, or until nobody reads the output any more, beside the program that has the
database open. The deletion of the group is a change of its keys.

Begins now; with --from at a revision, as far as the database's log goes back:
after an interruption, at the one after the last that was printed. With --state
it prints what there is first. With --prefix the last name given stands for all
that begin with it: 'watch --prefix ""' is everything.

With --json each line is an object: revision, type (set, delete, delete_group,
expire; with --state one synced, behind the state), time, group, key, value,
expires_at. A text that is no UTF-8 stands in group_base64, key_base64 or
value_base64 instead, a time that RFC 3339 can't carry (another program may have
put a deadline beyond the year 9999 into the file) in time_ms or expires_ms, in
milliseconds since 1970.`,
		Args: func(_ *cobra.Command, arguments []string) error {
			if n := len(arguments); n < 1 || n > 2 {
				return fmt.Errorf("needs GROUP, or GROUP KEY, got %d argument(s)", n)
			}
			return nil
		},
		RunE: func(command *cobra.Command, arguments []string) error {
			given := command.Flags().Changed("from")
			switch {
			case given && flags.state:
				return misuse("give --from REV or --state, not both")
			case given && flags.from == 0:
				return misuse("--from 0: revisions count from 1")
			}
			return a.watch(command.Context(), flags, arguments)
		},
	}
	command.Flags().Uint64Var(&flags.from, "from", 0, "begin with this `REVISION`")
	command.Flags().BoolVar(&flags.state, "state", false, "begin with what there is")
	command.Flags().BoolVar(&flags.prefix, "prefix", false, "the last name given is a prefix")
	command.Flags().BoolVar(&flags.asJSON, "json", false, "print JSON Lines")
	return command
}

func (a *app) watch(ctx context.Context, flags watchFlags, names []string) error {
	options := api.SubscribeOptions{From: flags.from, State: flags.state, Filters: []api.Filter{watchFilter(names, flags.prefix)}}
	ctx, stop := untilReaderGone(ctx, a.stdout)
	defer stop()
	return a.withStore(reading, nil, func(store *api.Store) error {
		printer := newChangePrinter(a.stdout, flags.asJSON)
		for event, err := range store.Subscribe(ctx, options) {
			if err != nil && ctx.Err() != nil {
				return nil // Ctrl-C is how it ends, or its reader has seen enough
			}
			if err != nil {
				return err
			}
			if err := printer.print(event); err != nil {
				return err
			}
		}
		return nil
	})
}

func watchFilter(names []string, prefix bool) (f api.Filter) {
	matches := make([]api.Match, len(names))
	for i, name := range names {
		matches[i] = api.Exactly(name)
		if prefix && i == len(names)-1 {
			matches[i] = api.Prefix(name)
		}
	}
	f.Group = matches[0]
	if len(matches) > 1 {
		f.Key = matches[1]
	}
	return f
}

func (a *app) historyCommand() *cobra.Command {
	var asJSON bool
	command := &cobra.Command{
		Use:   "history --db PATH [--json] GROUP KEY",
		Short: "Print what happened to a key",
		Long: `Prints the changes of a key, oldest first, as far as the database's log goes
back. The deletion of its group is one of them. --json is that of 'gostore watch'.`,
		Args: exactly("GROUP", "KEY"),
		RunE: func(command *cobra.Command, arguments []string) error {
			return a.withStore(reading, nil, func(store *api.Store) error {
				printer := newChangePrinter(a.stdout, asJSON)
				for event, err := range store.WithContext(command.Context()).History(arguments[0], arguments[1]) {
					if err != nil {
						return err
					}
					if err := printer.print(event); err != nil {
						return err
					}
				}
				return nil
			})
		},
	}
	command.Flags().BoolVar(&asJSON, "json", false, "print JSON Lines")
	return command
}

// explainRevision puts what is wrong with a revision in the terms of the
// command line.
func explainRevision(err error) (explained string, ok bool) {
	var compacted *api.CompactedError
	var future *api.FutureRevisionError
	switch {
	case errors.As(err, &compacted):
		return fmt.Sprintf("revision %d is no longer in the log, the oldest is %d: use --from %d, or --state for what there is",
			compacted.Requested, compacted.Oldest, compacted.Oldest), true
	case errors.As(err, &future):
		return fmt.Sprintf("revision %d lies in the future, the current one is %d: is this the database that it came from?",
			future.Requested, future.Current), true
	}
	return "", false
}
