//go:build overlay_small && !overlay_none

package engine

// defaultOverlay is so little that every store folds all the time.
const defaultOverlay = minOverlay
