// Package persistence keeps actors of Proto.Actor in a store: it is a provider for
// github.com/asynkron/protoactor-go/persistence. It owns the rows of its group and
// nothing else: no goroutine, no cache, no file.
//
//	provider, err := persistence.New(store, persistence.WithSnapshotInterval(100))
//	props := actor.PropsFromProducer(newAccount, actor.WithReceiverMiddleware(library.Using(provider)))
//
// PersistReceive returns when its event is on disk (as the store's durability has it), and
// blocks its own actor alone: what thousands of actors persist at a time the store commits
// together.
//
// # Which events are replayed
//
// The library counts events from 0 on, for each actor by its name (the PID's Id: bytes of
// any kind). A snapshot's index is that of the first event that is not in it. When an actor
// starts it is given its newest snapshot, then the events from the snapshot's index on, that
// one included:
//
//   - PersistReceive writes event n. If n is a multiple of the interval, 0 included, the
//     actor is sent *RequestSnapshot then and there, before PersistReceive returns, and a
//     snapshot that it persists has index n: event n will be replayed over it. So first
//     persist, then apply the event to the actor's state: else it is applied twice.
//   - PersistSnapshot at any other moment has the index of the event that comes next.
//   - Where a snapshot was asked for, the context has lost its message and sender when
//     PersistReceive returns: take them out before.
//   - A snapshot with index n stands for the events up to n-1. Provider.Trim removes just
//     those; an actor can call it behind its PersistSnapshot. DeleteEvents removes whatever it
//     is told, up to and with the index.
//
// # Two incarnations of an actor
//
// An event is written under the condition that the history of the actor is what its
// incarnation has seen: the event before is there with the revision that it had, and its own
// index is free. Or it was deleted, and a snapshot stands for it. So histories never fork,
// whatever believes to be the actor: in the same process, in two actor systems, before a
// restart and after. The second is refused with [FencedError] and writes nothing, which
// is a [DuplicateIndexError] too if the index is taken. So is the snapshot of an incarnation
// that was overtaken, one that is older than the newest, and a deletion through the state of
// such an incarnation. When it is restarted it replays what the other has written, and goes on.
// Unless DeleteEvents takes away what no snapshot stands for, what is acknowledged is replayed.
//
// # Failures
//
// The methods of the library's interface have no errors: they panic with an [*Error], and the
// actor's supervisor is given it as the reason. Let it restart the actor: then it replays what
// is there, also after an api.UnknownOutcomeError. With Resume the actor goes on without the
// event. Where a replay fails a restart fails again: back off, or stop.
//
// Nothing that can't be read is passed over: missing events ([GapError]), rows that are not as
// they were written ([DamagedRowError]) or of a later version ([NewerFormatError]), messages of
// types that the program does not have ([UnregisteredTypeError]) end the replay. Messages are
// kept under the full names of their types: those must stay, and fields change as protobuf
// allows.
//
// What is over the store's limits is an api.TooLargeError; a full disk an api.DegradedError.
// There are no timeouts: an actor that goes on without knowing whether its event was written
// would be wrong either way. A view of the store with a context (Store.WithContext) ends all
// that waits, when a program goes down.
package persistence
