//go:build !unix

package main

import (
	"context"
	"io"
)

// untilReaderGone would end a context when the reader of the output has gone.
// Windows tells that only when something is written.
func untilReaderGone(ctx context.Context, _ io.Writer) (until context.Context, stop func()) {
	return context.WithCancel(ctx)
}
