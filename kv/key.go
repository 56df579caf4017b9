package kv

import "strings"

// Key names a row: a group, and a key in it.
type Key struct{ Group, Key string }

// Compare is negative, zero or positive as k stands before o, is it, or stands behind it
// in the order of rows: by groups and within them by keys, as bytes.
func (k Key) Compare(o Key) int {
	if c := strings.Compare(k.Group, o.Group); c != 0 {
		return c
	}
	return strings.Compare(k.Key, o.Key)
}
