//go:build planted_anchor_early

package planted

// AnchorEarly: an anchor ends while a view that relies on it is read.
const AnchorEarly = true
