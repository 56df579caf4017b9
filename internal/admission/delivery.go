package admission

import "forge.lthn.ai/core/go-store/kv"

// Delivery is what the writer hands to the notifier: the events of a batch and
// the requests to release once the watchers have them.
type Delivery struct {
	Events   []kv.Event
	Lost     bool // nobody knows whether the events happened: watchers are told of a gap
	Requests []*Request
}
