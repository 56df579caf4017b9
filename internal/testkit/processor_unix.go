//go:build unix

package testkit

import (
	"syscall"
	"time"
)

// ProcessorTime is what this process has taken of the processors' time, the system's work
// for it included; zero where that can't be told.
func ProcessorTime() time.Duration {
	var usage syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &usage) != nil {
		return 0
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
