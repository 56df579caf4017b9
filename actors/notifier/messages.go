package notifier

import (
	"forge.lthn.ai/core/go-store/internal/actorsystem"
	"forge.lthn.ai/core/go-store/internal/admission"
	"forge.lthn.ai/core/go-store/kv"

	"github.com/asynkron/protoactor-go/actor"
)

// Message is everything that the notifier understands.
type Message interface {
	IgnoreDeadLetterLogging()
	handle(*Actor, actor.Context)
}

// watch adds a watcher; done is closed once every later event finds it.
type watch struct {
	actorsystem.Quiet
	watcher *Watcher
	done    chan struct{}
}

// unwatch removes a watcher and closes its channel, if it has not been; done
// is closed afterwards.
type unwatch struct {
	actorsystem.Quiet
	watcher *Watcher
	done    chan struct{}
}

// subscribe adds a subscription; done is closed once every later event finds
// it.
type subscribe struct {
	actorsystem.Quiet
	subscription *Subscription
	done         chan struct{}
}

// unsubscribe removes a subscription, if it has not been; done is closed
// afterwards.
type unsubscribe struct {
	actorsystem.Quiet
	subscription *Subscription
	done         chan struct{}
}

// mark passes an EventProgress through to a subscriber, behind the events that
// were delivered before.
type mark struct {
	actorsystem.Quiet
	subscription *Subscription
	progress     kv.Event
}

// resynchronise says that events may be missing after a revision.
type resynchronise struct {
	actorsystem.Quiet
	sent uint64
}

// deliver brings committed events and the requests that wait for them.
type deliver struct {
	actorsystem.Quiet
	delivery admission.Delivery
}
