package main

import (
	"errors"
	"syscall"
)

// The system's errors for a pipe without a reader, or that is being closed.
const (
	errorBrokenPipe = syscall.Errno(109)
	errorNoData     = syscall.Errno(232)
)

// isBrokenPipe reports whether the reader of the output has gone.
func isBrokenPipe(err error) bool {
	return errors.Is(err, syscall.EPIPE) || errors.Is(err, errorBrokenPipe) || errors.Is(err, errorNoData)
}
