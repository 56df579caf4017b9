//go:build planted_trim_past_fold

package planted

// TrimPastFold: the log is cut to its bounds, whatever the table lacks of it.
const TrimPastFold = true
