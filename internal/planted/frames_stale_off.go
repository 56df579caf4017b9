//go:build !planted_frames_stale

package planted

// FramesStale: where pages lie in the WAL is kept when it begins anew.
const FramesStale = false
