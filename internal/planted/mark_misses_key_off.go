//go:build !planted_mark_misses_key

package planted

// MarkMissesKey: the deletion of a group leaves the first of the keys that the overlay has of it.
const MarkMissesKey = false
