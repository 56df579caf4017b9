package testkit

import (
	"fmt"
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// Main runs a package's tests, with their files in memory where there is room, and fails if
// they leave a goroutine behind. It
// is goleak.VerifyTestMain with more patience: Proto.Actor counts dead letters
// in a goroutine that lives for a second, which is to be waited for and not to
// be ignored.
func Main(m *testing.M) {
	InMemory()
	code := m.Run()
	if code == 0 {
		var err error
		for limit := time.Now().Add(5 * time.Second); ; {
			if err = goleak.Find(); err == nil || time.Now().After(limit) {
				break
			}
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, "the tests leave goroutines behind:", err)
			code = 1
		}
	}
	os.Exit(code)
}
