//go:build overlay_none

package engine

// defaultOverlay is none: each commit writes to the table at once.
const defaultOverlay = 0
