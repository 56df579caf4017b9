package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"time"
	"unicode/utf8"

	"forge.lthn.ai/core/go-store/api"
)

// changePrinter prints events, each with one write of whole lines, so that what
// reads a pipe has each at once and none by half.
type changePrinter interface{ print(api.Event) error }

func newChangePrinter(to io.Writer, asJSON bool) changePrinter {
	if !asJSON {
		return textChanges{to}
	}
	return newJSONChanges(to)
}

// textChanges is for people: names as they are where that is plain, values
// always in Go's quotes, which hold any bytes on one line.
type textChanges struct{ to io.Writer }

const textTime = "2006-01-02 15:04:05.000"

func (p textChanges) print(e api.Event) error {
	when := "-" // the state says what there is, not since when
	if !e.Timestamp.IsZero() {
		when = textMoment(e.Timestamp)
	}
	line := fmt.Sprintf("%8d  %-23s  %-12s", e.Revision, when, e.Type)
	switch e.Type {
	case api.EventGap:
		line += fmt.Sprintf("  revisions %d to %d were missed", e.Gap.From, e.Gap.To)
	case api.EventSynced:
		line += "  that is the state; what follows are changes"
	case api.EventDeleteGroup:
		line += "  " + plainName(e.Group)
	default:
		line += "  " + plainName(e.Group) + " " + plainName(e.Key)
		if e.Type != api.EventDelete {
			line += " = " + strconv.Quote(e.Value)
		}
		if !e.ExpiresAt.IsZero() {
			line += " until " + textMoment(e.ExpiresAt)
		}
	}
	_, err := io.WriteString(p.to, line+"\n")
	return err
}

func textMoment(t time.Time) string {
	if !isCarried(t) {
		return inMilliseconds(t)
	}
	return t.Format(textTime)
}

// plainName quotes a name that is not a word of its own.
func plainName(name string) string {
	quoted := strconv.Quote(name)
	if name == "" || len(quoted) != len(name)+2 || bytes.ContainsRune([]byte(name), ' ') {
		return quoted
	}
	return name
}

// jsonChanges prints one object a line. encoding/json would turn bytes that are
// no UTF-8 into U+FFFD: a text that has any goes into a field of its own, in
// base64.
type jsonChanges struct {
	to      io.Writer
	buffer  *bytes.Buffer
	encoder *json.Encoder
}

func newJSONChanges(to io.Writer) jsonChanges {
	p := jsonChanges{to: to, buffer: new(bytes.Buffer)}
	p.encoder = json.NewEncoder(p.buffer)
	p.encoder.SetEscapeHTML(false)
	return p
}

// jsonChange is an event; what it does not have is left out.
type jsonChange struct {
	Revision    uint64     `json:"revision"`
	Type        string     `json:"type"`
	Time        *time.Time `json:"time,omitempty"`
	TimeMS      *int64     `json:"time_ms,omitempty"` // in its place if RFC 3339 can't carry it
	Group       *string    `json:"group,omitempty"`
	GroupBase64 []byte     `json:"group_base64,omitempty"`
	Key         *string    `json:"key,omitempty"`
	KeyBase64   []byte     `json:"key_base64,omitempty"`
	Value       *string    `json:"value,omitempty"`
	ValueBase64 []byte     `json:"value_base64,omitempty"`
	ExpiresAt   *time.Time `json:"expires_at,omitempty"`
	ExpiresMS   *int64     `json:"expires_ms,omitempty"` // likewise
	From        uint64     `json:"from,omitempty"`
	To          uint64     `json:"to,omitempty"`
}

func (p jsonChanges) print(e api.Event) error {
	c := jsonChange{Revision: e.Revision, Type: e.Type.String()}
	moment(e.Timestamp, &c.Time, &c.TimeMS)
	moment(e.ExpiresAt, &c.ExpiresAt, &c.ExpiresMS)
	switch e.Type {
	case api.EventGap:
		c.From, c.To = e.Gap.From, e.Gap.To
	case api.EventSynced:
	case api.EventDeleteGroup:
		text(e.Group, &c.Group, &c.GroupBase64)
	default:
		text(e.Group, &c.Group, &c.GroupBase64)
		text(e.Key, &c.Key, &c.KeyBase64)
		if e.Type != api.EventDelete {
			text(e.Value, &c.Value, &c.ValueBase64)
		}
	}
	p.buffer.Reset()
	if err := p.encoder.Encode(c); err != nil {
		return err
	}
	_, err := p.to.Write(p.buffer.Bytes())
	return err
}

// moment is a time as JSON has it: encoding/json would fail with a time that has no
// date of four digits, and the feed with it, for ever.
func moment(t time.Time, plain **time.Time, milliseconds **int64) {
	if t.IsZero() {
		return
	}
	if t = t.UTC(); isCarried(t) {
		*plain = &t
		return
	}
	ms := t.UnixMilli()
	*milliseconds = &ms
}

func text(s string, plain **string, encoded *[]byte) {
	if utf8.ValidString(s) {
		*plain = &s
	} else {
		*encoded = []byte(s)
	}
}
