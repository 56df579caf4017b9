//go:build !overlay_none && !overlay_small

package engine

// defaultOverlay is Config.Overlay where that says nothing. The build tags overlay_none and
// overlay_small have every test of every package, and the processes that it starts, run
// without an overlay or with one that is folded all the time: see `make overlays`.
const defaultOverlay = 32 << 20
