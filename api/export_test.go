package api

// LowerRenderBounds has Render give up earlier, so that tests of its bounds are short.
func LowerRenderBounds() (restore func()) {
	made, steps := maxRenderMade, maxRenderSteps
	maxRenderMade, maxRenderSteps = made/8, steps/20
	return func() { maxRenderMade, maxRenderSteps = made, steps }
}
