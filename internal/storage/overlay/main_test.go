package overlay

import (
	"testing"

	"forge.lthn.ai/core/go-store/internal/testkit"

	"go.uber.org/goleak"
)

// The models' lists are short, and are to have indexes all the same.
func TestMain(m *testing.M) {
	testkit.SameDraws()
	indexFrom = 6
	goleak.VerifyTestMain(m)
}
