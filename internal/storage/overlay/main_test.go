package overlay

import (
	"testing"

	"go.uber.org/goleak"
)

// The models' lists are short, and are to have indexes all the same.
func TestMain(m *testing.M) {
	indexFrom = 6
	goleak.VerifyTestMain(m)
}
