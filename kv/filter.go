package kv

import "strings"

// Match is a condition on a name, byte for byte. The zero value matches every
// name. Two that match the same names are equal.
type Match struct {
	kind MatchKind
	text string
}

// MatchKind says how a Match compares.
type MatchKind uint8

const (
	MatchAny MatchKind = iota
	MatchExactly
	MatchPrefix
	MatchKinds = 3 // how many there are
)

// Exactly matches one name.
func Exactly(name string) Match { return Match{MatchExactly, name} }

// Prefix matches every name that begins with text.
func Prefix(text string) Match {
	if text == "" {
		return Match{} // one way to say it
	}
	return Match{MatchPrefix, text}
}

// Matches reports whether the name fits.
func (m Match) Matches(name string) bool {
	switch m.kind {
	case MatchExactly:
		return name == m.text
	case MatchPrefix:
		return strings.HasPrefix(name, m.text)
	default:
		return true
	}
}

// Kind says how the match compares.
func (m Match) Kind() MatchKind { return m.kind }

// Text is the name of MatchExactly, or the prefix of MatchPrefix; empty for
// MatchAny.
func (m Match) Text() string { return m.text }

// Within is the condition on a name with outer before it: what m says of the
// rest, and outer of the beginning.
func (m Match) Within(outer string) Match {
	if m.kind == MatchExactly {
		return Exactly(outer + m.text)
	}
	return Prefix(outer + m.text)
}

// Range holds exactly the group names that fit.
func (m Match) Range() Range {
	if m.kind == MatchExactly {
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
