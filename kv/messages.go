package kv

import "errors"

// Errors that only actors get, which speak to a store by messages.
var (
	// BusyError: the store is at its limit of requests in flight. Nothing was done;
	// it may be tried again after a while.
	BusyError = errors.New("busy")
	// DuplicateIDError: the sender has a request, or a subscription, with that ID
	// that has not ended. That one goes on; nothing was done for this one.
	DuplicateIDError = errors.New("the id is in use")
	// UnknownMessageError: the message is none of the protocol.
	UnknownMessageError = errors.New("unknown message")
	// NotSubscribedError: the sender has no subscription with that ID.
	NotSubscribedError = errors.New("not subscribed")
	// NotPermittedError: the actor is one of a namespace, and that is outside of it.
	NotPermittedError = errors.New("outside the namespace")
	// TooManyActorsError: the store has as many actors as it can have, one for each
	// namespace and quota. Stop those that are not needed.
	TooManyActorsError = errors.New("too many actors of the store are live, stop some first")
	// StoppedError: an actor of the store was stopped from outside, and the store
	// has ended with it. What was acknowledged is safe; open it anew.
	StoppedError = errors.New("an actor of the store was stopped from outside; the store has ended")
)
