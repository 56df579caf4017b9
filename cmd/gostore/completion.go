package main

import (
	"errors"
	"os"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"forge.lthn.ai/core/go-store/api"
)

// mostCompletions is how many names a shell is offered.
const mostCompletions = 200

// complete has a shell offer the values of a flag.
func complete(command *cobra.Command, flag string, values ...string) {
	err := command.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp))
	if err != nil {
		panic(err) // the command has no such flag
	}
}

// completeNames has a shell offer the names in the database: groups for the
// first argument and, with two, keys of that group for the second. Names that
// don't stand on a command line as they are aren't offered; a database that
// can't be read as it is has none: a key that is pressed writes nothing.
func (a *app) completeNames(arguments int) cobra.CompletionFunc {
	return func(command *cobra.Command, given []string, begun string) ([]string, cobra.ShellCompDirective) {
		var names []string
		offer := func(name string) (more bool) {
			if isPlain(name) {
				names = append(names, name)
			}
			return len(names) < mostCompletions
		}
		if len(given) < arguments {
			_ = a.glance(func(store *api.Store) error {
				if len(given) == 0 {
					for group, err := range store.GroupsSeq(begun) {
						if err != nil || !offer(group) {
							return err
						}
					}
					return nil
				}
				filter := api.Filter{Group: api.Exactly(given[0]), Key: api.Prefix(begun)}
				for entry, err := range entries(command.Context(), store, filter) {
					if err != nil || entry.Type != api.EventSet || !offer(entry.Key) {
						return err
					}
				}
				return nil
			})
		}
		return names, cobra.ShellCompDirectiveNoFileComp
	}
}

// completeGroup has a shell offer the groups in the database for a flag.
func (a *app) completeGroup(command *cobra.Command, flag string) {
	groups := a.completeNames(1)
	err := command.RegisterFlagCompletionFunc(flag, func(command *cobra.Command, _ []string, begun string) ([]string, cobra.ShellCompDirective) {
		return groups(command, nil, begun)
	})
	if err != nil {
		panic(err) // the command has no such flag
	}
}

// glance is withStore for a shell: it changes, makes and waits for nothing.
func (a *app) glance(work func(*api.Store) error) error {
	if info, err := os.Stat(a.database); err != nil || !info.Mode().IsRegular() {
		return err
	}
	store, err := api.New(a.database, api.WithReadOnly())
	if err != nil {
		return err
	}
	return errors.Join(work(store), store.Close())
}

func isPlain(name string) bool {
	return name != "" && utf8.ValidString(name) &&
		strings.IndexFunc(name, func(r rune) bool { return !unicode.IsPrint(r) }) < 0
}
