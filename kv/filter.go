package kv

import "strings"

// Match is a condition on a name, byte for byte. The zero value matches every
// name.
type Match struct {
	kind matchKind
	text string
}

type matchKind uint8

const (
	anything matchKind = iota
	exactly
	prefix
)

// Exactly matches one name.
func Exactly(name string) Match { return Match{exactly, name} }

// Prefix matches every name that begins with text.
func Prefix(text string) Match {
	if text == "" {
		return Match{} // one way to say it
	}
	return Match{prefix, text}
}

// Matches reports whether the name fits.
func (m Match) Matches(name string) bool {
	switch m.kind {
	case exactly:
		return name == m.text
	case prefix:
		return strings.HasPrefix(name, m.text)
	default:
		return true
	}
}

// Any reports whether every name fits.
func (m Match) Any() bool { return m.kind == anything }

// Exact is the one name that fits, if it is one.
func (m Match) Exact() (name string, ok bool) { return m.text, m.kind == exactly }

// Common is the prefix that all names that fit have.
func (m Match) Common() string { return m.text }

// Within is the condition on a name with outer before it: what m says of the
// rest, and outer of the beginning.
func (m Match) Within(outer string) Match {
	if m.kind == exactly {
		return Exactly(outer + m.text)
	}
	return Prefix(outer + m.text)
}

// Range holds exactly the group names that fit.
func (m Match) Range() Range {
	if m.kind == exactly {
		return GroupRange(m.text)
	}
	return PrefixRange(m.text)
}

// Filter says which events are wanted. The zero value wants all.
type Filter struct{ Group, Key Match }

// Matches reports whether the event is wanted. The deletion of a group is an
// event of each of its keys, so it is wanted whatever the Key.
func (f Filter) Matches(e *Event) bool {
	return f.Group.Matches(e.Group) && (e.Type == EventDeleteGroup || f.Key.Matches(e.Key))
}
