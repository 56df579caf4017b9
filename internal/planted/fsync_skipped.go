//go:build planted_fsync_skipped

package planted

// FsyncSkipped: one commit in a thousand is acknowledged without having been synced.
const FsyncSkipped = true
