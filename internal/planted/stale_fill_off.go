//go:build !planted_stale_fill

package planted

// StaleFill: a row that was read before a commit comes into the cache after it.
const StaleFill = false
