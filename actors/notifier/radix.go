package notifier

import (
	"slices"
	"strings"
)

// radix is a set of texts with something for each, as a tree: what of them a name
// begins with is found along one path, however many others there are. It is never
// changed; a change makes a new one that shares all but that path. nil is empty.
type radix[V any] struct {
	label string // the part of the text that stands here; empty at the root only
	value V
	here  bool // a text ends here, and value is its
	below []*radix[V]
}

// child is the one whose label begins with a byte.
func (r *radix[V]) child(b byte) (at int, found bool) {
	return slices.BinarySearchFunc(r.below, b, func(c *radix[V], b byte) int { return int(c.label[0]) - int(b) })
}

// get is what a text has.
func (r *radix[V]) get(text string) (value V, found bool) {
	for r != nil {
		if text == "" {
			return r.value, r.here
		}
		at, any := r.child(text[0])
		if !any || !strings.HasPrefix(text, r.below[at].label) {
			break
		}
		r = r.below[at]
		text = text[len(r.label):]
	}
	return value, false
}

// eachPrefix calls yield with what every text has that the name begins with, until
// yield returns false. It reports whether it did not.
func (r *radix[V]) eachPrefix(name string, yield func(V) bool) bool {
	for r != nil {
		if r.here && !yield(r.value) {
			return false
		}
		if name == "" {
			break
		}
		at, any := r.child(name[0])
		if !any || !strings.HasPrefix(name, r.below[at].label) {
			break
		}
		r = r.below[at]
		name = name[len(r.label):]
	}
	return true
}

// each calls visit for every text.
func (r *radix[V]) each(visit func(V)) {
	if r == nil {
		return
	}
	if r.here {
		visit(r.value)
	}
	for _, c := range r.below {
		c.each(visit)
	}
}

// with is the tree in which change has been made of what a text has; it is taken out
// unless keep.
func (r *radix[V]) with(text string, change func(old V) (value V, keep bool)) *radix[V] {
	if r == nil {
		r = &radix[V]{}
	}
	next := r.changed(text, change)
	if !next.here && len(next.below) == 0 {
		return nil
	}
	return next
}

func (r *radix[V]) changed(text string, change func(V) (V, bool)) *radix[V] {
	next := *r
	if text == "" {
		if next.value, next.here = change(r.value); !next.here {
			var none V
			next.value = none
		}
		return &next
	}
	next.below = slices.Clone(r.below)
	at, found := r.child(text[0])
	if !found {
		if value, keep := change(next.none()); keep {
			next.below = slices.Insert(next.below, at, &radix[V]{label: strings.Clone(text), value: value, here: true})
		}
		return &next
	}
	c := r.below[at]
	common := commonPrefix(c.label, text)
	if common < len(c.label) { // it forks within the label
		fork := *c
		fork.label = c.label[common:]
		c = &radix[V]{label: c.label[:common], below: []*radix[V]{&fork}}
	}
	c = c.changed(text[common:], change)
	switch {
	case c.here || len(c.below) > 1:
		next.below[at] = c
	case len(c.below) == 1: // nothing forks here any more
		only := *c.below[0]
		only.label = c.label + only.label
		next.below[at] = &only
	default:
		next.below = slices.Delete(next.below, at, at+1)
	}
	return &next
}

func (*radix[V]) none() (v V) { return v }

func commonPrefix(a, b string) int {
	n := min(len(a), len(b))
	for i := range n {
		if a[i] != b[i] {
			return i
		}
	}
	return n
}
