package storetest_test

import (
	"fmt"
	"runtime"
	"slices"
	"sync"
	"testing"

	"forge.lthn.ai/core/go-store/internal/testkit"
)

func TestMain(m *testing.M) { testkit.Main(m) }

// inner is a test within a test, whose failure is what is expected.
type inner struct {
	testing.TB
	mu struct {
		sync.Mutex
		failures []string
		cleanups []func()
	}
}

// failuresOf runs a test and says how it failed.
func failuresOf(t *testing.T, test func(t testing.TB)) []string {
	t.Helper()
	i := &inner{TB: t}
	i.apart(func() { test(i) })
	for {
		i.mu.Lock()
		n := len(i.mu.cleanups)
		if n == 0 {
			defer i.mu.Unlock()
			return i.mu.failures
		}
		cleanup := i.mu.cleanups[n-1]
		i.mu.cleanups = i.mu.cleanups[:n-1]
		i.mu.Unlock()
		i.apart(cleanup)
	}
}

// apart runs f in a goroutine that Fatalf may end.
func (i *inner) apart(f func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	<-done
}

func (i *inner) Helper() {}

func (i *inner) Errorf(format string, arguments ...any) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.mu.failures = append(i.mu.failures, fmt.Sprintf(format, arguments...))
}

func (i *inner) Fatalf(format string, arguments ...any) {
	i.Errorf(format, arguments...)
	runtime.Goexit()
}

func (i *inner) Cleanup(f func()) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.mu.cleanups = append(i.mu.cleanups, f)
}

func (i *inner) Failed() bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	return slices.ContainsFunc(i.mu.failures, func(string) bool { return true })
}
