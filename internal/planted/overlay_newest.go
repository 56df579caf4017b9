//go:build planted_overlay_newest

package planted

// OverlayNewest: an overlay shows whoever reads it the newest version of a key.
const OverlayNewest = true
