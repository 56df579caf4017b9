package kv

import "math"

// NoDeadline is the deadline of a row that never expires. It is the largest
// deadline there is, so that "deadline > now" says "live" for every row.
const NoDeadline int64 = math.MaxInt64

// Row is one stored key. A row past its deadline is dead: no read returns it,
// though it may still take space until a purge removes it.
type Row struct {
	Group, Key, Value string
	Deadline          int64  // Unix milliseconds; NoDeadline if the key never expires
	Revision          uint64 // of the request that last changed the key
}

// Live reports whether the row is visible at now (Unix milliseconds).
func (r Row) Live(now int64) bool { return r.Deadline > now }

// KeyValue is one key of a group with its value.
type KeyValue struct{ Key, Value string }

// Range is a contiguous range of group names in byte order: From is included,
// To is not. With Unbounded there is no upper end and To is ignored.
type Range struct {
	From, To  string
	Unbounded bool
}

// PrefixRange holds exactly the groups that begin with prefix, byte for byte.
// A prefix of 0xFF bytes only (the empty one too) has no successor: its range
// is unbounded above.
func PrefixRange(prefix string) Range {
	last := len(prefix) - 1
	for last >= 0 && prefix[last] == 0xFF { // bytes, not the runes of package strings
		last--
	}
	if last < 0 {
		return Range{From: prefix, Unbounded: true}
	}
	return Range{From: prefix, To: prefix[:last] + string([]byte{prefix[last] + 1})}
}

// GroupRange holds exactly one group: no string lies between a group's name
// and the same name with a zero byte behind it.
func GroupRange(group string) Range { return Range{From: group, To: group + "\x00"} }

// Contains reports whether group lies in the range.
func (r Range) Contains(group string) bool {
	return group >= r.From && (r.Unbounded || group < r.To)
}
