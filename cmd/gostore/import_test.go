package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"forge.lthn.ai/core/go-store/api"
	"forge.lthn.ai/core/go-store/cmd/gostore/internal/rows"
)

// table writes a table to a file and returns its path.
func table(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

// numbered is a table of n rows with the columns key and value.
func numbered(n int) string {
	var text strings.Builder
	for i := range n {
		fmt.Fprintf(&text, "key-%d\tvalue-%d\n", i+1, i+1)
	}
	return text.String()
}

// pairs are the flags for such a table.
func pairs(db string, more ...string) []string {
	return append([]string{"import", "--db", db, "--group", "g", "--key-column", "1", "--value-column", "2"}, more...)
}

func TestImport_AFileAndStandardInput(t *testing.T) {
	text := numbered(2_500)
	for name, test := range map[string]struct {
		stdin     string
		arguments []string
	}{
		"a file":     {"", []string{table(t, "rows.tsv", text)}},
		"a dash":     {text, []string{"-"}},
		"no name":    {text, nil},
		"as is":      {text, []string{"--format", "tsv", "--delimiter", `\t`}},
		"other form": {strings.ReplaceAll(text, "\t", "|"), []string{"--delimiter", "|"}},
	} {
		t.Run(name, func(t *testing.T) {
			db := filepath.Join(t.TempDir(), "s.db")
			got := gostoreReading(context.Background(), strings.NewReader(test.stdin), pairs(db, test.arguments...)...)
			assert.Equal(t, printed("imported 2500 rows\n"), got)
			assert.Equal(t, printed("2500\n"), gostore("count", "--db", db, "g"))
			assert.Equal(t, printed("value-1\n"), gostore("get", "--db", db, "g", "key-1"))
			assert.Equal(t, printed("value-2500\n"), gostore("get", "--db", db, "g", "key-2500"))
		})
	}
}

func TestImport_ColumnsAndRest(t *testing.T) {
	db := filepath.Join(t.TempDir(), "u.db")
	unicode := table(t, "UnicodeData.txt",
		"0041;LATIN CAPITAL LETTER A;Lu;0;L;;;;;N;;;;0061;\n"+
			"0061;LATIN SMALL LETTER A;Ll;0;L;;;;;N;;;0041;;0041\n"+
			"0042;LATIN CAPITAL LETTER B;Lu;0;L;;;;;N;;;;0062;\n")
	flags := []string{"import", "--db", db, "--delimiter", ";", "--group-column", "3", "--key-column", "1"}
	assert.Equal(t, printed("imported 3 rows\n"), gostore(append(flags, "--value-column", "2", unicode)...))
	assert.Equal(t, printed("2\n"), gostore("count", "--db", db, "Lu"))
	assert.Equal(t, printed("LATIN CAPITAL LETTER A\n"), gostore("get", "--db", db, "Lu", "0041"))

	assert.Equal(t, printed("imported 3 rows\n"), gostore(append(flags, "--value-rest", unicode)...), "replaces what is there")
	assert.Equal(t, printed("2\n"), gostore("count", "--db", db, "Lu"))
	assert.Equal(t, printed("LATIN SMALL LETTER A;Ll;0;L;;;;;N;;;0041;;0041\n"), gostore("get", "--db", db, "Ll", "0061"))
}

func TestImport_CSV(t *testing.T) {
	text := "id,name\n1,\"Smith, \"\"Jo\"\"\"\n2,\"two\r\nlines\"\n\n"
	named := table(t, "people.CSV", text)
	unnamed := table(t, "people.txt", text)
	for _, arguments := range [][]string{{named}, {"--format", "csv", unnamed}} {
		db := filepath.Join(t.TempDir(), "s.db")
		assert.Equal(t, printed("imported 3 rows, skipped 1 empty line\n"), gostore(pairs(db, arguments...)...))
		assert.Equal(t, printed("Smith, \"Jo\"\n"), gostore("get", "--db", db, "g", "1"))
		assert.Equal(t, printed("two\r\nlines\n"), gostore("get", "--db", db, "g", "2"))
	}
	db := filepath.Join(t.TempDir(), "s.db")
	assert.Equal(t, printed("imported 4 rows, skipped 1 empty line\n"),
		gostore("import", "--db", db, "--format", "tsv", "--delimiter", ",", "--group", "g", "--key-column", "1", "--value-column", "1", named),
		"the format wins over the name")
}

func TestImport_StopsAtTheFirstBadLine(t *testing.T) {
	long := strings.Repeat("x", sizeLimits.Key+1)
	for name, test := range map[string]struct {
		text      string
		want      string
		committed string
	}{
		"too few columns": {numbered(2_345) + "\nlonely\n" + numbered(10),
			"line 2347: 1 column, needs at least 2; 2000 rows are committed, up to line 2000", "2000\n"},
		"at the first line": {"lonely\n" + numbered(3_000),
			"line 1: 1 column, needs at least 2; 0 rows are committed", "0\n"},
		"just behind a batch": {numbered(1_000) + "lonely",
			"line 1001: 1 column, needs at least 2; 1000 rows are committed, up to line 1000", "1000\n"},
		"a key that is too long": {numbered(1_001) + long + "\tvalue\n",
			"line 1002: the key has 65537 bytes, more than 65536: too large; 1000 rows are committed, up to line 1000", "1000\n"},
	} {
		t.Run(name, func(t *testing.T) {
			db := filepath.Join(t.TempDir(), "s.db")
			file := table(t, "rows.tsv", test.text)
			assert.Equal(t, outcome{failed, "", "gostore: " + file + ": " + test.want + "\n"}, gostore(pairs(db, file)...))
			assert.Equal(t, printed(test.committed), gostore("count", "--db", db, "g"))
		})
	}
}

func TestImport_LargeValues(t *testing.T) {
	// Three of them pass the limit of one commit, so the batches end early.
	value := strings.Repeat("v", sizeLimits.Value)
	var text strings.Builder
	for i := range 3 {
		fmt.Fprintf(&text, "key-%d\t%s\n", i, value)
	}
	db := filepath.Join(t.TempDir(), "s.db")
	got := gostoreReading(context.Background(), strings.NewReader(text.String()), pairs(db)...)
	require.Equal(t, printed("imported 3 rows\n"), got)
	stored := gostore("get", "--db", db, "g", "key-2").stdout
	assert.True(t, stored == value+"\n", "%d bytes", len(stored))

	got = gostoreReading(context.Background(), strings.NewReader("k\t"+value+"v"), pairs(db)...)
	assert.Equal(t, outcome{failed, "", "gostore: standard input: line 1: the value has 16777217 bytes, more than 16777216: too large; 0 rows are committed\n"}, got)
}

func TestImport_FilesThatCannotBeRead(t *testing.T) {
	folder := t.TempDir()
	db := filepath.Join(folder, "s.db")
	missing := filepath.Join(folder, "missing.tsv")
	assert.Equal(t, outcome{failed, "", "gostore: open " + missing + ": no such file or directory\n"}, gostore(pairs(db, missing)...))
	assert.Equal(t, outcome{failed, "", "gostore: " + folder + " is a folder; name a file\n"}, gostore(pairs(db, folder)...))
	assert.NoFileExists(t, db)
	assert.Equal(t, printed("imported 0 rows\n"), gostore(pairs(db, table(t, "empty.tsv", ""))...))
}

func TestImport_InterruptedWhileTheInputIsSilent(t *testing.T) {
	db := filepath.Join(t.TempDir(), "s.db")
	in, out := io.Pipe()
	ctx, interrupt := context.WithCancel(context.Background())
	ended := make(chan outcome)
	go func() { ended <- gostoreReading(ctx, in, pairs(db)...) }()
	_, err := io.WriteString(out, numbered(1_500))
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		return gostore("count", "--db", db, "g").stdout == "1000\n"
	}, 20*time.Second, 10*time.Millisecond)

	interrupt()
	assert.Equal(t, outcome{failed, "", "gostore: standard input: interrupted; 1000 rows are committed, up to line 1000\n"}, <-ended)
	assert.Equal(t, printed("1000\n"), gostore("count", "--db", db, "g"))
	require.NoError(t, out.Close()) // the reading goroutine ends with its input
}

func TestLoad_AFailedCommit(t *testing.T) {
	layout := rows.Layout{Delimiter: '\t', Group: "g", KeyColumn: 1, ValueColumn: 2}
	full := errors.New("disk full")
	for name, test := range map[string]struct {
		err  error
		want string
	}{
		"nothing written": {full, "lines 1001 to 2000: disk full"},
		"nobody knows":    {api.UnknownOutcomeError, "lines 1001 to 2000 may or may not be written, import them again: outcome unknown"},
	} {
		t.Run(name, func(t *testing.T) {
			commits := 0
			l := &load{
				reader: rows.NewReader(strings.NewReader(numbered(5_000)), layout),
				limits: sizeLimits,
				commit: func(*api.Batch) (uint64, error) {
					if commits++; commits == 2 {
						return 0, test.err
					}
					return 1, nil
				},
			}
			err := l.run(context.Background())
			assert.EqualError(t, err, test.want)
			assert.ErrorIs(t, err, test.err)
			assert.Equal(t, "1000 rows are committed, up to line 1000", l.committedSoFar())
		})
	}
}

func TestLoad_InterruptedBetweenBatches(t *testing.T) {
	ctx, interrupt := context.WithCancel(context.Background())
	l := &load{
		reader: rows.NewReader(strings.NewReader(numbered(5_000)), rows.Layout{Delimiter: '\t', KeyColumn: 1, ValueColumn: 2}),
		commit: func(*api.Batch) (uint64, error) { interrupt(); return 1, nil },
		limits: sizeLimits,
	}
	assert.ErrorIs(t, l.run(ctx), errInterrupted)
	assert.Equal(t, 1_000, l.committed)
}

func TestImport_TextsOfOtherSystems(t *testing.T) {
	columns := []string{"--group-column", "1", "--key-column", "2", "--value-column", "3"}
	export := exportOf(t, rows.Row{Group: "g", Key: "k", Value: "v"})
	wide := func(text string) string { return strings.ReplaceAll(text, "", "\x00")[1:] } // of ASCII, UTF-16LE
	for name, test := range map[string]struct {
		text  string
		flags []string
		want  outcome
	}{
		"CSV of CR": {"g,k,v\rg,l,w\rg,m,x\r", append(columns, "--format", "csv"),
			outcome{failed, "", `gostore: standard input: line 1: column 3 has a carriage return that no line feed follows: if lines end so, convert them first: tr '\r' '\n'; if it belongs to the field, quote the field, or give --keep-cr; 0 rows are committed` + "\n"}},
		"TSV with CR, kept":       {"g\tk\tv\rw\n", append(columns, "--keep-cr"), printed("imported 1 row\n")},
		"an export with a mark":   {rows.ByteOrderMark + export, nil, printed("imported 1 row\n")},
		"an export in UTF-16":     {wide(export), nil, outcome{failed, "", "gostore: standard input: line 1: the text is UTF-16LE without a byte order mark; convert it first: iconv -f UTF-16LE -t UTF-8; 0 rows are committed\n"}},
		"a table in UTF-16":       {wide("g\tk\tv\n"), columns, outcome{failed, "", "gostore: standard input: line 1: the text is UTF-16LE without a byte order mark; convert it first: iconv -f UTF-16LE -t UTF-8; 0 rows are committed\n"}},
		"an export has no fields": {export, []string{"--format", "jsonl", "--keep-cr"}, outcome{misused, "", "gostore: --keep-cr is of tables, not of --format jsonl; see 'gostore import --help'\n"}},
	} {
		t.Run(name, func(t *testing.T) {
			db := filepath.Join(t.TempDir(), "s.db")
			got := gostoreReading(context.Background(), strings.NewReader(test.text), append([]string{"import", "--db", db}, test.flags...)...)
			assert.Equal(t, test.want, got)
		})
	}
}
