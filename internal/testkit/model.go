package testkit

import (
	"fmt"

	"forge.lthn.ai/core/go-store/kv"
)

// Model is what one goroutine knows of the keys that it alone writes: for each
// key the values that it may have, oldest first. More than one only after
// writes of unknown outcome.
type Model struct {
	keys map[kv.Key][]Value
}

// Value is a key's value, or that there is none.
type Value struct {
	Text    string
	Present bool
}

// Absent is the value of a key that is not there.
var Absent = Value{}

// Present is the value of a key that is.
func Present(text string) Value { return Value{Text: text, Present: true} }

// NewModel knows of an empty store.
func NewModel() *Model { return &Model{keys: make(map[kv.Key][]Value)} }

// Wrote notes an acknowledged write.
func (m *Model) Wrote(p kv.Key, v Value) { m.keys[p] = []Value{v} }

// MayHaveWritten notes a write of unknown outcome.
func (m *Model) MayHaveWritten(p kv.Key, v Value) {
	if _, known := m.keys[p]; !known {
		m.keys[p] = []Value{Absent}
	}
	m.keys[p] = append(m.keys[p], v)
}

// Saw checks what a read found, and remembers it. What was written before can't
// come back; a later write whose caller has given up may still come.
func (m *Model) Saw(p kv.Key, v Value) error {
	possible := m.Possible(p)
	for i := len(possible) - 1; i >= 0; i-- {
		if possible[i] == v {
			m.keys[p] = possible[i:]
			return nil
		}
	}
	return fmt.Errorf("%q/%q holds %v, which it can't: it must be one of %v", p.Group, p.Key, v, possible)
}

// Places are the keys that were ever written.
func (m *Model) Places() []kv.Key {
	places := make([]kv.Key, 0, len(m.keys))
	for p := range m.keys {
		places = append(places, p)
	}
	return places
}

// Possible is what a key may hold.
func (m *Model) Possible(p kv.Key) []Value {
	if possible, known := m.keys[p]; known {
		return possible
	}
	return []Value{Absent}
}
