//go:build !race

package overload

const (
	most    = 1 << 20
	slower  = 1
	heavier = 1
)
