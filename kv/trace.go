package kv

import (
	"context"
	"sync"
	"time"
)

// Tracer is told of each request as it begins, in the goroutine of its caller, and of its
// end in the same one: never by an actor of the store's, so that a slow one delays its own
// caller alone. It is used by any number of goroutines.
type Tracer interface {
	// Begin is called before anything is done. The request goes on with the context that
	// it returns, which has to be ctx or one made of it; end, if it is not nil, is called
	// once. A panic in either goes through to the caller; one in end leaves what was
	// written as it is.
	Begin(ctx context.Context, request TracedRequest) (_ context.Context, end func(TracedResult))
}

// TracedRequest is what a request is about. It has neither keys nor values.
type TracedRequest struct {
	Kind      string // as RequestMetrics.Kind
	Group     string // with its namespace; "" where there is not one of them
	Namespace string // of the handle that a write came through; "" for most
}

// TracedResult is what came of a request.
type TracedResult struct {
	Err    error
	Result string       // as RequestMetrics.Results
	Batch  *TracedBatch // that a write was committed with, or tried to be; nil for reads, and what was not tried
}

// TracedBatch is a group commit. All requests that were in it have the same one.
type TracedBatch struct {
	Number     uint64 // counted from when the store was opened
	Requests   int
	Began      time.Time // when the writer began with it
	Committing time.Time // when COMMIT was called; the zero time if it was not
	Ended      time.Time // when COMMIT had returned, or what was done was given up
	Revision   uint64    // the last one that it has committed; 0: nothing was changed

	once   sync.Once
	shared any
}

// Share is what the first of the batch's requests to call it made, for all of them. It is
// called by ends.
func (b *TracedBatch) Share(make func() any) any {
	b.once.Do(func() { b.shared = make() })
	return b.shared
}
