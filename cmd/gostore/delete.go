package main

import (
	"github.com/spf13/cobra"

	"forge.lthn.ai/core/go-store/api"
)

// deleteFlags is what 'gostore delete' is to delete, if not a key.
type deleteFlags struct {
	group, prefix   string
	groups, grouped bool // --prefix, or --group, was given
	all             bool
}

func (a *app) deleteCommand() *cobra.Command {
	var flags deleteFlags
	command := &cobra.Command{
		Use: `delete --db PATH GROUP KEY
  gostore delete --db PATH (--group NAME | --prefix TEXT [--all])`,
		Short: "Delete a key, a group, or all groups that begin with a text",
		Long: `Deletes a key, or with --group all keys of a group, or with --prefix those of each
group whose name begins with a text. What isn't there is no failure: afterwards it
is not there.

--prefix "" is every group, and has to be confirmed with --all.`,
		Example: `  gostore delete --db app.db config theme
  gostore delete --db app.db --group sessions
  gostore delete --db app.db --prefix tenant-a:`,
		Args: func(command *cobra.Command, arguments []string) error {
			flags.grouped, flags.groups = command.Flags().Changed("group"), command.Flags().Changed("prefix")
			if !flags.grouped && !flags.groups {
				return exactly("GROUP", "KEY")(command, arguments)
			}
			if len(arguments) > 0 {
				return misuse("give GROUP KEY, or --group or --prefix without them")
			}
			return nil
		},
		ValidArgsFunction: a.completeNames(2),
		RunE: func(_ *cobra.Command, arguments []string) error {
			if err := flags.check(); err != nil {
				return err
			}
			return a.withStore(changing, nil, func(store *api.Store) error {
				switch {
				case flags.grouped:
					return store.DeleteGroup(flags.group)
				case flags.groups:
					return store.DeletePrefix(flags.prefix)
				default:
					return store.Delete(arguments[0], arguments[1])
				}
			})
		},
	}
	set := command.Flags()
	set.SortFlags = false
	set.StringVar(&flags.group, "group", "", "delete the group of this `NAME`")
	set.StringVar(&flags.prefix, "prefix", "", "delete the groups whose names begin with this `TEXT`")
	set.BoolVar(&flags.all, "all", false, "yes, every group, with --prefix \"\"")
	a.completeGroup(command, "group")
	a.completeGroup(command, "prefix")
	return command
}

func (f *deleteFlags) check() error {
	everything := f.groups && f.prefix == ""
	switch {
	case f.grouped && f.groups:
		return misuse("give either --group NAME or --prefix TEXT")
	case everything && !f.all:
		return misuse(`--prefix "" deletes every group: confirm it with --all`)
	case f.all && !everything:
		return misuse(`--all confirms --prefix "" and nothing else`)
	}
	return nil
}
