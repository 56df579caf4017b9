package rows

import (
	"bytes"
	"encoding/csv"
	"io"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// written is the layout of what Writer writes.
func written(format Format) Layout {
	layout := Layout{Format: format, Delimiter: '\t', GroupColumn: 1, KeyColumn: 2, ValueColumn: 3, ExpiresColumn: 4}
	if format == Quoted {
		layout.Delimiter = ','
	}
	return layout
}

func TestWriter_WhatItWritesIsReadBack(t *testing.T) {
	texts := []string{"", "a", `"`, `"q"`, "a,b", "ä→🙂", "\u2028", "\ufffd", " a ", "#", `\n`}
	for format, more := range map[Format][]string{Plain: nil, Quoted: {"\t", "\n", "a\nb", ByteOrderMark, ByteOrderMark + "a"}} {
		var want []Row
		var out bytes.Buffer
		writer := NewWriter(&out, format)
		for i, text := range append(texts, more...) {
			row := Row{Group: text, Key: text + "k", Value: "v" + text}
			if i%2 == 0 {
				row.Expires = time.UnixMilli(1_700_000_000_123 + int64(i))
			}
			require.NoError(t, writer.Write(row))
			want = append(want, row)
		}
		require.NoError(t, writer.Flush())
		got, err := readAll(out.String(), written(format))
		require.NoError(t, err)
		require.Len(t, got, len(want))
		for i := range got {
			got[i].Line = 0
			assert.Equal(t, want[i], got[i])
		}
		if format == Quoted {
			fields, err := csv.NewReader(&out).ReadAll()
			require.NoError(t, err, "the standard library reads it too")
			for i := range fields {
				assert.Equal(t, []string{want[i].Group, want[i].Key, want[i].Value}, fields[i][:3])
			}
		}
	}
}

func TestWriter_RefusesWhatItCannotCarry(t *testing.T) {
	both := map[string]string{
		"\xff":  "has bytes that are not UTF-8",
		"\x00":  "has a NUL byte",
		"a\r\n": "has a carriage return",
	}
	plain := map[string]string{
		"\t": "has a tab",
		"\n": "has a line end",
	}
	refuse := func(format Format, text, why string) {
		writer := NewWriter(io.Discard, format)
		assert.EqualError(t, writer.Write(Row{Group: text, Key: "k"}), `key "k" in group `+strconv.Quote(text)+": the group "+why)
		assert.EqualError(t, writer.Write(Row{Group: "g", Key: text}), `key `+strconv.Quote(text)+` in group "g": the key `+why)
		assert.EqualError(t, writer.Write(Row{Group: "g", Key: "k", Value: text}), `key "k" in group "g": the value `+why)
	}
	for text, why := range both {
		refuse(Plain, text, why)
		refuse(Quoted, text, why)
	}
	for text, why := range plain {
		refuse(Plain, text, why)
	}
	assert.ErrorContains(t, NewWriter(io.Discard, Plain).Write(Row{Group: ByteOrderMark}), "byte order mark")
	second := NewWriter(io.Discard, Plain)
	require.NoError(t, second.Write(Row{}))
	assert.NoError(t, second.Write(Row{Group: ByteOrderMark}), "only the start of a file is in danger")
}

func TestReader_ExpiresColumn(t *testing.T) {
	layout := written(Plain)
	for text, want := range map[string]time.Time{
		"": {}, "1700000000123": time.UnixMilli(1_700_000_000_123),
		"0": time.UnixMilli(0), "-62135596800000": time.UnixMilli(-62135596799999), // past, and not the zero time
	} {
		got, err := readAll("g\tk\tv\t"+text+"\n", layout)
		require.NoError(t, err)
		assert.Equal(t, want, got[0].Expires, text)
	}
	_, err := readAll("g\tk\tv\t1\ng\tk\tv\tsoon\n", layout)
	assert.EqualError(t, err, `line 2: column 4 is "soon", not when the row expires in milliseconds since 1970`)
	_, err = readAll("g\tk\tv\n", layout)
	assert.EqualError(t, err, "line 1: 3 columns, needs at least 4")
}
