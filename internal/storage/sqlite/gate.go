package sqlite

import (
	"context"
	"sync/atomic"
	"time"

	"forge.lthn.ai/core/go-store/internal/storage"
	"forge.lthn.ai/core/go-store/kv"
)

// gateWait is how long a gate that was shut keeps a reader waiting, and how old
// what it waits for may become before it is ended at the WAL's hard bound. Only
// tests change it.
var gateWait = time.Second

// A gate holds up pins of the WAL that would last longer than a read, while it is shut:
// so that the pins that there are come to their end without others taking their place,
// and the WAL can start anew. It is open again for all gateWait after it was shut, whatever
// has become of it: what it waits for may be the caller's own.
type gate struct {
	shut atomic.Pointer[barrier] // nil: open
}

type barrier struct {
	opened chan struct{}
	until  time.Time // it holds no reader up from then on
}

// close shuts the gate, unless it is shut. The writer alone calls it.
func (g *gate) close() {
	if !g.isShut() {
		g.open()
		g.shut.Store(&barrier{opened: make(chan struct{}), until: time.Now().Add(gateWait)})
	}
}

// open lets every reader through.
func (g *gate) open() {
	if b := g.shut.Load(); b != nil && g.shut.CompareAndSwap(b, nil) {
		close(b.opened)
	}
}

// isShut reports whether a caller would wait now.
func (g *gate) isShut() bool {
	b := g.shut.Load()
	return b != nil && time.Now().Before(b.until)
}

// pass waits while the gate is shut.
func (g *gate) pass(ctx context.Context, closed <-chan struct{}) error {
	b := g.shut.Load()
	if b == nil {
		return nil
	}
	left := time.Until(b.until)
	if left <= 0 {
		return nil
	}
	timer := time.NewTimer(left)
	defer timer.Stop()
	select {
	case <-b.opened:
	case <-timer.C:
	case <-closed:
		return kv.ClosedError
	case <-ctx.Done():
		return storage.ContextError(ctx)
	}
	return nil
}
