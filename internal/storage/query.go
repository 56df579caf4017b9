package storage

import (
	"math"

	"forge.lthn.ai/core/go-store/kv"
)

// Query says which rows a scan yields, and in which order: that of their groups
// and within them that of their keys, as bytes.
type Query struct {
	Groups   kv.Range // of these groups
	Keys     kv.Range // the rows with these keys: AllKeys for all
	After    *kv.Key  // only what comes behind this row in the scan's order, be it there or not
	Reverse  bool     // last first
	AnyOrder bool     // keys and values only, in whatever order is fastest; SQLite's is that of keys
	KeysOnly bool     // without values
	Limit    int      // at most so many rows; 0: all
}

// AllKeys is the range of every key.
var AllKeys = kv.PrefixRange("")

// GroupQuery asks for all rows of one group.
func GroupQuery(group string) Query {
	return Query{Groups: kv.GroupRange(group), Keys: AllKeys}
}

// Single is the group that the query is confined to, if it is.
func (q *Query) Single() (group string, ok bool) {
	return q.Groups.From, !q.Groups.Unbounded && q.Groups.To == q.Groups.From+"\x00"
}

// Wide: a range of keys in many groups is looked for in all of them.
func (q *Query) Wide() bool {
	_, single := q.Single()
	return !single && q.Keys != AllKeys
}

// Wanted is how many rows that are at most.
func (q *Query) Wanted() int {
	if q.Limit <= 0 {
		return math.MaxInt
	}
	return q.Limit
}

// ExpiredBytes bounds what Expired gathers at a time, beside its limit: all of
// it is in memory at once, and in one record of the log.
const ExpiredBytes = 4 << 20

// RowSize is how many bytes a row is.
func RowSize(row *kv.Row) int { return len(row.Group) + len(row.Key) + len(row.Value) }
