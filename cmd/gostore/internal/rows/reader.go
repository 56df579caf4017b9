package rows

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"time"
	"unicode/utf8"
)

// maxRecord bounds what one record may take. It leaves room for the largest
// value that a store takes (16 MiB) even if each of its bytes is a doubled
// quote, and for columns that are not imported.
const maxRecord = 64 << 20

// Row is one record of the input.
type Row struct {
	Group, Key, Value string
	Expires           time.Time // zero: never
	Line              int       // where the record begins, from 1
	End               int64     // how many bytes of the input were read with it
}

// LineError says in which line the input is bad, and what is wrong there.
type LineError struct {
	Line int
	Err  error
}

func (e *LineError) Error() string { return fmt.Sprintf("line %d: %v", e.Line, e.Err) }
func (e *LineError) Unwrap() error { return e.Err }

// Reader reads rows. Lines end with LF or CRLF; the last one needs no end. A CR
// of its own is an error, unless it is quoted or the layout keeps it: a table
// whose lines end so would be one row. Empty lines are skipped and counted. A
// UTF-8 byte order mark at the start is skipped, other encodings are named.
type Reader struct {
	in        *bufio.Reader
	layout    Layout
	delimiter []byte

	record  []byte  // the current record; reused
	fields  []field // its fields; reused
	scratch []byte  // their unquoted texts; reused
	line    int     // where the current record begins
	lines   int     // lines read
	end     int64   // bytes read
	skipped int
}

// field is one field of a record.
type field struct {
	text  []byte
	start int // where its text, or its quote, begins in the record
}

// NewReader reads rows of a valid layout.
func NewReader(in io.Reader, layout Layout) *Reader {
	return &Reader{
		in:        bufio.NewReaderSize(in, 64<<10),
		layout:    layout,
		delimiter: utf8.AppendRune(nil, layout.Delimiter),
	}
}

// Skipped is how many empty lines were skipped.
func (r *Reader) Skipped() int { return r.skipped }

// Next returns the next row: io.EOF after the last one, a *LineError for a
// record that is not one, or the input's own error.
func (r *Reader) Next() (Row, error) {
	if r.lines == 0 {
		if err := r.begin(); err != nil {
			return Row{}, err
		}
	}
	for {
		r.record, r.line = r.record[:0], r.lines+1
		if err := r.appendLine(); err != nil {
			return Row{}, err
		}
		if content(r.record) > 0 {
			break
		}
		r.skipped++
	}
	split := r.splitPlain
	if r.layout.Format == Quoted {
		split = r.splitQuoted
	}
	if err := split(); err != nil {
		return Row{}, err
	}
	row, err := r.layout.row(r.record, r.fields)
	if err != nil {
		return Row{}, r.bad(r.line, err)
	}
	row.Line, row.End = r.line, r.end
	return row, nil
}

// begin skips a byte order mark and refuses text whose columns would make no
// sense.
func (r *Reader) begin() error {
	start, err := Start(r.in)
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if bytes.HasPrefix(start, []byte(ByteOrderMark)) {
		r.end = int64(len(ByteOrderMark))
		_, err := r.in.Discard(len(ByteOrderMark))
		return err
	}
	structure := "\r\n"
	if r.layout.Format == Quoted {
		structure += `"`
	}
	if r.layout.Delimiter < utf8.RuneSelf {
		structure += string(r.layout.Delimiter)
	}
	if err := CheckEncoding(start, structure); err != nil {
		return r.bad(1, err)
	}
	return nil
}

// appendLine appends one line, its end included, to the record.
func (r *Reader) appendLine() error {
	before := len(r.record)
	for {
		chunk, err := r.in.ReadSlice('\n')
		r.record = append(r.record, chunk...)
		r.end += int64(len(chunk))
		if len(r.record) > maxRecord {
			why := fmt.Sprintf("longer than %d MiB", maxRecord>>20)
			if !r.layout.KeepCR && bytes.IndexByte(r.record, '\r') >= 0 {
				why += ", and has " + r.layout.carriageReturn()
			}
			return r.bad(r.line, errors.New(why))
		}
		if errors.Is(err, bufio.ErrBufferFull) {
			continue
		}
		if errors.Is(err, io.EOF) && len(r.record) > before {
			err = nil // the last line has no end
		}
		if err == nil {
			r.lines++
		}
		return err
	}
}

// content is the length of a record without its line end.
func content(record []byte) int {
	n := len(record)
	if n > 0 && record[n-1] == '\n' {
		n--
		if n > 0 && record[n-1] == '\r' {
			n--
		}
	}
	return n
}

func (r *Reader) splitPlain() error {
	r.record, r.fields = r.record[:content(r.record)], r.fields[:0]
	for start := 0; ; {
		end := len(r.record)
		at := bytes.Index(r.record[start:], r.delimiter)
		if at >= 0 {
			end = start + at
		}
		if r.returns(r.record[start:end]) {
			return r.badField(start, "has "+r.layout.carriageReturn())
		}
		r.fields = append(r.fields, field{r.record[start:end], start})
		if at < 0 {
			return nil
		}
		start = end + len(r.delimiter)
	}
}

// returns reports whether text outside quotes has a CR that it may not have.
func (r *Reader) returns(text []byte) bool {
	return !r.layout.KeepCR && bytes.IndexByte(text, '\r') >= 0
}

// badField blames the field at start, in the line where it stands.
func (r *Reader) badField(start int, what string) error {
	line := r.line + bytes.Count(r.record[:start], []byte("\n"))
	column := 1
	for _, f := range r.fields {
		if f.start < start {
			column++
		}
	}
	return r.bad(line, fmt.Errorf("column %d %s", column, what))
}

func (r *Reader) bad(line int, err error) error { return &LineError{line, err} }
