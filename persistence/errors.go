package persistence

import (
	"errors"
	"fmt"
)

// What an actor's supervisor may want to tell apart. Test with errors.Is on the *Error
// that an actor has failed with.
var (
	// FencedError: another incarnation of the actor has gone on, or its history was
	// erased, since this one has last read or written it. Nothing was written. An
	// incarnation that is restarted replays what the other has written; where two must not be,
	// the supervisor stops this one.
	FencedError = errors.New("another incarnation of this actor has gone on")
	// DuplicateIndexError: there is, or was, an event with this index. An actor that gets
	// it is fenced: it is a FencedError too.
	DuplicateIndexError = fmt.Errorf("the index is taken: %w", FencedError)
	// InvalidIndexError: a negative index, or a range of them upside down.
	InvalidIndexError = errors.New("invalid index")
	// InvalidMessageError: a message that is nil, or that protobuf can't encode.
	InvalidMessageError = errors.New("invalid message")
	// DamagedRowError: a row is not as the provider has written it. Restore a backup,
	// or Erase the actor.
	DamagedRowError = errors.New("the row is damaged")
	// NewerFormatError: a row was written by a newer version of this package.
	NewerFormatError = errors.New("written by a newer version of go-store: use that one, or a later one")
)

// NoIndex is the Index of an Error that concerns none.
const NoIndex = -1

// Error is what a call for an actor has failed with. The library's interface has no
// place for errors: its methods panic with an *Error, which is the Reason that the
// supervisor of the actor is given. Values of messages are not in it.
type Error struct {
	Operation string // the method: PersistEvent, GetEvents…
	Actor     string // its name
	Index     int    // of the event or snapshot, or NoIndex
	Err       error  // the cause, for errors.Is and errors.As
}

func (e *Error) Error() string {
	text := fmt.Sprintf("persistence.%s: actor %.100q", e.Operation, e.Actor)
	if e.Index != NoIndex {
		text += fmt.Sprintf(", index %d", e.Index)
	}
	return fmt.Sprintf("%s: %v", text, e.Err)
}

func (e *Error) Unwrap() error { return e.Err }

// failed is err as an *Error, nil if there is none.
func failed(operation, actor string, index int, err error) error {
	if err == nil {
		return nil
	}
	return &Error{Operation: operation, Actor: actor, Index: index, Err: err}
}

// must is how the library's interface reports errors.
func must(operation, actor string, index int, err error) {
	if err != nil {
		panic(&Error{Operation: operation, Actor: actor, Index: index, Err: err})
	}
}

// GapError: events from index From to index To are missing, so that what comes behind
// them can't be replayed, or can't be written. Deleted: it was DeleteEvents that has
// removed them, and no snapshot stands for them. Test for it with errors.As.
type GapError struct {
	From, To int
	Deleted  bool
}

func (e *GapError) Error() string {
	if e.Deleted {
		return fmt.Sprintf("events %d to %d were deleted, and no snapshot stands for them: nothing behind them can be replayed; "+
			"persist a snapshot before deleting, with an index behind what is deleted, or Erase the actor", e.From, e.To)
	}
	return fmt.Sprintf("events %d to %d are missing: restore a backup, or Erase the actor", e.From, e.To)
}

// UnregisteredTypeError: no message type with the name Type is registered. Package is
// that of the Go code it was written with, which is to be imported; empty if that is
// not known. Test for it with errors.As.
type UnregisteredTypeError struct {
	Type, Package string
}

func (e *UnregisteredTypeError) Error() string {
	if e.Package == "" {
		return fmt.Sprintf("message type %.200q is not registered: import the Go package that is generated from its .proto file", e.Type)
	}
	return fmt.Sprintf("message type %.200q is not registered: import the Go package that has it: import _ %.200q", e.Type, e.Package)
}
