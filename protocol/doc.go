// Package protocol is what actors say to a store, and what it says to them.
//
// A store's actor has an address: Store.PID, ScopedStore.PID, or the child that was
// spawned with api.Props. An actor that sends it a request of this package, with a sender
// (actor.Context's Request, or RequestFuture), gets exactly one answer as a message to
// that sender's own PID; it never waits, and neither does the store. docs/ACTORS.md has
// the whole protocol as one table.
//
// There are exceptions. Credit has no answer. A sender whose mailbox may block has room
// for 1,024 answers that are to come, and 64 MiB of those that wait: what it asks for beyond that is neither done nor
// answered, but counted (api.DroppedMessages, Crowded). And an answer whose sender is
// gone by then reaches no actor (Undelivered), not even one that has its name meanwhile.
//
//	case *actor.Started:
//		c.Request(a.store, protocol.Get{ID: 1, Group: "config", Key: "theme"})
//	case protocol.GetDone:
//		if m.Err != nil { … }
//
// # Requests
//
// A request X is answered by XDone, but for Subscribe, which is answered by Subscribed,
// Unsubscribe by SubscriptionEnded, and OpenNamespace by NamespaceOpened; or, whatever
// it is, by Busy, when the store is at its limit of requests in flight, or too much waits
// in its mailbox: then nothing was done, and RetryAfter says when to try again. The limits and errors are those of the
// calls of package api, with the same texts. Credit has no answer.
//
// ID is the sender's own: it comes back in the answer. Of requests of one sender that
// are not answered each has an ID of its own, or 0, which is no ID and may be used at
// any time (but see Subscribe). A request that comes with an ID in use is answered by Failed;
// the request under way goes on. Numbers must not begin anew in an incarnation: an actor that
// was restarted is the same sender, and gets the answers to what it asked before. Have each
// begin at random.
//
// # Order
//
// Writes of one sender are committed in the order in which they were sent (those that
// were answered by Busy not at all). Each request takes effect at a moment between its
// sending and its answer: a Get that is sent before a Set was answered may be answered
// first, with the value before it. Answers of different requests come in any order;
// those of writes of one sender that succeed come in the order of the writes.
//
// # Messages
//
// All of them are values. They may be sent as pointers too. What was sent may not be
// changed: slices and maps in it are shared.
package protocol
