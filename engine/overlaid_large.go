//go:build overlaid_large && !overlaid

package engine

// defaultOverlay is so much that nothing is folded but at rest, where it is asked for, and in
// Close.
const defaultOverlay = 256 << 20
