//go:build !unix

package testkit

import "time"

// ProcessorTime is zero: it can't be told here.
func ProcessorTime() time.Duration { return 0 }
