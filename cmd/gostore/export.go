package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"forge.lthn.ai/core/go-store/api"
	"forge.lthn.ai/core/go-store/cmd/gostore/internal/atomicfile"
	"forge.lthn.ai/core/go-store/cmd/gostore/internal/dump"
	"forge.lthn.ai/core/go-store/cmd/gostore/internal/progress"
	"forge.lthn.ai/core/go-store/cmd/gostore/internal/rows"
)

// exportFlags are the flags of export as they were given.
type exportFlags struct {
	group, prefix  string
	format, output string
	filter         api.Filter
	header         dump.Header
}

func (a *app) exportCommand() *cobra.Command {
	var flags exportFlags
	command := &cobra.Command{
		Use:   "export --db PATH [--group NAME | --prefix TEXT] [--format F] [--output FILE]",
		Short: "Write all entries, with their expiries, for 'gostore import' and other programs",
		Long: `Writes every entry that has not expired, or those of one group, or of the groups
whose names begin with a prefix, to standard output or to a file. All of them are
of one moment, whatever a program that has the database open writes meanwhile.

Without --format an output whose name ends in .csv or .tsv is that, and anything
else jsonl:
  jsonl  JSON Lines: carries everything, and tells 'gostore import' where it is
         damaged or cut off. First a header, then an object for each entry, with
         group, key, value and expires_ms (milliseconds since 1970; none: never),
         last an end with the number of rows and the store's revision. A string
         that is not UTF-8, or would be longer in JSON, stands in base64 under
         its name with 64 behind it.
  csv    group, key, value and expires_ms, without a header, quoted as in RFC
         4180 where need be
  tsv    the same between tabs; nothing quotes or escapes

CSV and TSV can't carry bytes that are not UTF-8, NUL and CR, TSV neither tabs nor
line ends: the export fails then and names the key. Revisions are in no format:
the store that imports gives its own. Entries that another program has let expire
beyond the year 9999 are exported as they are; a warning says then that importing
them needs --clamp-expiries.

An --output takes its name when it is complete; until then, and when the export
fails or is interrupted, what stands there stays as it is. It keeps the mode of the
file that it replaces and, where that is permitted, its owner; a new one is the
caller's alone (0600). --output - is standard output, ./- a file of that name.`,
		Example: `  gostore export --db app.db --output app.jsonl
  gostore export --db app.db --prefix tenant-a: | gostore import --db a.db`,
		Args: cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			if err := flags.check(command); err != nil {
				return err
			}
			return a.reader(command, func(store *api.Store) error {
				if flags.output == "" || flags.output == "-" {
					_, err := a.export(command.Context(), store, &flags, a.stdout)
					if isBrokenPipe(err) {
						return errors.New("whoever read the export has gone before its end") // no quiet end: it is not whole
					}
					return err
				}
				return a.exportToFile(command.Context(), store, &flags)
			})
		},
	}
	set := command.Flags()
	set.SortFlags = false
	set.StringVar(&flags.group, "group", "", "only the group of this `NAME`")
	set.StringVar(&flags.prefix, "prefix", "", "only the groups whose names begin with this `TEXT`")
	set.StringVar(&flags.format, "format", "", "`FORMAT` of the output: jsonl, csv or tsv")
	set.StringVarP(&flags.output, "output", "o", "", "write to this `FILE` instead of standard output")
	complete(command, "format", formatJSONL, formatCSV, formatTSV)
	a.completeGroup(command, "group")
	a.completeGroup(command, "prefix")
	return command
}

// check completes the flags and says what is wrong with them.
func (f *exportFlags) check(command *cobra.Command) error {
	given := command.Flags().Changed
	if given("group") && given("prefix") {
		return misuse("give either --group NAME or --prefix TEXT")
	}
	if given("output") && f.output == "" {
		return misuse("--output needs the name of a file")
	}
	if given("group") {
		f.filter.Group, f.header.Group = api.Exactly(f.group), &f.group
	}
	if given("prefix") {
		f.filter.Group, f.header.Prefix = api.Prefix(f.prefix), &f.prefix
	}
	if !given("format") {
		f.format = formatJSONL
		if ending := strings.ToLower(strings.TrimPrefix(filepath.Ext(f.output), ".")); ending == formatCSV || ending == formatTSV {
			f.format = ending
		}
	}
	if f.format != formatJSONL && f.format != formatCSV && f.format != formatTSV {
		return misuse("--format %q: use jsonl, csv or tsv", f.format)
	}
	return nil
}

// exportToFile writes the export to the file of --output, which is whole or not
// touched.
func (a *app) exportToFile(ctx context.Context, store *api.Store, flags *exportFlags) error {
	if err := refuseOwnFiles(a.database, flags.output); err != nil {
		return err
	}
	file, err := atomicfile.Create(flags.output)
	if err != nil {
		return err
	}
	defer file.Discard()
	exported, err := a.export(ctx, store, flags, file)
	if err != nil {
		return err
	}
	if err := file.Commit(); err != nil {
		return err
	}
	_, err = fmt.Fprintf(a.stdout, "exported %s to %s\n", plural(exported, "entry", "entries"), flags.output)
	return err
}

// barEvery is how many rows the bar moves by.
const barEvery = 1 << 10

// export writes what the flags ask for and returns how many entries it were.
func (a *app) export(ctx context.Context, store *api.Store, flags *exportFlags, out io.Writer) (exported int, err error) {
	bar, err := a.exportBar(store, flags, out)
	if err != nil {
		return 0, err
	}
	defer bar.Close()
	flags.header.Began = time.Now()
	if flags.header.Revision, err = store.Revision(); err != nil {
		return 0, err
	}
	var late lateDeadlines
	to, err := flags.open(out)
	if err != nil {
		return 0, err
	}
	for entry, err := range entries(ctx, store, flags.filter) {
		switch {
		case err != nil:
			return exported, err
		case entry.Type == api.EventSynced:
			if err := to.End(entry.Revision); err != nil {
				return exported, err
			}
			a.warn(late.warning())
			return exported, nil
		}
		row := rows.Row{Group: entry.Group, Key: entry.Key, Value: entry.Value, Expires: entry.ExpiresAt}
		if err := to.Write(row); err != nil {
			return exported, err
		}
		late.see(row)
		if exported++; exported%barEvery == 0 {
			bar.Set(int64(exported))
		}
	}
	return exported, errors.New("the store ended the export early; try again") // a subscription ends with an error or goes on
}

// exportBar is a progress bar, if the output of errors is a terminal: then the
// entries are counted first.
func (a *app) exportBar(store *api.Store, flags *exportFlags, out io.Writer) (*progress.Bar, error) {
	if !progress.IsTerminal(a.stderr) || progress.IsTerminal(out) {
		return nil, nil
	}
	count := func() (int, error) { return store.CountAll(flags.prefix) }
	if flags.header.Group != nil {
		count = func() (int, error) { return store.Count(flags.group) }
	}
	total, err := count()
	return progress.Steps(a.stderr, "exporting", int64(total)), err
}

// sink is where an export goes.
type sink interface {
	Write(rows.Row) error
	End(revision uint64) error
}

func (f *exportFlags) open(out io.Writer) (sink, error) {
	switch f.format {
	case formatCSV:
		return tableSink{rows.NewWriter(out, rows.Quoted)}, nil
	case formatTSV:
		return tableSink{rows.NewWriter(out, rows.Plain)}, nil
	default:
		return dump.NewWriter(out, f.header)
	}
}

// tableSink is a table, which has nothing behind its rows.
type tableSink struct{ *rows.Writer }

func (t tableSink) Write(row rows.Row) error {
	err := t.Writer.Write(row)
	var refused *rows.RefusedError
	if errors.As(err, &refused) {
		return fmt.Errorf("%w: use --format %s", err, formatJSONL)
	}
	return err
}

func (t tableSink) End(uint64) error { return t.Flush() }

// refuseOwnFiles keeps an export from replacing the database, or what it needs.
func refuseOwnFiles(database, output string) error {
	if resolved, err := filepath.EvalSymlinks(database); err == nil {
		database = resolved
	}
	for _, suffix := range []string{"", "-wal", "-shm", "-journal", "-lock"} {
		if atomicfile.Same(database+suffix, output) {
			return misuse("--output %s is a file of the database: name another", output)
		}
	}
	return nil
}
