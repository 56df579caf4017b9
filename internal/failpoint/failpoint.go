// Package failpoint lets tests make a component fail at a named step.
//
// A nil Hook, the only one outside tests, costs one comparison.
package failpoint

// Hook is called with the name of each step; it may panic or block. It runs
// in the goroutine that takes the step.
type Hook func(step string)

// Hit calls the hook, if there is one.
func (h Hook) Hit(step string) {
	if h != nil {
		h(step)
	}
}
