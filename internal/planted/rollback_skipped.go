//go:build planted_rollback_skipped

package planted

// RollbackSkipped: what a refused request has written is not rolled back to its savepoint.
const RollbackSkipped = true
