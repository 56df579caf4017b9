package persistence

import (
	"errors"
	"fmt"
	"iter"
	"math"
	"strings"
	"sync"

	"forge.lthn.ai/core/go-store/api"

	"github.com/asynkron/protoactor-go/persistence"
	"google.golang.org/protobuf/reflect/protoregistry"
)

// Store is where a Provider keeps its rows: an *api.Store or an *api.ScopedStore.
type Store interface {
	Batch(batch *api.Batch) (revision uint64, err error)
	Entry(group, key string) (api.Entry, error)
	Scan(options api.ScanOptions) iter.Seq2[api.ScanEntry, error]
	DeleteGroup(group string) error
}

// DefaultGroup is where rows are without WithGroup.
const DefaultGroup = "actors"

// DefaultPage is how many events a replay reads at a time without WithPage.
const DefaultPage = 256

// Provider keeps events and snapshots of actors in a store. It is safe for use by any
// number of actors and goroutines, holds nothing that has to be closed, and lives as
// long as its store: close the store after the actors were stopped.
type Provider struct {
	store    Store
	group    string
	interval int
	page     int // events that a replay reads at a time
	deletes  int // rows that one commit deletes
	types    *protoregistry.Types
	known    sync.Map // of full names of types: those that can be read again, and are in the store's list
}

var _ persistence.Provider = (*Provider)(nil)

// Option changes how New makes a Provider. A value outside its range makes New fail
// with api.InvalidOptionError.
type Option func(*Provider) error

// WithSnapshotInterval has an actor be sent *persistence.RequestSnapshot within
// PersistReceive of every event whose index is a multiple of n, the first one (index
// 0) included. With 0, the default, it is off: no actor is asked but at its first
// event, where the library can't be kept from it.
func WithSnapshotInterval(n int) Option {
	return func(p *Provider) error {
		if n < 0 {
			return fmt.Errorf("snapshot interval %d: must be zero or positive: %w", n, api.InvalidOptionError)
		}
		if p.interval = n; n == 0 {
			p.interval = math.MaxInt // the library divides by it
		}
		return nil
	}
}

// WithGroup sets the name of the groups that the rows are in, DefaultGroup without it:
// those of an actor are in the group that this one and the actor's name make, with a
// slash between them. Providers of one store with different groups know nothing of
// each other. A slash in it is an error.
func WithGroup(group string) Option {
	return func(p *Provider) error {
		if strings.Contains(group, separator) {
			return fmt.Errorf("group %q: must be without a %q, which ends it: %w", group, separator, api.InvalidOptionError)
		}
		p.group = group
		return nil
	}
}

// WithPage sets how many events a replay reads at a time, DefaultPage without it; a
// page ends at a megabyte too. Between pages a replay holds nothing of the store.
func WithPage(events int) Option {
	return func(p *Provider) error {
		if p.page = events; events <= 0 {
			return fmt.Errorf("page of %d events: must be more than zero: %w", events, api.InvalidOptionError)
		}
		return nil
	}
}

// WithTypes sets where message types are looked up: protoregistry.GlobalTypes without
// it, in which generated code registers its own.
func WithTypes(types *protoregistry.Types) Option {
	return func(p *Provider) error {
		if p.types = types; types == nil {
			return fmt.Errorf("registry of types is nil: %w", api.InvalidOptionError)
		}
		return nil
	}
}

// New is a provider on a store, or on a namespace of one. It reads a row, and fails if
// it can't: with api.ClosedError or api.NilStoreError for example. On a read-only store
// it can replay. To give what it does an end, hand it a view: store.WithContext(ctx).
func New(store Store, options ...Option) (*Provider, error) {
	p := &Provider{store: store, group: DefaultGroup, interval: math.MaxInt, page: DefaultPage, deletes: deletedAtOnce, types: protoregistry.GlobalTypes}
	if store == nil {
		return nil, fmt.Errorf("persistence.New: %w", api.NilStoreError)
	}
	for _, option := range options {
		if option == nil {
			return nil, fmt.Errorf("persistence.New: option is nil: %w", api.InvalidOptionError)
		}
		if err := option(p); err != nil {
			return nil, fmt.Errorf("persistence.New: %w", err)
		}
	}
	if _, err := store.Entry(p.group, ""); err != nil && !errors.Is(err, api.NotFoundError) {
		return nil, fmt.Errorf("persistence.New: read: %w", err)
	}
	return p, nil
}

// GetState is a new state. The library takes one for each incarnation of an actor; by
// it an incarnation that others have overtaken is known.
func (p *Provider) GetState() persistence.ProviderState { return &state{provider: p} }

// Trim removes the events and snapshots of an actor that its newest snapshot stands
// for: those of smaller indexes. Without a snapshot it removes nothing. Whenever
// it is called, the actor's state can be had again afterwards; an actor may do so
// in its *persistence.RequestSnapshot, after PersistSnapshot. It blocks until that is
// durable; errors are of type *Error.
func (p *Provider) Trim(actorName string) error {
	newest, err := (&state{provider: p}).trim(actorName)
	return failed("Trim", actorName, newest.index, err)
}

// Erase removes all that there is of an actor, in one commit: it begins again at index
// 0. An incarnation that is alive has its next event refused with FencedError. It
// blocks until that is durable; errors are of type *Error.
func (p *Provider) Erase(actorName string) error {
	return failed("Erase", actorName, NoIndex, p.store.DeleteGroup(p.groupOf(actorName)))
}
