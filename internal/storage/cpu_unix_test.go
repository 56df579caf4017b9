//go:build unix

package storage

import (
	"syscall"
	"testing"
)

func cpu(b *testing.B) func() {
	var a syscall.Rusage
	syscall.Getrusage(0, &a)
	return func() {
		var z syscall.Rusage
		syscall.Getrusage(0, &z)
		d := func(x, y syscall.Timeval) float64 { return float64(y.Nano() - x.Nano()) }
		b.ReportMetric((d(a.Utime, z.Utime)+d(a.Stime, z.Stime))/float64(b.N), "cpu-ns/op")
	}
}
