//go:build !planted_anchor_ignored

package planted

// AnchorIgnored: checkpoints don't look at anchors, which hold no transaction.
const AnchorIgnored = false
