package gateway

import (
	"context"
	"iter"
	"log/slog"
	"sync/atomic"
	"time"

	"forge.lthn.ai/core/go-store/internal/admission"
	"forge.lthn.ai/core/go-store/internal/failpoint"
	"forge.lthn.ai/core/go-store/kv"
	"forge.lthn.ai/core/go-store/protocol"

	"github.com/asynkron/protoactor-go/actor"
)

// Store is what a gateway needs of the store behind it. Groups are full names.
type Store interface {
	// Submit has a mutation committed. It never blocks: it fails with kv.BusyError when
	// there is no slot for it. What came of it is told to to.
	Submit(m kv.Mutation, to admission.Answerer) (*admission.Request, error)
	// RetryAfter is when there is likely to be a slot.
	RetryAfter() time.Duration
	// Cached is the live row of a key, or that there is none, if that is known without
	// waiting for anything. It never blocks.
	Cached(group, key string) (row kv.Row, found, known bool)
	// Dead is closed when no actor is left to answer what was submitted.
	Dead() <-chan struct{}

	// What follows may block.

	Get(ctx context.Context, group, key string) (kv.Row, error)
	GetMany(ctx context.Context, group string, keys []string) ([]kv.Row, error)
	// ScanPage is one page of a scan of the groups that begin with prefix, and the cursor
	// behind it, empty at the end.
	ScanPage(ctx context.Context, prefix string, scan protocol.Scan) (rows []kv.Row, cursor string, err error)
	Usage(ctx context.Context, namespace string) (kv.Usage, error)
	// Follow yields events as from the moment of its call; it fails at once if it can
	// be known that nothing would come.
	Follow(ctx context.Context, options kv.SubscribeOptions) (iter.Seq2[kv.Event, error], error)

	// Namespace is the address of a gateway of one namespace.
	Namespace(namespace string, quota kv.QuotaConfig) (*actor.PID, error)
	Close() error
}

// Config says what a gateway is for.
type Config struct {
	Store     Store
	Namespace string // "": the whole store
	Quota     kv.QuotaConfig
	Readers   int    // reads under way at a time; at least 2
	Stopped   func() // called when the gateway has stopped; nil: not called
	Drops     *Drops // of all gateways of the store
	Logger    *slog.Logger
	Failpoint failpoint.Hook
}

// within is what stands before every group.
func (c *Config) within() string {
	if c.Namespace == "" {
		return ""
	}
	return c.Namespace + kv.NamespaceSeparator
}

// Drops counts messages that came to nothing.
type Drops struct {
	Unknown     atomic.Uint64 // none of the protocol
	Unsent      atomic.Uint64 // without a sender
	Crowded     atomic.Uint64 // requests of senders that don't take their answers
	Undelivered atomic.Uint64 // answers that reached no actor
	Flooded     atomic.Uint64 // refused: too much waited already
	Restarts    atomic.Uint64 // no messages: failures of gateways
}
