package rows

import (
	"encoding/binary"
	"errors"
	"strings"
	"testing"
	"testing/iotest"
	"unicode/utf16"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// encoded is a text in UTF-16 or UTF-32.
func encoded(text, encoding string) string {
	var order binary.AppendByteOrder = binary.LittleEndian
	if strings.HasSuffix(encoding, "BE") {
		order = binary.BigEndian
	}
	var out []byte
	if strings.HasPrefix(encoding, "UTF-32") {
		for _, r := range text {
			out = order.AppendUint32(out, uint32(r))
		}
		return string(out)
	}
	for _, unit := range utf16.Encode([]rune(text)) {
		out = order.AppendUint16(out, unit)
	}
	return string(out)
}

var encodings = []string{"UTF-16LE", "UTF-16BE", "UTF-32LE", "UTF-32BE"}

func TestReader_NamesWideEncodings(t *testing.T) {
	quoted := with(func(l *Layout) { l.Format, l.Delimiter = Quoted, ',' })
	oneColumn := Layout{Delimiter: '\t', Group: "g", KeyColumn: 1, ValueColumn: 1}
	for name, test := range map[string]struct {
		layout Layout
		text   string
	}{
		"one row":              {tsv, "g\tk\tv"},
		"rows":                 {tsv, "group\tkey\tvalue\r\ngroup\tkey 2\tvalue\r\n"},
		"empty lines first":    {tsv, "\n\ng\tk\tv\n"},
		"quotes":               {quoted, "\"g\",\"k\",\"v, w\"\n\"h\",\"k\",\"\"\n"},
		"one column":           {oneColumn, "alpha\nbeta\n"},
		"Greek":                {tsv, "ομάδα\tκλειδί\tτιμή\nομάδα\tκλειδί\tτιμή\n"},
		"Chinese":              {tsv, "组\t键\t值\n组\t键乙\t值\n组\t键丙\t值\n"},
		"one row, much of it":  {tsv, "g\tk\t" + strings.Repeat("value ", 10_000) + "\n"},
		"emoji":                {tsv, "g🙂\tk🙂\tv🙂\ng🙂\tk🙂\tv🙂\n"},
		"a delimiter not ours": {with(func(l *Layout) { l.Delimiter = '→' }), "group→key→value\n"},
	} {
		for _, encoding := range encodings {
			for _, mark := range []string{"", ByteOrderMark} {
				t.Run(name+" "+encoding+" "+mark, func(t *testing.T) {
					text := encoded(mark+test.text, encoding)
					reader := NewReader(iotest.OneByteReader(strings.NewReader(text)), test.layout)
					if name == "Greek" || name == "Chinese" || name == "emoji" {
						reader = NewReader(strings.NewReader(text), test.layout) // told by more than one line
					}
					_, err := reader.Next()
					var bad *LineError
					require.ErrorAs(t, err, &bad)
					if mark != "" {
						short := strings.TrimRight(encoding, "BEL")
						assert.EqualError(t, err, "line 1: the text is "+short+"; convert it first: iconv -f "+short+" -t UTF-8")
					} else {
						assert.EqualError(t, err, "line 1: the text is "+encoding+" without a byte order mark; convert it first: iconv -f "+encoding+" -t UTF-8")
					}
				})
			}
		}
	}
}

// Any bytes may be data: those that look a little like UTF-16 are taken too.
func TestReader_BytesThatAreNoWideEncoding(t *testing.T) {
	for _, text := range []string{
		"g\t\x00\t\x00\n",
		"gg\t\x00\t\x00\n",
		"\x00\t\x00\t\x00\n",
		"g\x00\tk\x00\tv\x00\n",
		"gg\x00\tk\x00\tv\x00\n",
		"g\x00\tkk\x00\tv\x00\n",
		"\xff\xfe\t\xfe\xff\t\xff\xfe\n",
		"\xfe\xff\tk\tv\n",
		"\xff\xfe\x00\x00\tk\tv\n",
		"\xff\tk\t\x00\x00\x00\x00\n",
		"g\tk\t" + strings.Repeat("\x00", 1000) + "\n",
		"g\tk\t" + strings.Repeat("v\x00", 1000) + "\n",
		strings.Repeat("name\x00\tkey\x00\tvalue\x00\nn\x00\tk 2\x00\tvalue\x00\n", 100),
		"组\t键\t值\n",
		"\xd7\xe9\t\xbc\xfc\t\xd6\xb5\n", // GBK
	} {
		all, err := readAll(text, tsv)
		require.NoError(t, err, "%q", text)
		assert.Len(t, all, strings.Count(text, "\n"), "%q", text)
		fields := strings.Split(strings.SplitN(text, "\n", 2)[0], "\t")
		assert.Equal(t, fields, []string{all[0].Group, all[0].Key, all[0].Value})
	}
}

const (
	carriageReturn = "a carriage return that no line feed follows: if lines end so, convert them first: tr '\\r' '\\n'; "
	quoteIt        = carriageReturn + "if it belongs to the field, quote the field, or give --keep-cr"
	keepIt         = carriageReturn + "if it belongs to the field, give --keep-cr"
)

// Lines that end with CR alone would be one row, and the rest of the table
// columns that no user asked for.
func TestReader_RefusesLinesThatEndWithCR(t *testing.T) {
	quoted := with(func(l *Layout) { l.Format, l.Delimiter = Quoted, ',' })
	for name, test := range map[string]struct {
		layout     Layout
		text, want string
		rows       int // that were read before
	}{
		"CSV":                      {quoted, "g,k,v\rg,l,w\rg,m,x\r", "line 1: column 3 has " + quoteIt, 0},
		"CSV, no end":              {quoted, "g,k,v\rg,l,w", "line 1: column 3 has " + quoteIt, 0},
		"CSV, one line":            {quoted, "g,k,v\r", "line 1: column 3 has " + quoteIt, 0},
		"CSV, mixed":               {quoted, "g,k,v\r\ng,l,w\rg,m,x\ng,n,y\n", "line 2: column 3 has " + quoteIt, 1},
		"CSV, mixed, behind those": {quoted, "g,k,v,x\rg,l,w\n", "line 1: column 4 has " + quoteIt, 0},
		"CSV, CR CR LF":            {quoted, "g,k,v\r\r\n", "line 1: column 3 has " + quoteIt, 0},
		"CSV, behind a quote":      {quoted, "g,k,\"v\"\rg,l,w\r", "line 1: column 3 has " + quoteIt, 0},
		"CSV, quoted, CR CR LF":    {quoted, "g,k,\"v\nw\"\r\r\n", "line 1: column 3 has " + quoteIt, 0},
		"TSV":                      {tsv, "g\tk\tv\rg\tl\tw\r", "line 1: column 3 has " + keepIt, 0},
		"TSV, mixed":               {tsv, "g\tk\tv\ng\tl\tw\rg\tm\tx\n", "line 2: column 3 has " + keepIt, 1},
		"TSV, the last":            {tsv, "g\tk\tv\ng\tl\tw\r", "line 2: column 3 has " + keepIt, 1},
		"TSV, CR CR LF":            {tsv, "g\tk\tv\r\r\n", "line 1: column 3 has " + keepIt, 0},
		"nothing but CR":           {tsv, "\r\r\r", "line 1: column 1 has " + keepIt, 0},
		"too few columns in each":  {tsv, "k\rl\r", "line 1: column 1 has " + keepIt, 0},
		"a table of 64 MiB":        {tsv, strings.Repeat("g\tk\tv\r", maxRecord/6+1), "line 1: longer than 64 MiB, and has " + keepIt, 0},
	} {
		t.Run(name, func(t *testing.T) {
			all, err := readAll(test.text, test.layout)
			assert.EqualError(t, err, test.want)
			assert.Len(t, all, test.rows)
		})
	}
}

func TestReader_KeepsCarriageReturns(t *testing.T) {
	quoted := with(func(l *Layout) { l.Format, l.Delimiter = Quoted, ',' })
	all, err := readAll("g,k,\"v\rw\r\n\r\"\r\n", quoted)
	require.NoError(t, err, "in quotes they are data")
	assert.Equal(t, "v\rw\r\n\r", all[0].Value)

	keep := with(func(l *Layout) { l.KeepCR = true })
	all, err = readAll("g\tk\tv\rw\r\r\ng\tl\tw\r", keep)
	require.NoError(t, err)
	assert.Equal(t, []Row{{Group: "g", Key: "k", Value: "v\rw\r", Line: 1}, {Group: "g", Key: "l", Value: "w\r", Line: 2}}, all)
	quoted.KeepCR = true
	all, err = readAll("g,k,v\rw\r\n", quoted)
	require.NoError(t, err)
	assert.Equal(t, "v\rw", all[0].Value)
	_, err = readAll("g,k,\"v\"\rw\n", quoted)
	assert.ErrorContains(t, err, "goes on behind its closing quote")
}

func TestReader_AnInputThatFailsWithinItsFirstLine(t *testing.T) {
	broken := errors.New("cable pulled")
	_, err := NewReader(iotest.ErrReader(broken), tsv).Next()
	assert.ErrorIs(t, err, broken)
	_, err = NewReader(iotest.TimeoutReader(iotest.OneByteReader(strings.NewReader("g\tk\tv\n"))), tsv).Next()
	assert.ErrorIs(t, err, iotest.ErrTimeout)
}
