package dump

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"unicode/utf16"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"forge.lthn.ai/core/go-store/cmd/gostore/internal/rows"
)

func twoRows(t *testing.T) string {
	t.Helper()
	var out bytes.Buffer
	w, err := NewWriter(&out, Header{})
	require.NoError(t, err)
	require.NoError(t, w.Write(rows.Row{Group: "g", Key: "k", Value: "v\r"}))
	require.NoError(t, w.Write(rows.Row{Group: "g", Key: "l", Value: "ä\xff"}))
	require.NoError(t, w.End(7))
	return out.String()
}

func readRows(in io.Reader) (n int, err error) {
	reader := NewReader(in)
	for {
		if _, err := reader.Next(); errors.Is(err, io.EOF) {
			return n, nil
		} else if err != nil {
			return n, err
		}
		n++
	}
}

// Editors put a byte order mark before a text, and other line ends into it: it
// is the same export.
func TestReader_TextsThatAnEditorHasSaved(t *testing.T) {
	text := twoRows(t)
	for _, saved := range []string{rows.ByteOrderMark + text, strings.ReplaceAll(text, "\n", "\r\n"), rows.ByteOrderMark + strings.ReplaceAll(text, "\n", "\r\n")} {
		for _, in := range []io.Reader{strings.NewReader(saved), iotest.OneByteReader(strings.NewReader(saved))} {
			n, err := readRows(in)
			require.NoError(t, err)
			assert.Equal(t, 2, n)
		}
		reader := NewReader(strings.NewReader(saved))
		first, err := reader.Next()
		require.NoError(t, err)
		assert.EqualValues(t, strings.Index(saved, `"l"`)-len(`{"group":"g","key":`), first.End, "the mark is of the input")
	}
}

func TestReader_NamesWideEncodings(t *testing.T) {
	for _, mark := range []string{"", rows.ByteOrderMark} {
		var little, big []byte
		for _, unit := range utf16.Encode([]rune(mark + twoRows(t))) {
			little = append(little, byte(unit), byte(unit>>8))
			big = append(big, byte(unit>>8), byte(unit))
		}
		for order, text := range map[string][]byte{"LE": little, "BE": big} {
			want := "line 1: the text is UTF-16; convert it first: iconv -f UTF-16 -t UTF-8"
			if mark == "" {
				want = "line 1: the text is UTF-16" + order + " without a byte order mark; convert it first: iconv -f UTF-16" + order + " -t UTF-8"
			}
			_, err := readRows(iotest.OneByteReader(bytes.NewReader(text)))
			assert.EqualError(t, err, want)
			assert.NotErrorIs(t, err, NotAnExportError)
		}
	}
}

func TestReader_LinesThatEndWithCR(t *testing.T) {
	text := twoRows(t)
	second := strings.Index(text, "\n") + 1
	for want, mixed := range map[string]string{
		"line 1: ": strings.ReplaceAll(text, "\n", "\r"),
		"line 2: ": text[:second] + strings.ReplaceAll(text[second:], "\n", "\r"),
	} {
		_, err := readRows(strings.NewReader(mixed))
		assert.EqualError(t, err, want+"the line ends with a carriage return alone; convert the line ends first: tr '\\r' '\\n'")
	}
	_, err := readRows(strings.NewReader("g\tk\tv\rg\tl\tw\r"))
	assert.EqualError(t, err, "line 1: not an export of gostore")
	_, err = readRows(strings.NewReader(rows.ByteOrderMark))
	assert.EqualError(t, err, "line 1: not an export of gostore: it is empty")
	_, err = readRows(iotest.TimeoutReader(iotest.OneByteReader(strings.NewReader(text))))
	assert.ErrorIs(t, err, iotest.ErrTimeout)
}
