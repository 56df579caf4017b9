//go:build planted_restart_unseen

package planted

// RestartUnseen: the WAL begins anew while a view is made, which does not look again.
const RestartUnseen = true
