package main

import (
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
// can't be read has none.
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
			_ = a.withStore(reading, nil, func(store *api.Store) error {
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

func isPlain(name string) bool {
	return name != "" && utf8.ValidString(name) &&
		strings.IndexFunc(name, func(r rune) bool { return !unicode.IsPrint(r) }) < 0
}
