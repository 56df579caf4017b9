package notifier

import (
	"forge.lthn.ai/core/go-store/internal/actorsystem"
	"forge.lthn.ai/core/go-store/internal/admission"

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

// deliver brings committed events and the requests that wait for them.
type deliver struct {
	actorsystem.Quiet
	delivery admission.Delivery
}
