package engine

import (
	"context"

	"forge.lthn.ai/core/go-store/kv"
)

// Listeners are at most limit of those that are told of changes; more says that there
// are others. Of a read-only store they are its subscribers, which read the log.
func (e *Engine) Listeners(limit int) (all []kv.Listener, more bool, err error) {
	if err := e.usable(); err != nil {
		return nil, false, err
	}
	if e.actors == nil {
		last, err := e.Revision(context.Background())
		if err != nil {
			return nil, false, err
		}
		all, more = e.pollers.listeners(last, limit)
		return all, more, nil
	}
	all, more = e.actors.notifier.Listeners(limit)
	return all, more, nil
}

// Callbacks is how many functions OnChange has registered.
func (e *Engine) Callbacks() int {
	if e == nil {
		return 0
	}
	return e.callbacks.Len()
}

// Namespaces is what is booked for each namespace that is counted.
func (e *Engine) Namespaces(ctx context.Context) ([]kv.NamespaceUsage, error) {
	if err := e.usable(); err != nil || e.actors == nil {
		return nil, err
	}
	return e.actors.quota.Namespaces(ctx)
}
