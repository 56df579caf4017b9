package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"forge.lthn.ai/core/go-store/api"
)

// casFlags is how 'gostore cas' was called.
type casFlags struct {
	revision        uint64
	absent, present bool
	remove, limited bool
	timeToLive      time.Duration
}

func (a *app) casCommand() *cobra.Command {
	var flags casFlags
	command := &cobra.Command{
		Use: `cas --db PATH (--revision N | --absent | --present) [--ttl D] GROUP KEY VALUE
  gostore cas --db PATH (--revision N | --present) --delete GROUP KEY`,
		Short: "Write a key, or delete it, if it is as it was when it was read",
		Long: `Compares and sets: writes a key only if its revision is N, or with --absent only if
it isn't there or has expired, or with --present only if it is, and prints the new
revision. Nothing comes between the comparison and the write. With --delete the key
is deleted instead. Where the key is otherwise nothing is written, and the exit code
is 3, which no other failure has. A key's revision is in 'gostore get --json'.

Like 'gostore set' it lets the key stay until it is deleted, unless there is a
--ttl. With --absent the database is created if it isn't there.`,
		Example: `  gostore cas --db app.db --revision 17 config theme light
  gostore cas --db app.db --absent --ttl 30s locks nightly "$(hostname)"`,
		Args: func(_ *cobra.Command, arguments []string) error {
			if flags.remove {
				return exactly("GROUP", "KEY")(nil, arguments)
			}
			return exactly("GROUP", "KEY", "VALUE")(nil, arguments)
		},
		ValidArgsFunction: a.completeNames(2),
		RunE: func(command *cobra.Command, arguments []string) error {
			if err := flags.check(command); err != nil {
				return err
			}
			how := changing
			if flags.absent {
				how = creating
			}
			return a.withStore(how, nil, func(store *api.Store) error {
				revision, err := store.Batch(flags.batch(arguments))
				if err != nil {
					return err
				}
				_, err = fmt.Fprintln(a.stdout, revision)
				return err
			})
		},
	}
	set := command.Flags()
	set.SortFlags = false
	set.Uint64Var(&flags.revision, "revision", 0, "only if the key's revision is `N`")
	set.BoolVar(&flags.absent, "absent", false, "only if the key isn't there")
	set.BoolVar(&flags.present, "present", false, "only if the key is there")
	set.BoolVar(&flags.remove, "delete", false, "delete the key")
	set.DurationVar(&flags.timeToLive, "ttl", 0, "let the key expire after this `DURATION`, such as 90s or 12h")
	return command
}

func (f *casFlags) check(command *cobra.Command) error {
	byRevision := command.Flags().Changed("revision")
	conditions := 0
	for _, given := range []bool{byRevision, f.absent, f.present} {
		if given {
			conditions++
		}
	}
	f.limited = command.Flags().Changed("ttl")
	switch {
	case conditions != 1:
		return misuse("give one of --revision N, --absent and --present")
	case byRevision && f.revision == 0:
		return misuse("--revision 0: revisions count from 1; of a key that isn't there say --absent")
	case byRevision && f.revision == api.AnyRevision:
		return misuse("--revision %d: no key has it; of any say --present", f.revision)
	case f.remove && f.absent:
		return misuse("--delete of a key that is --absent would do nothing")
	case f.remove && f.limited:
		return misuse("--ttl is of a key that is written, not of --delete")
	case f.limited:
		return checkTTL("--ttl ", f.timeToLive)
	}
	return nil
}

// batch is the condition and the write.
func (f *casFlags) batch(arguments []string) *api.Batch {
	group, key := arguments[0], arguments[1]
	batch := new(api.Batch)
	switch {
	case f.absent:
		batch.IfAbsent(group, key)
	case f.present:
		batch.IfPresent(group, key)
	default:
		batch.IfRevision(group, key, f.revision)
	}
	switch {
	case f.remove:
		return batch.Delete(group, key)
	case f.limited:
		return batch.SetWithTTL(group, key, arguments[2], f.timeToLive)
	default:
		return batch.Set(group, key, arguments[2])
	}
}

// explainMismatch puts it in the terms of the command line that a key is not as
// it was compared with.
func explainMismatch(err error) (explained string, ok bool) {
	var mismatch *api.RevisionMismatchError
	if !errors.As(err, &mismatch) {
		return "", false
	}
	is := fmt.Sprintf("has revision %d", mismatch.Current)
	if mismatch.Current == 0 {
		is = "is not there, or has expired"
	}
	but := fmt.Sprintf(", not %d", mismatch.Expected)
	switch {
	case mismatch.Current == 0:
		but = ""
	case mismatch.Expected == 0:
		is, but = "is there", fmt.Sprintf(", at revision %d", mismatch.Current)
	}
	return fmt.Sprintf("key %q in group %q %s%s: nothing was written; read it again with 'gostore get --json' and decide anew",
		mismatch.Key, mismatch.Group, is, but), true
}
