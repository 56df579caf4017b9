//go:build !unix

package main

import (
	"context"
	"io"
)

// untilReaderGone would end a context when whoever read the output has gone.
// Windows tells that only to who writes.
func untilReaderGone(ctx context.Context, _ io.Writer) (until context.Context, stop func()) {
	return context.WithCancel(ctx)
}
