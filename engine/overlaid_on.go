//go:build overlaid

package engine

// defaultOverlay is so little that every store folds all the time.
const defaultOverlay = minOverlay
