package planted

// How often what is planted goes wrong.
const (
	FsyncSkippedRate = 1000 // commits
	TornFrameRate    = 200  // frames
)
