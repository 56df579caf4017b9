package dump

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"forge.lthn.ai/core/go-store/cmd/gostore/internal/rows"
)

var began = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// export writes rows as an export.
func export(t testing.TB, all ...rows.Row) string {
	t.Helper()
	var out bytes.Buffer
	w, err := NewWriter(&out, Header{Began: began, Revision: 7})
	require.NoError(t, err)
	for _, row := range all {
		require.NoError(t, w.Write(row))
	}
	require.NoError(t, w.End(9))
	return out.String()
}

// read reads until the first error, which is nil for the end of the export.
func read(in io.Reader) (all []rows.Row, err error) {
	reader := NewReader(in)
	for {
		row, err := reader.Next()
		if errors.Is(err, io.EOF) {
			return all, nil
		}
		if err != nil {
			return all, err
		}
		row.Line, row.End = 0, 0
		all = append(all, row)
	}
}

var small = []rows.Row{
	{Group: "g", Key: "k", Value: "v", Expires: time.UnixMilli(1_772_366_400_000)},
	{Group: "g", Key: "\xff"},
}

// What others may read is written down here, byte for byte.
func TestWriter_Format(t *testing.T) {
	assert.Equal(t, `{"gostore":"export","version":1,"began":"2026-03-01T12:00:00Z","began_revision":7,"sum":"`+sumOf(0)+`"}
{"group":"g","key":"k","value":"v","expires_ms":1772366400000,"sum":"`+sumOf(1)+`"}
{"group":"g","key64":"/w==","value":"","sum":"`+sumOf(2)+`"}
{"end":true,"rows":2,"revision":9,"sum":"`+sumOf(3)+`"}
`, export(t, small...))

	var out bytes.Buffer
	group, prefix := "a", "\xfe"
	w, err := NewWriter(&out, Header{Began: began, Group: &group, Prefix: &prefix})
	require.NoError(t, err)
	require.NoError(t, w.End(0))
	assert.Contains(t, out.String(), `"began_revision":0,"only_group":"a","only_prefix64":"/g==","sum"`)
	_, err = read(&out)
	assert.NoError(t, err)
}

// sumOf is the sum of a line of the small export, from the CRC-32C of a program
// of another kind.
func sumOf(line int) string {
	return []string{"8d587d9e", "164a29db", "6265fdac", "42b0ed54"}[line]
}

func randomText(r *rand.Rand) string {
	pieces := []string{"", "a", "\x00", "\xff", "\r\n", "\n", `"`, `\`, "🙂", "\ufffd", "\u2028", "\u2029", "\u0085",
		"\x7f", "\x1b[31m", "\xed\xa0\x80", "\xc3", "ä", "<&>", `\u0000`, "\ufeff", "\t", ","}
	var text strings.Builder
	for range r.IntN(6) {
		if r.IntN(3) == 0 {
			for range r.IntN(40) {
				text.WriteByte(byte(r.Uint32()))
			}
			continue
		}
		text.WriteString(strings.Repeat(pieces[r.IntN(len(pieces))], 1+r.IntN(3)))
	}
	return text.String()
}

func TestRoundTrip_AnyBytes(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	var want []rows.Row
	for range 2_000 {
		row := rows.Row{Group: randomText(r), Key: randomText(r), Value: randomText(r)}
		if r.IntN(2) == 0 {
			row.Expires = time.UnixMilli(1 + r.Int64N(1<<62))
		}
		want = append(want, row)
	}
	text := export(t, want...)
	got, err := read(iotest.HalfReader(strings.NewReader(text)))
	require.NoError(t, err)
	require.Len(t, got, len(want))
	for i := range want {
		require.Equal(t, want[i], got[i])
	}
	for line := range strings.Lines(text) { // JSON by others' lights too, a line each by Unicode's
		require.True(t, json.Valid([]byte(line)), line)
		require.Equal(t, -1, strings.IndexFunc(line[:len(line)-1], func(r rune) bool {
			return r < ' ' || r == 0x7f || r == 0x85 || r == 0x2028 || r == 0x2029
		}), "%q", line)
	}
}

func TestAppendText_Base64WhereItIsShorter(t *testing.T) {
	nul := strings.Repeat("\x00", 30)
	assert.Equal(t, `"v64":"`+strings.Repeat("AAAA", 10)+`"`, string(AppendText(nil, "v", nul)))
	assert.Equal(t, `"v":"\u0000 text with one NUL"`, string(AppendText(nil, "v", "\x00 text with one NUL")))
}

// Whichever byte is changed, removed or added, and wherever the text is cut off,
// the reader says so, in the line where it is; rows before it are as they were.
func TestReader_AnyDamageIsFound(t *testing.T) {
	want := append(small, rows.Row{Group: "h", Key: "last", Value: "w"})
	text := export(t, want...)
	check := func(damaged string, at int, what string) {
		t.Helper()
		got, err := read(strings.NewReader(damaged))
		var bad *rows.LineError
		require.ErrorAs(t, err, &bad, "%s at byte %d: %q", what, at, damaged)
		line := 1 + strings.Count(text[:at], "\n")
		require.LessOrEqual(t, bad.Line, line+1, "%s at byte %d", what, at)
		require.GreaterOrEqual(t, bad.Line, line, "%s at byte %d", what, at)
		require.LessOrEqual(t, len(got), max(0, line-1))
		for i := range got {
			require.Equal(t, want[i], got[i], "%s at byte %d", what, at)
		}
	}
	last := len(text) - 1 // without the last line end the export is whole
	for at := range last {
		for _, bit := range []byte{0x01, 0x20, 0x80} {
			damaged := []byte(text)
			damaged[at] ^= bit
			check(string(damaged), at, "changed")
		}
		check(text[:at], at, "cut off")
		check(text[:at]+text[at+1:], at, "removed")
		check(text[:at]+"0"+text[at:], at, "added")
	}
	check(text+"\n", last, "an empty line added")
	check(text+text, last, "twice")
}

func TestReader_LinesOutOfPlace(t *testing.T) {
	lines := strings.SplitAfter(export(t, small[0], small[1], rows.Row{Group: "h"}), "\n")
	for name, test := range map[string]struct {
		lines []int
		bad   int
	}{
		"one is missing":     {[]int{0, 2, 3, 4}, 2},
		"one is there twice": {[]int{0, 1, 1, 2, 3, 4}, 3},
		"two have changed":   {[]int{0, 1, 3, 2, 4}, 3},
		"no header":          {[]int{1, 2, 3, 4}, 1},
		"no rows":            {[]int{0, 4}, 2},
		"no end":             {[]int{0, 1, 2, 3}, 5},
	} {
		t.Run(name, func(t *testing.T) {
			var text strings.Builder
			for _, line := range test.lines {
				text.WriteString(lines[line])
			}
			_, err := read(strings.NewReader(text.String()))
			var bad *rows.LineError
			require.ErrorAs(t, err, &bad)
			assert.Equal(t, test.bad, bad.Line, err.Error())
		})
	}
}

// signed gives lines their sums.
func signed(lines ...string) string {
	var text bytes.Buffer
	w := &Writer{out: bufio.NewWriter(&text)}
	for _, line := range lines {
		w.line = append(w.line[:0], strings.TrimSuffix(line, "}")...)
		_ = w.writeLine()
	}
	_ = w.out.Flush() // into memory
	return text.String()
}

func TestReader_WhatNoExportHas(t *testing.T) {
	const header = `{"gostore":"export","version":1}`
	for name, test := range map[string]struct{ text, want string }{
		"nothing":          {"", "line 1: not an export of gostore: it is empty"},
		"a table":          {"g\tk\tv\n", "line 1: not an export of gostore"},
		"other JSON":       {"{}\n", "line 1: not an export of gostore"},
		"a later version":  {signed(`{"gostore":"export","version":2}`), "line 1: the export is of version 2, this gostore reads version 1: use the one that wrote it, or a newer one"},
		"two keys":         {signed(header, `{"group":"g","key":"k","key64":"aw==","value":""}`), "line 2: a row has one of key and key64"},
		"no value":         {signed(header, `{"group":"g","key":"k"}`), "line 2: a row has one of value and value64"},
		"no base64":        {signed(header, `{"group":"g","key":"k","value64":"a"}`), "line 2: value64 is not base64: illegal base64 data at input byte 0"},
		"an unknown field": {signed(header, `{"group":"g","key":"k","value":"","colour":1}`), `line 2: json: unknown field "colour"`},
		"a wrong count":    {signed(header, `{"group":"g","key":"k","value":""}`, `{"end":true,"rows":2,"revision":1}`), "line 3: the export has 1 rows, its end says 2"},
		"no count":         {signed(header, `{"end":true,"revision":1}`), "line 2: the end of the export has no count or no revision"},
		"no object":        {signed(header, `{"group":"g",,"key":"k"}`), "line 2: invalid character ',' looking for beginning of object key string"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := read(strings.NewReader(test.text))
			assert.EqualError(t, err, test.want)
		})
	}
}

func TestReader_OtherLineEnds(t *testing.T) {
	text := export(t, rows.Row{Group: "g", Key: "k\r\n", Value: "\r"})
	for _, carried := range []string{strings.ReplaceAll(text, "\n", "\r\n"), strings.TrimSuffix(text, "\n")} {
		got, err := read(strings.NewReader(carried))
		require.NoError(t, err)
		assert.Equal(t, []rows.Row{{Group: "g", Key: "k\r\n", Value: "\r"}}, got)
	}
}

func TestReader_EndAndPositions(t *testing.T) {
	text := export(t, small...)
	reader := NewReader(strings.NewReader(text))
	for i := range small {
		row, err := reader.Next()
		require.NoError(t, err)
		assert.Equal(t, i+2, row.Line)
		assert.EqualValues(t, len(strings.Join(strings.SplitAfter(text, "\n")[:i+2], "")), row.End)
	}
	for range 2 {
		_, err := reader.Next()
		require.ErrorIs(t, err, io.EOF)
	}
	assert.Equal(t, End{Rows: 2, Revision: 9}, reader.End())
}

func TestReader_PassesTheInputsErrorOn(t *testing.T) {
	broken := errors.New("cable pulled")
	text := export(t, small...)
	for _, at := range []int{0, 10, len(text) / 2, len(text)} {
		_, err := read(io.MultiReader(strings.NewReader(text[:at]), iotest.ErrReader(broken)))
		assert.ErrorIs(t, err, broken, "after %d bytes", at)
	}
}

func TestReader_PastIsNotNever(t *testing.T) {
	const zero = "-62135596800000" // of the zero time
	got, err := read(strings.NewReader(signed(`{"gostore":"export","version":1}`,
		`{"group":"g","key":"k","value":"","expires_ms":`+zero+`}`, `{"end":true,"rows":1,"revision":1}`)))
	require.NoError(t, err)
	assert.False(t, got[0].Expires.IsZero())
	assert.True(t, got[0].Expires.Before(time.UnixMilli(2)))
}
