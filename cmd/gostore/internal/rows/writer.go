package rows

import (
	"bufio"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Writer writes rows with the columns group, key, value and, in Unix
// milliseconds or empty, when the row expires. It refuses what another reader
// might take for something else, or change: in either format bytes that are no
// UTF-8, NUL and CR (readers turn CR LF, even in quotes, into LF); in Plain
// fields the delimiter and line ends too.
type Writer struct {
	out     *bufio.Writer
	format  Format
	started bool
	line    []byte // reused
}

// NewWriter writes CSV (Quoted), or tab-separated fields (Plain). Call Flush
// when done.
func NewWriter(out io.Writer, format Format) *Writer {
	return &Writer{out: bufio.NewWriterSize(out, 64<<10), format: format}
}

// RefusedError says why a row can't be carried.
type RefusedError struct {
	Group, Key string
	Part       string // which of group, key and value
	Why        string
}

func (e *RefusedError) Error() string {
	return fmt.Sprintf("key %q in group %q: the %s %s", e.Key, e.Group, e.Part, e.Why)
}

// Write writes one row. A row that can't be carried is not written: the error is
// a *RefusedError.
func (w *Writer) Write(row Row) error {
	w.line = w.line[:0]
	for _, part := range []struct{ name, text string }{{"group", row.Group}, {"key", row.Key}, {"value", row.Value}} {
		if why := w.field(part.text); why != "" {
			return &RefusedError{Group: row.Group, Key: row.Key, Part: part.name, Why: why}
		}
	}
	if !row.Expires.IsZero() {
		w.line = strconv.AppendInt(w.line, row.Expires.UnixMilli(), 10)
	}
	w.line = append(w.line, '\n')
	w.started = true
	_, err := w.out.Write(w.line)
	return err
}

// Flush writes what is still in memory.
func (w *Writer) Flush() error { return w.out.Flush() }

// field appends a field and the delimiter behind it, or says why it can't.
func (w *Writer) field(text string) (refused string) {
	first := !w.started && len(w.line) == 0
	switch {
	case !utf8.ValidString(text):
		return "has bytes that are not UTF-8"
	case strings.Contains(text, "\x00"):
		return "has a NUL byte"
	case strings.Contains(text, "\r"):
		return "has a carriage return"
	case w.format == Plain && strings.Contains(text, "\t"):
		return "has a tab"
	case w.format == Plain && strings.Contains(text, "\n"):
		return "has a line end"
	case w.format == Plain && first && strings.HasPrefix(text, ByteOrderMark):
		return "begins with a byte order mark, which readers drop at the start of a file"
	}
	if w.format == Plain {
		w.line = append(append(w.line, text...), '\t')
		return ""
	}
	if strings.ContainsAny(text, ",\"\n") || strings.HasPrefix(text, ByteOrderMark) {
		w.line = append(w.line, '"')
		w.line = append(w.line, strings.ReplaceAll(text, `"`, `""`)...)
		w.line = append(w.line, '"', ',')
		return ""
	}
	w.line = append(append(w.line, text...), ',')
	return ""
}
