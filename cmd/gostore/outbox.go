package main

import (
	"bufio"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"forge.lthn.ai/core/go-store/api"
	"forge.lthn.ai/core/go-store/cmd/gostore/internal/dump"
)

func (a *app) outboxCommand() *cobra.Command {
	command := &cobra.Command{
		Use:   "outbox COMMAND",
		Short: "Look at messages that wait for actors, and at those that were given up",
		Long: `A program that embeds the store tells actors of its changes through the outbox, and
delivers them itself. These commands look at what waits, and at what was given up
because nobody took it.`,
		RunE: func(*cobra.Command, []string) error { return misuse("name a command of outbox") },
	}
	command.AddCommand(a.outboxList(), a.outboxShow(false), a.outboxShow(true), a.outboxRetry(), a.outboxDrop())
	return command
}

func (a *app) outboxList() *cobra.Command {
	var dead, asJSON bool
	command := &cobra.Command{
		Use:   "list --db PATH [--dead] [--json]",
		Short: "Print the addresses that have messages",
		Long: `Prints each address that has messages with, behind tabs, their number, the ID of the
oldest and when that was committed; with --dead, those whose messages were given up.

` + jsonHelp + `
Its members are address, messages, oldest and at_ms, in milliseconds since 1970.`,
		Args: exactly(),
		RunE: func(command *cobra.Command, _ []string) error {
			return a.reader(command, func(store *api.Store) error {
				return a.lines(func(out *bufio.Writer) error {
					prefix := api.OutboxPrefix
					if dead {
						prefix = api.DeadPrefix
					}
					for group, err := range store.GroupsSeq(prefix) {
						if err != nil {
							return err
						}
						if err := printAddress(out, store, group, group[len(prefix):], dead, asJSON); err != nil {
							return err
						}
					}
					return nil
				})
			})
		},
	}
	command.Flags().BoolVar(&dead, "dead", false, "those that were given up")
	jsonFlag(command, &asJSON, "a JSON object a line")
	return command
}

func printAddress(out *bufio.Writer, store *api.Store, group, address string, dead, asJSON bool) error {
	count, err := store.Count(group)
	if err != nil {
		return err
	}
	page, err := pageOf(store, dead)(address, "", 1)
	if err != nil || len(page) == 0 { // gone meanwhile
		return err
	}
	oldest := page[0]
	if asJSON {
		line := append(dump.AppendText(nil, "address", address), `,"messages":`...)
		line = append(strconv.AppendInt(line, int64(count), 10), ',')
		line = append(dump.AppendText(line, "oldest", oldest.ID), `,"at_ms":`...)
		return printJSON(out, strconv.AppendInt(line, oldest.At.UnixMilli(), 10))
	}
	_, err = fmt.Fprintf(out, "%s\t%d\t%s\t%s\n", printable(address), count, printable(oldest.ID), oldest.At.UTC().Format(time.RFC3339))
	return err
}

func pageOf(store *api.Store, dead bool) func(address, from string, limit int) ([]api.OutboxMessage, error) {
	if dead {
		return store.DeadPage
	}
	return store.OutboxPage
}

// messages calls work for each message of an address, or each of some IDs.
func messages(store *api.Store, dead bool, address string, ids []string, work func(api.OutboxMessage) error) error {
	found := 0
	for from := ""; ; {
		page, err := pageOf(store, dead)(address, from, 256)
		if err != nil {
			return err
		}
		if len(page) == 0 {
			break
		}
		for _, m := range page {
			if len(ids) > 0 && !slices.Contains(ids, m.ID) {
				continue
			}
			found++
			if err := work(m); err != nil {
				return err
			}
		}
		from = page[len(page)-1].ID + "\x00"
	}
	if found < len(ids) {
		return fmt.Errorf("%d of %d messages are not there", len(ids)-found, len(ids))
	}
	return nil
}

func (a *app) outboxShow(dead bool) *cobra.Command {
	var asJSON bool
	command := &cobra.Command{
		Use:   "show --db PATH [--json] ADDRESS [ID...]",
		Short: "Print the messages that wait for an address",
		Long: `Prints the messages to an address, oldest first, or those of some IDs: the ID, the
payload or what has expired, behind tabs.

` + jsonHelp + `
Its members are id, at_ms and payload, or expired_group, expired_key, expired_value
and expired_ms.`,
		Args:              atLeastAddress,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(command *cobra.Command, arguments []string) error {
			return a.reader(command, func(store *api.Store) error {
				return a.lines(func(out *bufio.Writer) error {
					return messages(store, dead, arguments[0], arguments[1:], func(m api.OutboxMessage) error {
						return printMessage(out, &m, dead, asJSON)
					})
				})
			})
		},
	}
	if dead {
		command.Use, command.Short = "dead --db PATH [--json] ADDRESS [ID...]", "Print the messages to an address that were given up"
		command.Long = `Prints the messages to an address that were given up, oldest first, or those of some
IDs: the ID, the number of attempts, the reason, and the payload or what has expired,
behind tabs. 'gostore outbox list --dead' names the addresses.

` + jsonHelp + `
Its members are those of 'gostore outbox show', and attempts, reason and died_ms.`
	}
	jsonFlag(command, &asJSON, "a JSON object a line")
	return command
}

func atLeastAddress(_ *cobra.Command, arguments []string) error {
	if len(arguments) == 0 {
		return fmt.Errorf("needs an ADDRESS")
	}
	return nil
}

func printMessage(out *bufio.Writer, m *api.OutboxMessage, dead, asJSON bool) error {
	if asJSON {
		return printJSON(out, appendMessage(m, dead))
	}
	line := printable(m.ID)
	if dead {
		line += fmt.Sprintf("\t%d\t%s", m.Attempts, printable(m.Reason))
	}
	if e := m.Expired; e != nil {
		line += fmt.Sprintf("\texpired\t%s\t%s\t%s", printable(e.Group), printable(e.Key), printable(e.Value))
	} else {
		line += "\t" + printable(m.Payload)
	}
	_, err := out.WriteString(line + "\n")
	return err
}

func appendMessage(m *api.OutboxMessage, dead bool) []byte {
	line := append(dump.AppendText(nil, "id", m.ID), `,"at_ms":`...)
	line = append(strconv.AppendInt(line, m.At.UnixMilli(), 10), ',')
	if e := m.Expired; e != nil {
		line = append(dump.AppendText(line, "expired_group", e.Group), ',')
		line = append(dump.AppendText(line, "expired_key", e.Key), ',')
		line = append(dump.AppendText(line, "expired_value", e.Value), `,"expired_ms":`...)
		line = strconv.AppendInt(line, e.ExpiresAt.UnixMilli(), 10)
	} else {
		line = dump.AppendText(line, "payload", m.Payload)
	}
	if dead {
		line = append(line, `,"attempts":`...)
		line = append(strconv.AppendInt(line, int64(m.Attempts), 10), ',')
		line = append(dump.AppendText(line, "reason", m.Reason), `,"died_ms":`...)
		line = strconv.AppendInt(line, m.DiedAt.UnixMilli(), 10)
	}
	return line
}

func (a *app) outboxRetry() *cobra.Command {
	return &cobra.Command{
		Use:   "retry --db PATH ADDRESS [ID...]",
		Short: "Put messages that were given up back into the outbox",
		Long: `Puts the messages to an address that were given up, or those of some IDs, back into
the outbox, under their IDs: the next delivery tries them again, oldest first. It
prints how many.`,
		Args:              atLeastAddress,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(_ *cobra.Command, arguments []string) error {
			return a.changeMessages(true, arguments, func(store *api.Store, m api.OutboxMessage) error { return store.Revive(m) })
		},
	}
}

func (a *app) outboxDrop() *cobra.Command {
	var dead, all bool
	command := &cobra.Command{
		Use:   "drop --db PATH [--dead] ADDRESS (ID... | --all)",
		Short: "Delete messages that wait, or were given up",
		Long: `Deletes messages to an address: those of some IDs, or with --all every one. With
--dead they are looked for among those that were given up. It prints how many.`,
		Args:              atLeastAddress,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(_ *cobra.Command, arguments []string) error {
			if all == (len(arguments) > 1) {
				return misuse("name the IDs of the messages to drop, or give --all")
			}
			prefix := api.OutboxPrefix
			if dead {
				prefix = api.DeadPrefix
			}
			return a.changeMessages(dead, arguments, func(store *api.Store, m api.OutboxMessage) error {
				return store.Delete(prefix+m.Address, m.ID)
			})
		},
	}
	command.Flags().BoolVar(&dead, "dead", false, "those that were given up")
	command.Flags().BoolVar(&all, "all", false, "yes, all of them")
	return command
}

// changeMessages does something to the messages that were named, and prints to how many.
func (a *app) changeMessages(dead bool, arguments []string, change func(*api.Store, api.OutboxMessage) error) error {
	return a.withStore(changing, nil, func(store *api.Store) error {
		done := 0
		err := messages(store, dead, arguments[0], arguments[1:], func(m api.OutboxMessage) error {
			err := change(store, m)
			if err == nil {
				done++
			}
			return err
		})
		fmt.Fprintf(a.stdout, "%d\n", done)
		return err
	})
}
