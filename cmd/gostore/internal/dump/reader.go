package dump

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"

	"forge.lthn.ai/core/go-store/cmd/gostore/internal/rows"
)

// maxLine bounds what one line may take: more than the largest entry of a store
// with any limits worth having. Only a damaged export has longer ones.
const maxLine = 512 << 20

// Reader reads an export.
type Reader struct {
	in      *bufio.Reader
	line    []byte // the current line, without its end; reused
	number  int    // its number, from 1
	end     int64  // bytes read
	sum     uint32
	rows    int
	trailer *End
}

// NewReader reads an export from its beginning.
func NewReader(in io.Reader) *Reader { return &Reader{in: bufio.NewReaderSize(in, 64<<10)} }

// Next returns the next row: io.EOF when the export is complete, a
// *rows.LineError if it is damaged, cut off, or none, or the input's own error.
func (r *Reader) Next() (rows.Row, error) {
	if r.trailer != nil {
		return rows.Row{}, io.EOF
	}
	if r.number == 0 {
		if err := r.header(); err != nil {
			return rows.Row{}, err
		}
	}
	var line struct {
		text
		ExpiresMS *int64  `json:"expires_ms"`
		End       bool    `json:"end"`
		Rows      *int    `json:"rows"`
		Revision  *uint64 `json:"revision"`
	}
	if err := r.next(&line); err != nil {
		return rows.Row{}, err
	}
	if line.End {
		return rows.Row{}, r.finish(line.Rows, line.Revision)
	}
	row := rows.Row{Line: r.number, End: r.end}
	for _, part := range []struct {
		name        string
		text, coded *string
		into        *string
	}{
		{"group", line.Group, line.Group64, &row.Group},
		{"key", line.Key, line.Key64, &row.Key},
		{"value", line.Value, line.Value64, &row.Value},
	} {
		var err error
		if *part.into, err = decode(part.name, part.text, part.coded); err != nil {
			return rows.Row{}, r.bad("%v", err)
		}
	}
	if line.ExpiresMS != nil {
		row.Expires = rows.Moment(*line.ExpiresMS)
	}
	r.rows++
	return row, nil
}

// End is what stood behind the rows: known when Next has returned io.EOF.
func (r *Reader) End() End { return *r.trailer }

// text is the strings of a row.
type text struct {
	Group   *string `json:"group"`
	Group64 *string `json:"group64"`
	Key     *string `json:"key"`
	Key64   *string `json:"key64"`
	Value   *string `json:"value"`
	Value64 *string `json:"value64"`
}

func decode(name string, text, coded *string) (string, error) {
	switch {
	case (text == nil) == (coded == nil):
		return "", fmt.Errorf("a row has one of %s and %s64", name, name)
	case text != nil:
		return *text, nil
	}
	decoded, err := base64.StdEncoding.Strict().DecodeString(*coded)
	if err != nil {
		return "", fmt.Errorf("%s64 is not base64: %w", name, err)
	}
	return string(decoded), nil
}

// header reads the first line. What kind of text it is, and of which version,
// is said before it is held to the rest of the format.
func (r *Reader) header() error {
	if err := r.begin(); err != nil {
		return err
	}
	if err := r.readLine(); errors.Is(err, io.EOF) {
		r.number = 1
		return r.bad("%w: it is empty", NotAnExportError)
	} else if err != nil {
		return err
	}
	var header struct {
		Gostore string `json:"gostore"`
		Version int    `json:"version"`
	}
	if err := json.Unmarshal(r.line, &header); err != nil || header.Gostore != "export" {
		if bytes.HasPrefix(r.line, []byte(`{"gostore":"export"`)) {
			return r.damaged("")
		}
		return r.bad("%w", NotAnExportError)
	}
	if header.Version != Version {
		return r.bad("the export is of version %d, this gostore reads version %d: use the one that wrote it, or a newer one",
			header.Version, Version)
	}
	_, err := r.check()
	return err
}

// begin skips the byte order mark that an editor has put before the text: it
// takes no part in the sums. It names an encoding in which nothing can be read.
func (r *Reader) begin() error {
	start, err := rows.Start(r.in)
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if bytes.HasPrefix(start, []byte(rows.ByteOrderMark)) {
		r.end = int64(len(rows.ByteOrderMark))
		_, err := r.in.Discard(len(rows.ByteOrderMark))
		return err
	}
	if err := rows.CheckEncoding(start, `{":,}`); err != nil {
		r.number = 1
		return r.bad("%w", err)
	}
	return nil
}

// next reads a line behind the header.
func (r *Reader) next(into any) error {
	err := r.readLine()
	if errors.Is(err, io.EOF) {
		r.number++
		return r.bad("the export is cut off here: its end is missing")
	}
	if err != nil {
		return err
	}
	object, err := r.check()
	if err != nil {
		return err
	}
	decoder := json.NewDecoder(bytes.NewReader(object))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(into); err != nil {
		return r.bad("%v", err)
	}
	return nil
}

// check verifies the line's sum, and returns the line without it.
func (r *Reader) check() (object []byte, err error) {
	at := len(r.line) - sumLength
	if at < 0 {
		return nil, r.damaged("")
	}
	sum := crc32.Update(r.sum, castagnoli, r.line[:at])
	if !bytes.Equal(appendSum(nil, sum), r.line[at:]) {
		return nil, r.damaged(", or a line before this one is missing")
	}
	r.sum = sum
	r.line[at] = '}'
	return r.line[:at+1], nil
}

// damaged says what a line is whose sum is wrong. No line that was written holds
// a CR.
func (r *Reader) damaged(or string) error {
	if bytes.IndexByte(r.line, '\r') >= 0 {
		return r.bad(`the line ends with a carriage return alone; convert the line ends first: tr '\r' '\n'`)
	}
	return r.bad("the export is damaged or cut off here%s", or)
}

func (r *Reader) finish(count *int, revision *uint64) error {
	if count == nil || revision == nil {
		return r.bad("the end of the export has no count or no revision")
	}
	if *count != r.rows {
		return r.bad("the export has %d rows, its end says %d", r.rows, *count)
	}
	trailer := End{Rows: *count, Revision: *revision}
	err := r.readLine()
	if err == nil {
		return r.bad("the text goes on behind the end of the export")
	}
	if errors.Is(err, io.EOF) {
		r.trailer = &trailer
	}
	return err
}

// readLine reads a line. Its end may be CR LF: a text that was carried to
// another system is still the same, as no line holds a CR.
func (r *Reader) readLine() error {
	r.line = r.line[:0]
	for {
		chunk, err := r.in.ReadSlice('\n')
		r.line = append(r.line, chunk...)
		r.end += int64(len(chunk))
		if errors.Is(err, bufio.ErrBufferFull) {
			if len(r.line) > maxLine {
				r.number++
				return r.bad("longer than %d MiB", maxLine>>20)
			}
			continue
		}
		if err != nil && (!errors.Is(err, io.EOF) || len(r.line) == 0) {
			return err
		}
		r.number++
		r.line = bytes.TrimSuffix(bytes.TrimSuffix(r.line, []byte("\n")), []byte("\r"))
		return nil
	}
}

func (r *Reader) bad(format string, arguments ...any) error {
	return &rows.LineError{Line: r.number, Err: fmt.Errorf(format, arguments...)}
}
