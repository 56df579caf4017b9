package actorsystem

import (
	"testing"
	"unsafe"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/require"
)

// TestLayout: it is found in the version of the library that is in use, and one that is
// wrong anywhere is noticed before anything goes by it.
func TestLayout(t *testing.T) {
	require.True(t, findLayout().valid, "the library or Go lays things out in another way: answers cost a goroutine each")
	require.True(t, look().agrees())
	for name, spoil := range map[string]func(l *layout){
		"mailbox's kind":     func(l *layout) { l.kind = l.harmless },
		"unlimited":          func(l *layout) { l.unlimited[0] = l.harmless },
		"unlimited too":      func(l *layout) { l.unlimited[1] = nil },
		"both":               func(l *layout) { l.unlimited = [2]unsafe.Pointer{} },
		"dispatcher's kind":  func(l *layout) { l.harmless = l.kind },
		"dispatcher's place": func(l *layout) { l.handlers[0] = l.user },
		"invoker's place":    func(l *layout) { l.handlers[1] = l.user },
		"user's place":       func(l *layout) { l.user = l.handlers[0] },
		"middleware":         func(l *layout) { l.middlewares = l.user },
		"not valid":          func(l *layout) { l.valid = false },
	} {
		l := look()
		spoil(l)
		require.False(t, l.agrees(), name)
	}
	require.True(t, isPair(actor.Unbounded()()))
}
