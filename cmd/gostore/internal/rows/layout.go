// Package rows reads delimited text as rows of group, key and value, and writes
// such text.
//
// It keeps the bytes of every field as they are: encoding/csv does not (it
// turns CRLF inside a quoted field into LF), and it would read on without
// bound behind a quote that is never closed.
package rows

import (
	"errors"
	"fmt"
	"strconv"
	"time"
	"unicode/utf8"
)

// Format says how fields are told apart.
type Format int

const (
	// Plain splits each line at every delimiter. Nothing quotes or escapes.
	Plain Format = iota
	// Quoted is CSV as in RFC 4180: a field may stand in double quotes and
	// then hold delimiters, line ends and, doubled, quotes.
	Quoted
)

// Layout says what a record looks like. Columns count from 1.
type Layout struct {
	Format      Format
	Delimiter   rune
	GroupColumn int    // 0: every row belongs to Group
	Group       string // used if GroupColumn is 0
	KeyColumn   int
	ValueColumn int // 0: the value is the rest of the record after the key column, as it stands there
	// ExpiresColumn is when the row expires, in Unix milliseconds; empty: never.
	ExpiresColumn int // 0: no row does
	// KeepCR takes a CR that no LF follows as a part of its field.
	KeepCR bool
}

// Validate says what is wrong with a layout.
func (l Layout) Validate() error {
	switch {
	case l.GroupColumn < 0 || l.KeyColumn < 1 || l.ValueColumn < 0 || l.ExpiresColumn < 0:
		return errors.New("columns count from 1")
	case l.Delimiter == '\n' || l.Delimiter == '\r':
		return errors.New("the delimiter can't be a line end")
	case l.Format == Quoted && l.Delimiter == '"':
		return errors.New("the delimiter can't be the quote of CSV")
	case !utf8.ValidRune(l.Delimiter) || l.Delimiter == utf8.RuneError:
		return errors.New("the delimiter is not a character")
	}
	return nil
}

// carriageReturn says what to do about a CR that is not kept.
func (l Layout) carriageReturn() string {
	quote := ""
	if l.Format == Quoted {
		quote = " quote the field, or"
	}
	return `a carriage return that no line feed follows: if lines end so, convert them first: tr '\r' '\n'; ` +
		"if it belongs to the field," + quote + " give --keep-cr"
}

// columns is how many columns a record needs at least.
func (l Layout) columns() int {
	if l.ValueColumn == 0 {
		return max(l.GroupColumn, l.KeyColumn+1, l.ExpiresColumn)
	}
	return max(l.GroupColumn, l.KeyColumn, l.ValueColumn, l.ExpiresColumn)
}

// row picks a row from the fields of a record.
func (l Layout) row(record []byte, fields []field) (Row, error) {
	if have, need := len(fields), l.columns(); have < need {
		return Row{}, fmt.Errorf("%s, needs at least %d", plural(have, "column"), need)
	}
	row := Row{Group: l.Group, Key: string(fields[l.KeyColumn-1].text)}
	if l.GroupColumn > 0 {
		row.Group = string(fields[l.GroupColumn-1].text)
	}
	if l.ValueColumn > 0 {
		row.Value = string(fields[l.ValueColumn-1].text)
	} else {
		row.Value = string(record[fields[l.KeyColumn].start:])
	}
	if l.ExpiresColumn > 0 {
		if text := string(fields[l.ExpiresColumn-1].text); text != "" {
			milliseconds, err := strconv.ParseInt(text, 10, 64)
			if err != nil {
				return Row{}, fmt.Errorf("column %d is %q, not when the row expires in milliseconds since 1970", l.ExpiresColumn, text)
			}
			row.Expires = Moment(milliseconds)
		}
	}
	return row, nil
}

// Moment is Unix milliseconds as a time that is never the zero one, which stands
// for never: the one millisecond that would be it becomes the next, as past.
func Moment(milliseconds int64) time.Time {
	moment := time.UnixMilli(milliseconds)
	if moment.IsZero() {
		return moment.Add(time.Millisecond)
	}
	return moment
}

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
