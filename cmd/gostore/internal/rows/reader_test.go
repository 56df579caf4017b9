package rows

import (
	"encoding/csv"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// tsv has the columns group, key and value.
var tsv = Layout{Delimiter: '\t', GroupColumn: 1, KeyColumn: 2, ValueColumn: 3}

func with(change func(*Layout)) Layout {
	layout := tsv
	change(&layout)
	return layout
}

// readAll reads until the first error, which is nil for the end of the input.
func readAll(text string, layout Layout) ([]Row, error) {
	reader := NewReader(strings.NewReader(text), layout)
	var all []Row
	for {
		row, err := reader.Next()
		if errors.Is(err, io.EOF) {
			return all, nil
		}
		if err != nil {
			return all, err
		}
		row.End = 0
		all = append(all, row)
	}
}

func TestReader_Rows(t *testing.T) {
	quoted := with(func(l *Layout) { l.Format, l.Delimiter = Quoted, ',' })
	oneGroup := Layout{Delimiter: '\t', Group: "all", KeyColumn: 2, ValueColumn: 1}
	rest := Layout{Delimiter: '\t', Group: "all", KeyColumn: 1}
	quotedRest := Layout{Format: Quoted, Delimiter: ',', Group: "all", KeyColumn: 1}
	long := strings.Repeat("long ", 100_000) // past bufio's buffer, several times

	for name, test := range map[string]struct {
		layout Layout
		text   string
		want   []Row
	}{
		"one row":                     {tsv, "g\tk\tv\n", []Row{{Group: "g", Key: "k", Value: "v", Line: 1}}},
		"no final line end":           {tsv, "g\tk\tv\ng\tl\tw", []Row{{Group: "g", Key: "k", Value: "v", Line: 1}, {Group: "g", Key: "l", Value: "w", Line: 2}}},
		"CRLF":                        {tsv, "g\tk\tv\r\ng\tl\tw\r\n", []Row{{Group: "g", Key: "k", Value: "v", Line: 1}, {Group: "g", Key: "l", Value: "w", Line: 2}}},
		"empty lines":                 {tsv, "\n\ng\tk\tv\n\r\n", []Row{{Group: "g", Key: "k", Value: "v", Line: 3}}},
		"empty input":                 {tsv, "", nil},
		"empty fields":                {tsv, "\t\t\n", []Row{{Line: 1}}},
		"more columns than needed":    {tsv, "g\tk\tv\tx\ty\n", []Row{{Group: "g", Key: "k", Value: "v", Line: 1}}},
		"bytes that are no UTF-8":     {tsv, "g\xff\tk\x00\tv\xc3\x28\n", []Row{{Group: "g\xff", Key: "k\x00", Value: "v\xc3\x28", Line: 1}}},
		"quotes mean nothing":         {tsv, "g\t\"k\tv\"\n", []Row{{Group: "g", Key: "\"k", Value: "v\"", Line: 1}}},
		"byte order mark":             {tsv, "\xef\xbb\xbfg\tk\tv\n", []Row{{Group: "g", Key: "k", Value: "v", Line: 1}}},
		"a long line":                 {tsv, "g\tk\t" + long + "\ng\tl\tw\n", []Row{{Group: "g", Key: "k", Value: long, Line: 1}, {Group: "g", Key: "l", Value: "w", Line: 2}}},
		"a delimiter of three bytes":  {with(func(l *Layout) { l.Delimiter = '→' }), "g→k→v\n", []Row{{Group: "g", Key: "k", Value: "v", Line: 1}}},
		"one group, columns reversed": {oneGroup, "v\tk\n", []Row{{Group: "all", Key: "k", Value: "v", Line: 1}}},
		"value is the rest":           {rest, "k\tv\tw\t\n", []Row{{Group: "all", Key: "k", Value: "v\tw\t", Line: 1}}},
		"an empty rest":               {rest, "k\t\n", []Row{{Group: "all", Key: "k", Line: 1}}},
		"quoted fields":               {quoted, "\"g\",\"k,\"\"1\"\"\",v\n", []Row{{Group: "g", Key: "k,\"1\"", Value: "v", Line: 1}}},
		"quoted line ends are kept":   {quoted, "g,k,\"v\r\n\nw\"\r\ng,l,w\n", []Row{{Group: "g", Key: "k", Value: "v\r\n\nw", Line: 1}, {Group: "g", Key: "l", Value: "w", Line: 4}}},
		"quoted and empty":            {quoted, "\"\",\"\",\"\"", []Row{{Line: 1}}},
		"unquoted before multi-line":  {quoted, "g,k,\"" + long + "\n" + long + "\"\n", []Row{{Group: "g", Key: "k", Value: long + "\n" + long, Line: 1}}},
		"the rest keeps its quotes":   {quotedRest, "\"k\",v,\"w\n\"\"\"\n", []Row{{Group: "all", Key: "k", Value: "v,\"w\n\"\"\"", Line: 1}}},
	} {
		t.Run(name, func(t *testing.T) {
			require.NoError(t, test.layout.Validate())
			got, err := readAll(test.text, test.layout)
			require.NoError(t, err)
			assert.Equal(t, test.want, got)
		})
	}
}

func TestReader_BadLines(t *testing.T) {
	quoted := with(func(l *Layout) { l.Format, l.Delimiter = Quoted, ',' })
	rest := Layout{Delimiter: '\t', Group: "all", KeyColumn: 2}

	for name, test := range map[string]struct {
		layout Layout
		text   string
		want   string
	}{
		"too few columns":         {tsv, "g\tk\tv\n\ng\tk\n", "line 3: 2 columns, needs at least 3"},
		"one column":              {tsv, "g k v\n", "line 1: 1 column, needs at least 3"},
		"no rest":                 {rest, "g\tk\n", "line 1: 2 columns, needs at least 3"},
		"quote inside":            {quoted, "g,k,v\ng,k\",v\n", "line 2: column 2 has a quote but does not begin with one; quote the field and double the quote, or use --format tsv, which knows no quotes"},
		"text behind quote":       {quoted, "g,\"k\"1,v\n", "line 1: column 2 goes on behind its closing quote; double every quote inside it"},
		"open quote":              {quoted, "g,\"\nk\",\"v\n\n\n", "line 2: column 3 opens a quote that is never closed"},
		"open quote at the end":   {quoted, "g,k,\"", "line 1: column 3 opens a quote that is never closed"},
		"UTF-16 little":           {tsv, "\xff\xfeg\x00\t\x00", "line 1: the text is UTF-16; convert it first: iconv -f UTF-16 -t UTF-8"},
		"UTF-16 big":              {tsv, "\xfe\xff\x00g\x00\t", "line 1: the text is UTF-16; convert it first: iconv -f UTF-16 -t UTF-8"},
		"a line without end":      {tsv, strings.Repeat("x", maxRecord+1), "line 1: longer than 64 MiB"},
		"a quote without end":     {quoted, "g,k,\"" + strings.Repeat(strings.Repeat("x", 1023)+"\n", maxRecord>>10), "line 1: column 3 opens a quote that is never closed"},
		"a blank line is not one": {tsv, " \n", "line 1: 1 column, needs at least 3"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := readAll(test.text, test.layout)
			var bad *LineError
			require.ErrorAs(t, err, &bad)
			assert.EqualError(t, err, test.want)
		})
	}
}

func TestReader_CountsBytesAndSkippedLines(t *testing.T) {
	text := "\xef\xbb\xbfg\tk\tv\r\n\ng\tl\tw"
	reader := NewReader(iotest.OneByteReader(strings.NewReader(text)), tsv)
	first, err := reader.Next()
	require.NoError(t, err)
	assert.EqualValues(t, len("\xef\xbb\xbfg\tk\tv\r\n"), first.End)
	second, err := reader.Next()
	require.NoError(t, err)
	assert.EqualValues(t, len(text), second.End)
	assert.Equal(t, 1, reader.Skipped())
}

func TestReader_PassesTheInputsErrorOn(t *testing.T) {
	broken := errors.New("cable pulled")
	for _, layout := range []Layout{tsv, {Format: Quoted, Delimiter: ',', KeyColumn: 1}} {
		reader := NewReader(io.MultiReader(strings.NewReader("\"g\tk"), iotest.ErrReader(broken)), layout)
		_, err := reader.Next()
		assert.ErrorIs(t, err, broken)
	}
	_, err := NewReader(iotest.ErrReader(broken), tsv).Next()
	assert.ErrorIs(t, err, broken)
}

func TestLayout_Validate(t *testing.T) {
	for _, layout := range []Layout{
		{Delimiter: '\t', KeyColumn: 0, ValueColumn: 1},
		{Delimiter: '\t', KeyColumn: 1, ValueColumn: -1},
		{Delimiter: '\t', KeyColumn: 1, GroupColumn: -1},
		{Delimiter: '\n', KeyColumn: 1},
		{Delimiter: '\r', KeyColumn: 1},
		{Delimiter: '\uFFFD', KeyColumn: 1},
		{Delimiter: '"', KeyColumn: 1, Format: Quoted},
	} {
		assert.Error(t, layout.Validate(), "%+v", layout)
	}
}

// FuzzReader compares with the standard library, where both promise the same.
func FuzzReader(f *testing.F) {
	f.Add("g,k,v\n\"g\",\"k\"\"\",\"v\n\"\n")
	f.Add("a,b\n\n,\n\"\"")
	f.Fuzz(func(t *testing.T, text string) {
		plain := NewReader(strings.NewReader(text), Layout{Delimiter: ',', Group: "g", KeyColumn: 1, ValueColumn: 1})
		for {
			row, err := plain.Next()
			if err != nil {
				break
			}
			line := strings.Split(strings.TrimPrefix(text, "\xef\xbb\xbf"), "\n")[row.Line-1]
			if !strings.HasPrefix(line, row.Key) || strings.Contains(row.Key, ",") {
				t.Fatalf("line %q gave key %q", line, row.Key)
			}
		}

		if strings.Contains(text, "\r") || strings.HasPrefix(text, "\xef\xbb\xbf") {
			return // the library changes CRLF and keeps the byte order mark
		}
		quoted := NewReader(strings.NewReader(text), Layout{Format: Quoted, Delimiter: ',', Group: "g", KeyColumn: 1, ValueColumn: 1})
		library := csv.NewReader(strings.NewReader(text))
		library.FieldsPerRecord = -1
		for {
			_, err := quoted.Next()
			want, libraryErr := library.Read()
			if (err == nil) != (libraryErr == nil) {
				var bad *LineError
				if errors.As(err, &bad) && strings.Contains(bad.Error(), "the text is UTF-") {
					return
				}
				t.Fatalf("%q: got error %v, the library %v", text, err, libraryErr)
			}
			if err != nil {
				return
			}
			got := make([]string, len(quoted.fields))
			for i, field := range quoted.fields {
				got[i] = string(field.text)
			}
			if !slices.Equal(got, want) {
				t.Fatalf("%q: got %q, the library %q", text, got, want)
			}
		}
	})
}
