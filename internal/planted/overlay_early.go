//go:build planted_overlay_early

package planted

// OverlayEarly: the overlay shows a commit before its COMMIT, which may fail yet.
const OverlayEarly = true
