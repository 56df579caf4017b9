package btree

// prefetch has the processor fetch some lines of 64 bytes into its cache, and does not
// wait for them. What lies there need not be readable.
//
//go:noescape
func prefetch(p *byte, lines int)
