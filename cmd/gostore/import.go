package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"forge.lthn.ai/core/go-store/api"
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
}

func (a *app) importCommand() *cobra.Command {
	var flags importFlags
	command := &cobra.Command{
		Use:   "import --db PATH (--group NAME | --group-column N) --key-column N (--value-column N | --value-rest) [FILE | -]",
		Short: "Write the rows of a table, creating the database if need be",
		Long: `Writes each row of a table as a key, from a file or from standard input. Columns
count from 1. A row whose key is there already replaces its value.

Without --format a file whose name ends in .csv is CSV and anything else TSV:
  tsv  fields stand between tabs, or another --delimiter; nothing quotes or
       escapes, a field is what stands there
  csv  fields stand between commas, or another --delimiter, and may be quoted
       as in RFC 4180, with delimiters, line ends and doubled quotes inside

Lines end with LF or CRLF. Empty lines are skipped. All other bytes are kept as
they are, whether UTF-8 or not, but for a byte order mark at the very start.

Rows are committed in batches of 1,000, each of them whole or not at all. The
import stops at the first bad line and says how many rows are committed; its
batch is not. Importing the mended file again is safe.`,
		Example: `  gostore import --db u.db --delimiter ';' --group-column 3 --key-column 1 --value-column 2 UnicodeData.txt
  zcat hosts.tsv.gz | gostore import --db h.db --group hosts --key-column 1 --value-rest`,
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
			layout, err := flags.layout(command, name)
			if err != nil {
				return err
			}
			return a.importTable(command, layout, name)
		},
	}
	set := command.Flags()
	set.SortFlags = false
	set.StringVar(&flags.format, "format", "", "`FORMAT` of the table: tsv or csv")
	set.StringVar(&flags.delimiter, "delimiter", "", "the one `CHARACTER` between fields; \\t is a tab")
	set.StringVar(&flags.group, "group", "", "the group's `NAME` for every row")
	set.IntVar(&flags.groupColumn, "group-column", 0, "the column `N` that names the row's group")
	set.IntVar(&flags.keyColumn, "key-column", 0, "the column `N` that names the row's key")
	set.IntVar(&flags.valueColumn, "value-column", 0, "the column `N` that is the row's value")
	set.BoolVar(&flags.valueRest, "value-rest", false, "the value is the rest of the row after the key column, delimiters and quotes kept")
	return command
}

// layout checks the flags and says what the rows look like.
func (f importFlags) layout(command *cobra.Command, name string) (rows.Layout, error) {
	given := command.Flags().Changed
	layout := rows.Layout{Group: f.group, GroupColumn: f.groupColumn, KeyColumn: f.keyColumn, ValueColumn: f.valueColumn}
	switch {
	case given("group") == given("group-column"):
		return layout, misuse("give either --group NAME or --group-column N")
	case !given("key-column"):
		return layout, misuse("give --key-column N")
	case given("value-column") == f.valueRest:
		return layout, misuse("give either --value-column N or --value-rest")
	}
	for _, column := range []string{"group-column", "key-column", "value-column"} {
		if n, _ := command.Flags().GetInt(column); given(column) && n < 1 {
			return layout, misuse("--%s %d: columns count from 1", column, n)
		}
	}
	switch {
	case f.format == "csv", f.format == "" && strings.EqualFold(filepath.Ext(name), ".csv"):
		layout.Format, layout.Delimiter = rows.Quoted, ','
	case f.format == "tsv", f.format == "":
		layout.Format, layout.Delimiter = rows.Plain, '\t'
	default:
		return layout, misuse("--format %q: use tsv or csv", f.format)
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

// importTable imports the named table and reports.
func (a *app) importTable(command *cobra.Command, layout rows.Layout, name string) error {
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
	options := []api.Option{api.WithSizeLimits(sizeLimits)}
	return a.withStore(creating, options, func(store *api.Store) error {
		load := &load{
			reader: rows.NewReader(in, layout),
			commit: store.SetAll,
			bar:    progress.Bytes(a.stderr, "importing", size),
		}
		err := load.run(command.Context())
		load.bar.Close()
		if err != nil {
			return fmt.Errorf("%s: %w; %s", name, err, load.committedSoFar())
		}
		return a.reportImport(load)
	})
}

func (a *app) reportImport(load *load) error {
	skipped := ""
	if n := load.reader.Skipped(); n > 0 {
		skipped = fmt.Sprintf(", skipped %s", plural(n, "empty line"))
	}
	_, err := fmt.Fprintf(a.stdout, "imported %s%s\n", plural(load.committed, "row"), skipped)
	return err
}

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

var errInterrupted = errors.New("interrupted")
