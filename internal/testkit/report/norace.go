//go:build !race

package report

// Raced says whether the race detector looks on, and Slower how many times as long as
// without it a test may take.
const (
	Raced  = false
	Slower = 1
)
