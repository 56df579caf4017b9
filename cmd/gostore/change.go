package main

import (
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"forge.lthn.ai/core/go-store/api"
)

// noKey is why a command can't do anything with a key that is not there.
func noKey(group, key string) error {
	return fmt.Errorf("no key %q in group %q, or it has expired", key, group)
}

// checkTTL checks a duration after which a key is to expire. The source names
// where it was given.
func checkTTL(source string, d time.Duration) error {
	if d <= 0 {
		return misuse("%s%v: the key would have expired already; use 'gostore delete' to remove it", source, d)
	}
	return nil
}

func (a *app) touchCommand() *cobra.Command {
	var persist bool
	command := &cobra.Command{
		Use: `touch --db PATH GROUP KEY DURATION
  gostore touch --db PATH --persist GROUP KEY`,
		Short: "Have a key expire after a time, or never",
		Long: `Has a key expire after a DURATION from now, such as 90s or 12h, whatever it did
before; with --persist never. Its value stays as it is. A key that is not there, or
has expired, is a failure.`,
		Args: func(_ *cobra.Command, arguments []string) error {
			switch {
			case persist && len(arguments) != 2:
				return fmt.Errorf("needs exactly GROUP KEY with --persist, got %d argument(s)", len(arguments))
			case !persist && len(arguments) != 3:
				return fmt.Errorf("needs exactly GROUP KEY DURATION, or --persist GROUP KEY, got %d argument(s)", len(arguments))
			}
			return nil
		},
		ValidArgsFunction: a.completeNames(2),
		RunE: func(_ *cobra.Command, arguments []string) error {
			group, key := arguments[0], arguments[1]
			change := func(store *api.Store) error { return store.Persist(group, key) }
			if !persist {
				after, err := time.ParseDuration(arguments[2])
				if err != nil {
					return misuse("DURATION %q: that is none, use 90s or 12h", arguments[2])
				}
				if err := checkTTL("", after); err != nil {
					return err
				}
				change = func(store *api.Store) error { return store.Touch(group, key, after) }
			}
			return a.withStore(changing, nil, func(store *api.Store) error {
				err := change(store)
				if errors.Is(err, api.NotFoundError) {
					return noKey(group, key)
				}
				return err
			})
		},
	}
	command.Flags().BoolVar(&persist, "persist", false, "have it never expire")
	return command
}

func (a *app) incrementCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "increment --db PATH GROUP KEY [DELTA]",
		Short: "Add to a number and print the sum",
		Long: `Adds DELTA, or 1, to a key that holds a decimal integer of 64 bits, and prints the
sum. A key that is not there counts as 0, one that expires goes on to do so. Where
the value is no integer, or the sum would have more than 64 bits, nothing is
written. The database is created if it isn't there.

Put -- in front of a negative DELTA:
  gostore increment --db s.db -- stock apples -3`,
		Args: func(_ *cobra.Command, arguments []string) error {
			if n := len(arguments); n != 2 && n != 3 {
				return fmt.Errorf("needs exactly GROUP KEY, or GROUP KEY DELTA, got %d argument(s)", n)
			}
			return nil
		},
		ValidArgsFunction: a.completeNames(2),
		RunE: func(_ *cobra.Command, arguments []string) error {
			delta := int64(1)
			if len(arguments) == 3 {
				var err error
				if delta, err = strconv.ParseInt(arguments[2], 10, 64); err != nil {
					return misuse("DELTA %q: use a decimal integer of 64 bits", arguments[2])
				}
			}
			return a.withStore(creating, nil, func(store *api.Store) error {
				sum, err := store.Increment(arguments[0], arguments[1], delta)
				if err != nil {
					return err
				}
				_, err = fmt.Fprintln(a.stdout, sum)
				return err
			})
		},
	}
}
