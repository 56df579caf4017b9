//go:build planted_log_ahead

package planted

// LogAhead: a reader of the log is shown a commit that no reader can see in the overlay yet.
const LogAhead = true
