package main

import (
	"bufio"

	"github.com/spf13/cobra"

	"forge.lthn.ai/core/go-store/api"
)

func (a *app) listCommand() *cobra.Command {
	var (
		page             page
		keysOnly, asJSON bool
	)
	command := &cobra.Command{
		Use:   "list --db PATH [--keys] [--json] [--limit N] [--after KEY] GROUP",
		Short: "Print a group's keys and values",
		Long: `Prints each key of a group and, behind a tab, its value, in the byte order of the
keys and from one snapshot. What is not printable, and the backslash, is escaped
as in Go: \n, \t, \x00, \\. A group that isn't there has no keys.

` + jsonHelp + `
Its members are key, value, revision and, if the key expires, expires_ms, in
milliseconds since 1970.

To go on where a page of --limit ended, give its last key to --after.`,
		Args:              exactly("GROUP"),
		ValidArgsFunction: a.completeNames(1),
		RunE: func(command *cobra.Command, arguments []string) error {
			if keysOnly && asJSON {
				return misuse("give either --keys or --json")
			}
			if err := page.begin(command); err != nil {
				return err
			}
			return a.reader(command, func(store *api.Store) error {
				return a.lines(func(out *bufio.Writer) error {
					options := api.ScanOptions{Groups: api.Exactly(arguments[0]), KeysOnly: keysOnly, Limit: page.limit}
					if page.begins {
						options.From = page.behind + "\x00" // no key lies between
					}
					for entry, err := range store.Scan(options) {
						if err != nil {
							return err
						}
						if err := printEntry(out, entry, keysOnly, asJSON); err != nil {
							return err
						}
					}
					return nil
				})
			})
		},
	}
	page.flags(command, "KEY")
	command.Flags().BoolVar(&keysOnly, "keys", false, "print the keys alone")
	jsonFlag(command, &asJSON, "a JSON object a line")
	return command
}

func printEntry(out *bufio.Writer, entry api.ScanEntry, keysOnly, asJSON bool) error {
	if asJSON {
		return printJSON(out, appendEntry(nil, entry.Key, entry.Value, entry.Revision, entry.ExpiresAt))
	}
	line := printable(entry.Key)
	if !keysOnly {
		line += "\t" + printable(entry.Value)
	}
	_, err := out.WriteString(line + "\n")
	return err
}
