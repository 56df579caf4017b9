package testkit

import (
	"runtime"
	"testing"
	"time"

	"forge.lthn.ai/core/go-store/internal/testkit/report"
)

// Patience is how long a test waits for what must happen: far longer than it
// takes on a loaded machine, far shorter than for ever.
const Patience = 30 * time.Second * report.Slower

// Within runs f in a goroutine and fails the test, showing what every
// goroutine is doing, if f has not returned after Patience. f must not call
// FailNow. It is to be called from the test's goroutine.
func Within(t testing.TB, what string, f func()) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	Await(t, what, done)
}

// Await blocks until the channel is closed or sent to, as Within.
func Await[T any](t testing.TB, what string, signal <-chan T) T {
	t.Helper()
	limit := time.NewTimer(Patience)
	defer limit.Stop()
	select {
	case v := <-signal:
		return v
	case <-limit.C:
		t.Fatalf("%s hangs\n\n%s", what, Stacks())
		panic("unreachable")
	}
}

// Stacks is what every goroutine is doing.
func Stacks() string {
	buffer := make([]byte, 1<<20)
	return string(buffer[:runtime.Stack(buffer, true)])
}

// Until waits for what other goroutines bring about and give no signal of.
func Until(t testing.TB, what string, condition func() bool) {
	t.Helper()
	limit := time.Now().Add(Patience)
	for !condition() {
		if time.Now().After(limit) {
			t.Fatalf("%s does not come about\n\n%s", what, Stacks())
		}
		time.Sleep(20 * time.Microsecond) // leaves the processors to what is waited for
	}
}
