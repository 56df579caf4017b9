//go:build overlaid || overlaid_large

package api_test

// overlaid: stores have an overlay unless they say otherwise. See engine's defaultOverlay.
const overlaid = true
