//go:build !planted_log_ahead

package planted

// LogAhead: who reads the log is shown a commit that nobody can see in the overlay yet.
const LogAhead = false
