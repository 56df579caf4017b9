package dump

import (
	"bufio"
	"hash/crc32"
	"io"
	"strconv"
	"time"

	"forge.lthn.ai/core/go-store/cmd/gostore/internal/rows"
)

// Writer writes an export.
type Writer struct {
	out  *bufio.Writer
	sum  uint32
	rows int
	line []byte // reused
}

// NewWriter begins an export.
func NewWriter(out io.Writer, header Header) (*Writer, error) {
	w := &Writer{out: bufio.NewWriterSize(out, 64<<10)}
	w.line = append(w.line, `{"gostore":"export","version":`...)
	w.line = strconv.AppendInt(w.line, Version, 10)
	w.line = append(w.line, `,"began":"`...)
	w.line = header.Began.UTC().AppendFormat(w.line, time.RFC3339Nano)
	w.line = append(w.line, `","began_revision":`...)
	w.line = strconv.AppendUint(w.line, header.Revision, 10)
	if header.Group != nil {
		w.line = AppendText(append(w.line, ','), "only_group", *header.Group)
	}
	if header.Prefix != nil {
		w.line = AppendText(append(w.line, ','), "only_prefix", *header.Prefix)
	}
	return w, w.writeLine()
}

// Write writes one row.
func (w *Writer) Write(row rows.Row) error {
	w.line = AppendText(append(w.line[:0], '{'), "group", row.Group)
	w.line = AppendText(append(w.line, ','), "key", row.Key)
	w.line = AppendText(append(w.line, ','), "value", row.Value)
	if !row.Expires.IsZero() {
		w.line = append(w.line, `,"expires_ms":`...)
		w.line = strconv.AppendInt(w.line, row.Expires.UnixMilli(), 10)
	}
	w.rows++
	return w.writeLine()
}

// End ends an export whose rows are of the revision.
func (w *Writer) End(revision uint64) error {
	w.line = append(w.line[:0], `{"end":true,"rows":`...)
	w.line = strconv.AppendInt(w.line, int64(w.rows), 10)
	w.line = append(w.line, `,"revision":`...)
	w.line = strconv.AppendUint(w.line, revision, 10)
	if err := w.writeLine(); err != nil {
		return err
	}
	return w.out.Flush()
}

// writeLine writes the line, which lacks its sum and its closing brace.
func (w *Writer) writeLine() error {
	w.sum = crc32.Update(w.sum, castagnoli, w.line)
	w.line = appendSum(w.line, w.sum)
	w.line = append(w.line, '\n')
	_, err := w.out.Write(w.line)
	return err
}

func appendSum(line []byte, sum uint32) []byte {
	line = append(line, sumBegins...)
	for shift := 28; shift >= 0; shift -= 4 {
		line = append(line, hexDigits[sum>>shift&15])
	}
	return append(line, sumEnds...)
}
