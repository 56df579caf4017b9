package rows

import (
	"bytes"
	"errors"
	"io"
)

// splitQuoted splits a CSV record, appending lines while a quote is open.
func (r *Reader) splitQuoted() error {
	r.fields, r.scratch = r.fields[:0], r.scratch[:0]
	for at := 0; ; {
		next, err := r.field(at)
		if err != nil {
			return err
		}
		if next < 0 {
			r.record = r.record[:content(r.record)]
			return nil
		}
		at = next
	}
}

// field reads the field that begins at start. It returns where the next one
// begins, -1 behind the last.
func (r *Reader) field(start int) (int, error) {
	if start < len(r.record) && r.record[start] == '"' {
		return r.quotedField(start)
	}
	rest := r.record[start:content(r.record)]
	end := bytes.Index(rest, r.delimiter)
	next := start + end + len(r.delimiter)
	if end < 0 {
		end, next = len(rest), -1
	}
	if r.returns(rest[:end]) {
		return 0, r.badField(start, "has "+r.layout.carriageReturn())
	}
	if bytes.IndexByte(rest[:end], '"') >= 0 {
		return 0, r.badField(start, "has a quote but does not begin with one; quote the field and double the quote, or use --format tsv, which knows no quotes")
	}
	r.fields = append(r.fields, field{rest[:end], start})
	return next, nil
}

func (r *Reader) quotedField(start int) (int, error) {
	// The text of a field may share scratch with those before it: when scratch
	// grows they keep the old array.
	text := len(r.scratch)
	at := start + 1
	for {
		quote := bytes.IndexByte(r.record[at:], '"')
		if quote < 0 {
			r.scratch = append(r.scratch, r.record[at:]...)
			at = len(r.record)
			if err := r.continueQuoted(start); err != nil {
				return 0, err
			}
			continue
		}
		r.scratch = append(r.scratch, r.record[at:at+quote]...)
		at += quote + 1
		if at < len(r.record) && r.record[at] == '"' {
			r.scratch = append(r.scratch, '"')
			at++
			continue
		}
		break
	}
	r.fields = append(r.fields, field{r.scratch[text:], start})
	switch rest := r.record[at:content(r.record)]; {
	case len(rest) == 0:
		return -1, nil
	case bytes.HasPrefix(rest, r.delimiter):
		return at + len(r.delimiter), nil
	case rest[0] == '\r' && !r.layout.KeepCR:
		return 0, r.badField(start, "has "+r.layout.carriageReturn())
	default:
		return 0, r.badField(start, "goes on behind its closing quote; double every quote inside it")
	}
}

// continueQuoted appends the next line to a record whose field at start is
// still open.
func (r *Reader) continueQuoted(start int) error {
	err := r.appendLine()
	var tooLong *LineError
	if errors.Is(err, io.EOF) || errors.As(err, &tooLong) {
		return r.badField(start, "opens a quote that is never closed")
	}
	return err
}
