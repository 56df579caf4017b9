//go:build race

package overload

// The race detector takes 8,128 goroutines at a time, slowly.
const (
	most    = 2000
	slower  = 100 // so that times are not judged
	heavier = 4
)
