//go:build planted_anchor_early

package planted

// AnchorEarly: an anchor ends while somebody looks at a view that relies on it.
const AnchorEarly = true
