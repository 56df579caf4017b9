//go:build planted_reply_before_commit

package planted

// ReplyBeforeCommit: callers are answered before COMMIT, which may fail yet.
const ReplyBeforeCommit = true
