//go:build !planted_fold_stale

package planted

// FoldStale: a fold leaves a row that the table has as it was.
const FoldStale = false
