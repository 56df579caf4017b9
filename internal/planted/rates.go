package planted

// How often what is planted goes wrong.
const (
	FsyncSkippedRate = 1000 // commits
	TornFrameRate    = 100  // writes of frames
)
