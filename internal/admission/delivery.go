package admission

import "forge.lthn.ai/core/go-store/kv"

// Delivery is what the writer hands to the notifier: the events of a batch and
// the requests to release once the watchers have them. There may be no events: then
// the requests are to be answered behind those of deliveries before.
type Delivery struct {
	Events   []kv.Event
	Lost     bool // it is not known whether the events happened: watchers are told of a gap
	Requests []*Request
	Told     bool // some of the requests have an Answerer
}

// Add adds a request.
func (d *Delivery) Add(r *Request) {
	d.Requests = append(d.Requests, r)
	d.Told = d.Told || r.Told()
}
