package api

import (
	"iter"
	"strings"

	"forge.lthn.ai/core/go-store/kv"
)

// GroupsFrom yields what GroupsSeq does, but begins at a name: the first group is
// that one, if it has a key, or what comes after it. So names can be paged through,
// and parts of them passed over: it costs nothing to begin late. An error is yielded
// once, last.
func (s *Store) GroupsFrom(groupPrefix, from string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		r := kv.PrefixRange(groupPrefix)
		r.From = max(r.From, from)
		if !r.Unbounded && r.From >= r.To {
			r.From = r.To // nothing, but a closed store is still an error
		}
		for name, err := range s.inner().Groups(s.context(), r) {
			if !yield(name, wrap("GroupsFrom", err)) || err != nil {
				return
			}
		}
	}
}

// GroupsFrom is Store.GroupsFrom within the namespace; the names come without it.
func (s *ScopedStore) GroupsFrom(groupPrefix, from string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for name, err := range s.parent().GroupsFrom(s.within()+groupPrefix, s.within()+from) {
			if !yield(strings.TrimPrefix(name, s.within()), err) {
				return
			}
		}
	}
}
