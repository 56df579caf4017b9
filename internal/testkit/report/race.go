//go:build race

package report

// Raced says whether the race detector looks on.
const Raced = true
