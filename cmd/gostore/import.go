package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"forge.lthn.ai/core/go-store/api"
	"forge.lthn.ai/core/go-store/cmd/gostore/internal/dump"
	"forge.lthn.ai/core/go-store/cmd/gostore/internal/progress"
	"forge.lthn.ai/core/go-store/cmd/gostore/internal/rows"
)

// importFlags are the flags of import as they were given.
type importFlags struct {
	format, delimiter string
	group             string
	groupColumn       int
	keyColumn         int
	valueColumn       int
	valueRest         bool
	expiresColumn     int
	clampExpiries     bool
	keepCR            bool
}

// tableFlags are those that say what a table looks like.
var tableFlags = []string{"delimiter", "group", "group-column", "key-column", "value-column", "value-rest", "expires-column", "keep-cr"}

func (a *app) importCommand() *cobra.Command {
	var flags importFlags
	command := &cobra.Command{
		Use: `import --db PATH [--format jsonl] [FILE | -]
  gostore import --db PATH (--group NAME | --group-column N) --key-column N (--value-column N | --value-rest) [--expires-column N] [FILE | -]`,
		Short: "Write what 'gostore export' has written, or a table, creating the database if need be",
		Long: `Writes the entries of an export, or each row of a table as a key, from a file or
from standard input. A key that is there already is replaced.

An export is what 'gostore export' writes as JSON Lines. It is expected when no
flag says what a table looks like. Keys that expire do so at the moment at which
they would have; those that have expired since are skipped and counted. A line
that is damaged, missing or out of its place is known by its sum, and an export
that was cut off by its missing end.

Of a table, columns count from 1. Without --format a file whose name ends in
.csv is CSV and anything else TSV:
  tsv  fields stand between tabs, or another --delimiter; nothing quotes or
       escapes, a field is what stands there
  csv  fields stand between commas, or another --delimiter, and may be quoted
       as in RFC 4180, with delimiters, line ends and doubled quotes inside

Lines end with LF or CRLF. Empty lines are skipped. A carriage return of its own,
unless it is quoted, is refused: most likely the lines end so. With --keep-cr it
belongs to its field. All other bytes are kept as they are, whether UTF-8 or not,
but for a byte order mark at the very start; UTF-16 and UTF-32 are refused.
The column of expiries is in milliseconds since 1970, or empty for never. A moment
outside the years 1 to 9999 is refused, whether it comes from a table or an export:
it is most likely one in microseconds. With --clamp-expiries the nearest within is
taken.

Rows are committed in batches of 1,000, each of them whole or not at all. The
import stops at the first bad line and says how many rows are committed; its
batch is not. Importing the mended file again is safe.`,
		Example: `  gostore export --db a.db | gostore import --db b.db
  gostore import --db u.db --delimiter ';' --group-column 3 --key-column 1 --value-column 2 UnicodeData.txt
  zcat hosts.tsv.gz | gostore import --db h.db --group hosts --key-column 1 --value-rest
  gostore import --db c.db --group-column 1 --key-column 2 --value-column 3 --expires-column 4 export.csv`,
		Args: func(_ *cobra.Command, arguments []string) error {
			if len(arguments) > 1 {
				return fmt.Errorf("needs one FILE at most, got %d", len(arguments))
			}
			return nil
		},
		RunE: func(command *cobra.Command, arguments []string) error {
			name := "-"
			if len(arguments) == 1 {
				name = arguments[0]
			}
			if isExport, err := flags.export(command, name); err != nil || isExport {
				if err != nil {
					return err
				}
				return a.importFrom(command, name, flags, exportLimits, func(in io.Reader) source { return dump.NewReader(in) })
			}
			layout, err := flags.layout(command, name)
			if err != nil {
				return err
			}
			return a.importFrom(command, name, flags, sizeLimits, func(in io.Reader) source { return rows.NewReader(in, layout) })
		},
	}
	set := command.Flags()
	set.SortFlags = false
	set.StringVar(&flags.format, "format", "", "`FORMAT` of the input: jsonl, tsv or csv")
	set.StringVar(&flags.delimiter, "delimiter", "", "the one `CHARACTER` between fields; \\t is a tab")
	set.StringVar(&flags.group, "group", "", "the group's `NAME` for every row")
	set.IntVar(&flags.groupColumn, "group-column", 0, "the column `N` that names the row's group")
	set.IntVar(&flags.keyColumn, "key-column", 0, "the column `N` that names the row's key")
	set.IntVar(&flags.valueColumn, "value-column", 0, "the column `N` that is the row's value")
	set.BoolVar(&flags.valueRest, "value-rest", false, "the value is the rest of the row after the key column, delimiters and quotes kept")
	set.IntVar(&flags.expiresColumn, "expires-column", 0, "the column `N` that says when the row expires, in milliseconds since 1970")
	set.BoolVar(&flags.keepCR, "keep-cr", false, "a carriage return that no line feed follows belongs to its field")
	set.BoolVar(&flags.clampExpiries, "clamp-expiries", false, "take an expiry outside the years 1 to 9999 as the nearest moment within")
	complete(command, "format", "jsonl", "tsv", "csv")
	return command
}

// export reports whether the input is to be an export.
func (f importFlags) export(command *cobra.Command, name string) (bool, error) {
	table := slices.IndexFunc(tableFlags, command.Flags().Changed)
	switch {
	case f.format == formatJSONL && table >= 0:
		return false, misuse("--%s is of tables, not of --format jsonl", tableFlags[table])
	case f.format == formatJSONL:
		return true, nil
	case f.format != "" || table >= 0:
		return false, nil
	case strings.EqualFold(filepath.Ext(name), ".csv"), strings.EqualFold(filepath.Ext(name), ".tsv"):
		return false, nil // and what is missing will be said
	default:
		return true, nil
	}
}

// layout checks the flags and says what the rows look like.
func (f importFlags) layout(command *cobra.Command, name string) (rows.Layout, error) {
	given := command.Flags().Changed
	layout := rows.Layout{Group: f.group, GroupColumn: f.groupColumn, KeyColumn: f.keyColumn, ValueColumn: f.valueColumn, ExpiresColumn: f.expiresColumn, KeepCR: f.keepCR}
	switch {
	case given("group") == given("group-column"):
		return layout, misuse("give either --group NAME or --group-column N")
	case !given("key-column"):
		return layout, misuse("give --key-column N")
	case given("value-column") == f.valueRest:
		return layout, misuse("give either --value-column N or --value-rest")
	}
	for _, column := range []string{"group-column", "key-column", "value-column", "expires-column"} {
		if n, _ := command.Flags().GetInt(column); given(column) && n < 1 {
			return layout, misuse("--%s %d: columns count from 1", column, n)
		}
	}
	switch {
	case f.format == formatCSV, f.format == "" && strings.EqualFold(filepath.Ext(name), ".csv"):
		layout.Format, layout.Delimiter = rows.Quoted, ','
	case f.format == formatTSV, f.format == "":
		layout.Format, layout.Delimiter = rows.Plain, '\t'
	default:
		return layout, misuse("--format %q: use jsonl, tsv or csv", f.format)
	}
	if given("delimiter") {
		delimiter := strings.ReplaceAll(f.delimiter, `\t`, "\t")
		if utf8.RuneCountInString(delimiter) != 1 {
			return layout, misuse("--delimiter %q: use one character", f.delimiter)
		}
		layout.Delimiter, _ = utf8.DecodeRuneInString(delimiter)
	}
	if err := layout.Validate(); err != nil {
		return layout, misuse("%v", err)
	}
	return layout, nil
}

// importFrom imports what is in the named file and reports.
func (a *app) importFrom(command *cobra.Command, name string, flags importFlags, limits api.SizeLimits, open func(io.Reader) source) error {
	in, size := a.stdin, int64(progress.Unknown)
	if name == "-" {
		name = "standard input"
	} else {
		file, err := os.Open(name)
		if err != nil {
			return err
		}
		defer file.Close()
		in = file
	}
	if file, ok := in.(*os.File); ok {
		info, err := file.Stat()
		if err == nil && info.IsDir() {
			return fmt.Errorf("%s is a folder; name a file", name)
		}
		if err == nil && info.Mode().IsRegular() {
			size = info.Size()
		}
	}
	options := []api.Option{api.WithSizeLimits(limits)}
	return a.withStore(creating, options, func(store *api.Store) error {
		load := &load{
			reader: open(in),
			commit: store.Batch,
			now:    time.Now,
			limits: limits,
			clamp:  flags.clampExpiries,
			bar:    progress.Bytes(a.stderr, "importing", size),
		}
		err := load.run(command.Context())
		load.bar.Close()
		if err != nil {
			if errors.Is(err, dump.NotAnExportError) {
				err = fmt.Errorf("%w; of a table say --key-column and the rest of its layout", err)
			}
			return fmt.Errorf("%s: %w; %s", name, err, load.committedSoFar())
		}
		return a.reportImport(load)
	})
}

func (a *app) reportImport(load *load) error {
	skipped := ""
	if load.expired > 0 {
		skipped = fmt.Sprintf(", skipped %s", plural(load.expired, "expired row"))
	}
	if table, ok := load.reader.(*rows.Reader); ok && table.Skipped() > 0 {
		skipped += fmt.Sprintf(", skipped %s", plural(table.Skipped(), "empty line"))
	}
	_, err := fmt.Fprintf(a.stdout, "imported %s%s\n", plural(load.committed, "row"), skipped)
	return err
}

// plural is a number of things; irregular is their plural if it has no s.
func plural(n int, noun string, irregular ...string) string {
	switch {
	case n == 1:
		return "1 " + noun
	case len(irregular) > 0:
		return fmt.Sprintf("%d %s", n, irregular[0])
	default:
		return fmt.Sprintf("%d %ss", n, noun)
	}
}
