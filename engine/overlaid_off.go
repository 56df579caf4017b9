//go:build !overlaid && !overlaid_large

package engine

// defaultOverlay is Config.Overlay where that says nothing. The build tags overlaid and
// overlaid_large have every test of every package, and the processes that it starts, run with
// an overlay: see `make overlaid`.
const defaultOverlay = 32 << 20
