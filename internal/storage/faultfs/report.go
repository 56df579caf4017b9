package faultfs

import (
	"flag"
	"fmt"
	"testing"
)

var report = flag.Bool("report", false, "print what was run, as it is done")

// Report logs how much was run; the long forms print it too.
func Report(t testing.TB, format string, arguments ...any) {
	t.Helper()
	t.Logf(format, arguments...)
	if *report {
		fmt.Printf("%s: %s\n", t.Name(), fmt.Sprintf(format, arguments...))
	}
}
