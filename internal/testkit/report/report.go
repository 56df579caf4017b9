// Package report is for tests that have a long form, which says what it has run. It is a
// package of its own because of its flag: what users' tests link must define none of a
// plain name.
package report

import (
	"flag"
	"fmt"
	"testing"
)

var report = flag.Bool("report", false, "print what was run, as it is done")

// Logf logs how much was run; the long forms print it too.
func Logf(t testing.TB, format string, arguments ...any) {
	t.Helper()
	t.Logf(format, arguments...)
	if *report {
		fmt.Printf("%s: %s\n", t.Name(), fmt.Sprintf(format, arguments...))
	}
}
