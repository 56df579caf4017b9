//go:build planted_torn_frame

package planted

// TornFrame: of one frame of a WAL in some hundreds only the first sector is written.
const TornFrame = true
