package api_test

import (
	"os"
	"testing"

	"go.uber.org/goleak"

	"forge.lthn.ai/core/go-store/internal/testkit"
)

// TestMain runs the tests, or is the other process that some of them need: see
// child_test.go. Nothing may be left running when the tests are over.
func TestMain(m *testing.M) {
	if task := os.Getenv(childTask); task != "" {
		os.Exit(runChild(task, os.Getenv(childPath)))
	}
	testkit.InMemory()
	goleak.VerifyTestMain(patient{m})
}

// patient gives goroutines that are on their way out the time that they need.
// Proto.Actor's dead-letter throttle lives for a second after the first dead
// letter, longer than goleak is willing to wait.
type patient struct{ m *testing.M }

func (p patient) Run() int {
	code := p.m.Run()
	for range 4 {
		if goleak.Find() == nil {
			break
		}
	}
	return code
}
