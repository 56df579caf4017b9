//go:build planted_overlay_newest

package planted

// OverlayNewest: an overlay shows every reader the newest version of a key.
const OverlayNewest = true
