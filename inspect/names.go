package inspect

import (
	"encoding/base64"
	"fmt"
	"net/url"
	"strings"
	"time"
	"unicode/utf8"
)

// encodedMark begins a segment that holds a name in base64url. RFC 3986 leaves the comma
// to such uses; what escapes names for a path (url.PathEscape, encodeURIComponent, quote)
// escapes it, so that no name looks like one.
const encodedMark = ","

// segmentOf is a name as one segment of a path. What browsers, proxies or ServeMux would
// change on the way goes in base64.
func segmentOf(name string) string {
	rewritten := func(r rune) bool { return r < ' ' || r == 0x7F || r == '/' || r == '\\' || r == '%' }
	if name == "" || name == "." || name == ".." || !utf8.ValidString(name) || strings.ContainsFunc(name, rewritten) {
		return encodedMark + base64.RawURLEncoding.EncodeToString([]byte(name))
	}
	return url.PathEscape(name)
}

// groupSegmentOf is segmentOf for a path that ends with the group: one name is taken there.
func groupSegmentOf(name string) string {
	if name == watchSegment {
		return encodedMark + base64.RawURLEncoding.EncodeToString([]byte(name))
	}
	return segmentOf(name)
}

// nameOf is the inverse of segmentOf, for any spelling of a name.
func nameOf(segment string) (string, error) {
	encoded, found := strings.CutPrefix(segment, encodedMark)
	if !found {
		name, err := url.PathUnescape(segment)
		if err != nil {
			return "", badRequest("the path's segment %q is not percent-encoded as it should be", segment)
		}
		return name, nil
	}
	name, err := base64.RawURLEncoding.Strict().DecodeString(strings.TrimRight(encoded, "="))
	if err != nil {
		return "", badRequest("the path's segment %q begins with a comma, but no base64url (RFC 4648, 5) follows; a comma itself is %%2C", segment)
	}
	return string(name), nil
}

// parameters reads a query. Each parameter stands in it once at most, and those that
// the route does not have are refused: a filter that was misspelt is no filter.
type parameters struct {
	values url.Values
	err    error
}

func queryOf(raw string, known ...string) (*parameters, error) {
	values, err := url.ParseQuery(raw)
	if err != nil {
		return nil, badRequest("the query can't be read: %v", err)
	}
	for name, given := range values {
		if len(given) > 1 {
			return nil, badRequest("the parameter %s is given %d times", name, len(given))
		}
		found := false
		for _, k := range known {
			text, isText := strings.CutSuffix(k, "*")
			found = found || name == text || isText && name == text+"_base64"
		}
		if !found {
			return nil, badRequest("there is no parameter %q here; there are: %s", name, strings.ReplaceAll(strings.Join(known, ", "), "*", ""))
		}
	}
	return &parameters{values: values}, nil
}

func (p *parameters) fail(err error) {
	if p.err == nil {
		p.err = err
	}
}

func (p *parameters) has(name string) bool { return p.values.Has(name) || p.values.Has(name+"_base64") }

// text is a name or a part of one: bytes, or base64 in the parameter's other form.
func (p *parameters) text(name string) string {
	if !p.values.Has(name + "_base64") {
		return p.values.Get(name)
	}
	if p.values.Has(name) {
		p.fail(badRequest("give %s or %s_base64, not both", name, name))
	}
	// A plus that was not escaped has become a space.
	encoded := strings.NewReplacer(" ", "+", "-", "+", "_", "/").Replace(strings.TrimRight(p.values.Get(name+"_base64"), "="))
	decoded, err := base64.RawStdEncoding.Strict().DecodeString(encoded)
	if err != nil {
		p.fail(badRequest("%s_base64 is no base64", name))
	}
	return string(decoded)
}

// number is a whole number from low to high, or what it is by default.
func (p *parameters) number(name string, low, high, standard uint64) uint64 {
	if !p.values.Has(name) {
		return standard
	}
	n, err := parseDecimal(p.values.Get(name))
	if err != nil || n < low || n > high {
		p.fail(badRequest("%s is a whole number from %d to %d, not %q", name, low, high, p.values.Get(name)))
	}
	return n
}

func (p *parameters) limit() int { return int(p.number("limit", 1, maxLimit, defaultLimit)) }

func (p *parameters) maxValue(standard uint64) int {
	return int(p.number("max_value", 0, 1<<30, standard))
}

// flag is whether a parameter is given, unless it says that it is not meant.
func (p *parameters) flag(name string) bool {
	switch text := p.values.Get(name); text {
	case "0", "false":
		return false
	case "":
		return p.values.Has(name)
	case "1", "true":
		return true
	default:
		p.fail(badRequest("%s is true or false, not %q", name, text))
		return false
	}
}

// The pairs of JSON fields that stand for bytes: one of each is there.
type (
	groupJSON struct {
		Group       *string `json:"group,omitempty"`
		GroupBase64 []byte  `json:"group_base64,omitempty"`
	}
	keyJSON struct {
		Key       *string `json:"key,omitempty"`
		KeyBase64 []byte  `json:"key_base64,omitempty"`
	}
	nameJSON struct {
		Name       *string `json:"name,omitempty"`
		NameBase64 []byte  `json:"name_base64,omitempty"`
	}
	expiryJSON struct {
		ExpiresAt string `json:"expires_at,omitempty"`
		ExpiresMS int64  `json:"expires_ms,omitempty"`
	}
	// valueJSON is a value, or its beginning.
	valueJSON struct {
		Size        *int    `json:"size,omitempty"`
		Value       *string `json:"value,omitempty"`
		ValueBase64 []byte  `json:"value_base64,omitempty"`
		Truncated   bool    `json:"truncated,omitempty"`
	}
)

func bytesJSON(bytes string) (text *string, encoded []byte) {
	if utf8.ValidString(bytes) {
		return &bytes, nil
	}
	return nil, []byte(bytes)
}

func groupOf(group string) (j groupJSON) {
	j.Group, j.GroupBase64 = bytesJSON(group)
	return j
}

func keyOf(key string) (j keyJSON) {
	j.Key, j.KeyBase64 = bytesJSON(key)
	return j
}

func namedOf(name string) (j nameJSON) {
	j.Name, j.NameBase64 = bytesJSON(name)
	return j
}

// valueOf is at most so many bytes of a value. A text is cut between characters.
func valueOf(value string, most int) (j valueJSON) {
	size := len(value)
	j.Size = &size
	if j.Truncated = size > most; j.Truncated {
		cut := most
		for cut > 0 && most-cut < utf8.UTFMax && !utf8.RuneStart(value[cut]) {
			cut--
		}
		if utf8.ValidString(value[:cut]) {
			most = cut
		}
		value = strings.Clone(value[:most]) // so that the rest of it can go
	}
	j.Value, j.ValueBase64 = bytesJSON(value)
	return j
}

const milliseconds = "2006-01-02T15:04:05.000Z"

// timeOf is RFC 3339 in UTC, which knows no year beyond 9999.
func timeOf(t time.Time) string { return t.UTC().Format(milliseconds) }

func carried(t time.Time) bool { y := t.UTC().Year(); return y >= 0 && y <= 9999 }

func expiryOf(t time.Time) (j expiryJSON) {
	switch {
	case t.IsZero():
	case carried(t):
		j.ExpiresAt = timeOf(t)
	default:
		j.ExpiresMS = t.UnixMilli()
	}
	return j
}

// parseDecimal reads a number that is written in one way: no sign, no zero before it.
func parseDecimal(text string) (n uint64, err error) {
	if text == "" || len(text) > 20 || len(text) > 1 && text[0] == '0' {
		return 0, fmt.Errorf("%q is no decimal number", text)
	}
	for _, c := range []byte(text) {
		if c < '0' || c > '9' || n > (1<<64-1-uint64(c-'0'))/10 {
			return 0, fmt.Errorf("%q is no decimal number of 64 bits", text)
		}
		n = n*10 + uint64(c-'0')
	}
	return n, nil
}
