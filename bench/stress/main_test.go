package stress

import (
	"fmt"
	"os"
	"testing"

	"forge.lthn.ai/core/go-store/internal/testkit"
)

// TestMain is also the program that keeps a store to be killed: it is started
// again with "serve", a path, and "healthy" or "forgetful".
func TestMain(m *testing.M) {
	if len(os.Args) == 4 && os.Args[1] == "serve" {
		if err := serveForTest(os.Args[2], os.Args[3] == "forgetful"); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	testkit.Main(m)
}
