package actorsystem_test

import (
	"runtime"
	"sync"
	"testing"

	"forge.lthn.ai/core/go-store/internal/actorsystem"
	"forge.lthn.ai/core/go-store/internal/testkit"

	"github.com/stretchr/testify/require"
)

// goroutine names the goroutine that it is called in.
func goroutine() string {
	buffer := make([]byte, 64)
	buffer = buffer[:runtime.Stack(buffer, false)]
	for i, c := range buffer {
		if c == '[' {
			return string(buffer[:i])
		}
	}
	return string(buffer)
}

func TestDispatcherKeepsItsGoroutine(t *testing.T) {
	d := actorsystem.NewDispatcher()
	defer d.Stop()
	require.Positive(t, d.Throughput())
	names := make(chan string)
	seen := make(map[string]bool)
	for range 50 {
		d.Schedule(func() { names <- goroutine() })
		seen[testkit.Await(t, "a scheduled function", names)] = true
	}
	require.Len(t, seen, 1)
	require.NotContains(t, seen, goroutine())
}

func TestDispatcherStopLetsWhatRunsEnd(t *testing.T) {
	d := actorsystem.NewDispatcher()
	running, goOn, ended := make(chan struct{}), make(chan struct{}), make(chan struct{})
	d.Schedule(func() {
		close(running)
		<-goOn
		close(ended)
	})
	testkit.Await(t, "the function", running)
	d.Stop()
	d.Stop() // harmless
	close(goOn)
	testkit.Await(t, "the function's end", ended)
}

// Whatever has ended the goroutine, there is another one.
func TestDispatcherSurvivesTheEndOfItsGoroutine(t *testing.T) {
	d := actorsystem.NewDispatcher()
	defer d.Stop()
	for range 3 {
		names := make(chan string, 1)
		d.Schedule(func() { names <- goroutine(); runtime.Goexit() })
		ended := testkit.Await(t, "a function that ends its goroutine", names)
		d.Schedule(func() { names <- goroutine() })
		require.NotEqual(t, ended, testkit.Await(t, "the next", names))
	}
}

// TestDispatcherRunsWhatComesAfterStop: messages that come too late must still
// find their way to the dead letters.
func TestDispatcherRunsWhatComesAfterStop(t *testing.T) {
	for range 100 {
		d := actorsystem.NewDispatcher()
		d.Stop()
		ran := make(chan struct{})
		d.Schedule(func() { close(ran) })
		testkit.Await(t, "a function that was scheduled after Stop", ran)
	}
}

// TestDispatcherRunsWhatComesWithStop schedules at the moment of Stop, as a
// mailbox does whose actor has just stopped: one run after the other.
func TestDispatcherRunsWhatComesWithStop(t *testing.T) {
	for range 200 {
		d := actorsystem.NewDispatcher()
		var both sync.WaitGroup
		ran := make(chan struct{})
		both.Go(func() { d.Schedule(func() { close(ran) }) })
		both.Go(d.Stop)
		both.Wait()
		testkit.Await(t, "a function that was scheduled with Stop", ran)
	}
}
