//go:build planted_page_named_by_frame

package planted

// PageNamedByFrame: a page that is kept is known by its frame, whatever the generation.
const PageNamedByFrame = true
