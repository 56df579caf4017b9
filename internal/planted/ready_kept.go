//go:build planted_ready_kept

package planted

// ReadyKept: a row that is changed leaves the cache, but not its table of rows that are read most.
const ReadyKept = true
