package storetest

import (
	"bytes"
	"fmt"
	"runtime/pprof"
	"strings"
	"time"
)

// Goroutines inherit the labels of those that start them, so that a store's are known
// among those of other stores and of the tests beside it.
const labelKey = "go-store test"

var leavePatience = 5 * time.Second // a variable for this package's tests

// leftBehind waits for the goroutines of a store that was closed to end, and shows those
// that don't.
func leftBehind(label string) (stacks string) {
	for pause := time.Millisecond; ; pause *= 2 {
		if stacks = labelled(label); stacks == "" || pause > leavePatience/2 {
			return stacks
		}
		time.Sleep(pause) // no goroutine tells of its end
	}
}

// ours are the packages by which a goroutine is the store's: a goroutine that a callback of the
// user's has started has the label too.
var ours = []string{"forge.lthn.ai/core/go-store/", "github.com/asynkron/protoactor-go/", "modernc.org/", "zombiezen.com/"}

// labelled shows the store's goroutines that have a label.
func labelled(label string) string {
	var profile bytes.Buffer
	if err := pprof.Lookup("goroutine").WriteTo(&profile, 1); err != nil {
		return ""
	}
	var found strings.Builder
	for stack := range strings.SplitSeq(profile.String(), "\n\n") {
		if !strings.Contains(stack, fmt.Sprintf("%q:%q", labelKey, label)) {
			continue
		}
		// Proto.Actor counts dead letters in a goroutine that lives for a second.
		if strings.Contains(stack, "actor.NewThrottle") || !isOurs(stack) {
			continue
		}
		found.WriteString(stack + "\n\n")
	}
	return found.String()
}

func isOurs(stack string) bool {
	for _, path := range ours {
		if strings.Contains(stack, path) {
			return true
		}
	}
	return false
}
