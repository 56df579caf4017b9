package main

import (
	"bufio"
	"fmt"

	"github.com/spf13/cobra"

	"forge.lthn.ai/core/go-store/api"
	"forge.lthn.ai/core/go-store/cmd/gostore/internal/dump"
)

func (a *app) groupsCommand() *cobra.Command {
	var (
		page   page
		asJSON bool
	)
	command := &cobra.Command{
		Use:   "groups --db PATH [--json] [--limit N] [--after GROUP] [PREFIX]",
		Short: "Print the names of the groups",
		Long: `Prints the name of each group that has a key, or of each whose name begins with
PREFIX, in byte order and from one snapshot. What is not printable, and the
backslash, is escaped as in Go: \n, \t, \x00, \\.

` + jsonHelp + ` Its
member is group.

To go on where a page of --limit ended, give its last group to --after.`,
		Args: func(_ *cobra.Command, arguments []string) error {
			if len(arguments) > 1 {
				return fmt.Errorf("needs one PREFIX at most, got %d arguments", len(arguments))
			}
			return nil
		},
		ValidArgsFunction: a.completeNames(1),
		RunE: func(command *cobra.Command, arguments []string) error {
			if err := page.begin(command); err != nil {
				return err
			}
			prefix := ""
			if len(arguments) == 1 {
				prefix = arguments[0]
			}
			return a.reader(command, func(store *api.Store) error {
				return a.lines(func(out *bufio.Writer) error {
					for group, err := range store.GroupsSeq(prefix) {
						if err != nil {
							return err
						}
						wanted, done := page.wants(group)
						if !wanted {
							continue
						}
						if err := printGroup(out, group, asJSON); err != nil || done {
							return err
						}
					}
					return nil
				})
			})
		},
	}
	page.flags(command, "GROUP")
	jsonFlag(command, &asJSON, "a JSON object a line")
	return command
}

func printGroup(out *bufio.Writer, group string, asJSON bool) error {
	if asJSON {
		return printJSON(out, dump.AppendText(nil, "group", group))
	}
	_, err := out.WriteString(printable(group) + "\n")
	return err
}
