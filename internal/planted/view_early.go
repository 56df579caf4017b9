//go:build planted_view_early

package planted

// ViewEarly: a view is published before COMMIT, as if it showed what is to be committed.
const ViewEarly = true
