package protocol

import (
	"fmt"
	"time"

	"forge.lthn.ai/core/go-store/kv"

	"github.com/asynkron/protoactor-go/actor"
)

// Reply is what all answers have.
type Reply interface {
	// RequestID is the ID of the request that it answers.
	RequestID() uint64
	// Failure is why the request was not done, or its outcome is unknown; nil if it was
	// done. That of Busy is a kv.BusyError.
	Failure() error
	IgnoreDeadLetterLogging()
}

// SetDone answers Set, with the revision of the change.
type SetDone struct {
	ID, Revision uint64
	Err          error
}

// SetWithTTLDone answers SetWithTTL, with the revision of the change.
type SetWithTTLDone struct {
	ID, Revision uint64
	Err          error
}

// TellDone answers Tell, with the revision of the commit that the message is in.
type TellDone struct {
	ID, Revision uint64
	Err          error
}

// DeleteDone answers Delete, with the revision of the change: 0 if there was no such
// key.
type DeleteDone struct {
	ID, Revision uint64
	Err          error
}

// DeleteGroupDone answers DeleteGroup, with the revision of the change: 0 if the group
// had no key.
type DeleteGroupDone struct {
	ID, Revision uint64
	Err          error
}

// BatchDone answers Batch, with the revision of the change: 0 if nothing changed.
type BatchDone struct {
	ID, Revision uint64
	Err          error
}

// CompareAndSetDone answers CompareAndSet, with the revision of the change. Err is a
// *kv.RevisionMismatchError if the key has another one.
type CompareAndSetDone struct {
	ID, Revision uint64
	Err          error
}

// IncrementDone answers Increment, with the sum.
type IncrementDone struct {
	ID, Revision uint64
	Number       int64
	Err          error
}

// GetDone answers Get: the Value, the Revision of the request that last changed it, and
// when it expires (ExpiresAt; the zero time: never). Err is a kv.NotFoundError if there
// is no such key, or it has expired.
type GetDone struct {
	ID        uint64
	Value     string
	Revision  uint64
	ExpiresAt time.Time
	Err       error
}

// GetManyDone answers GetMany: those of the keys that are there.
type GetManyDone struct {
	ID     uint64
	Values map[string]string
	Err    error
}

// ScanEntry is one key of a page.
type ScanEntry struct {
	Group, Key, Value string
	Revision          uint64    // of the request that last changed it
	ExpiresAt         time.Time // to the millisecond; zero: never
}

// ScanDone answers Scan: a page of entries, and the Cursor to ask for the next one
// with; it is empty if there is nothing behind the page.
type ScanDone struct {
	ID      uint64
	Entries []ScanEntry
	Cursor  string
	Err     error
}

// UsageDone answers Usage.
type UsageDone struct {
	ID    uint64
	Usage kv.Usage
	Err   error
}

// Subscribed answers Subscribe. With an Err there is no subscription, and nothing
// follows.
type Subscribed struct {
	ID  uint64
	Err error
}

// Event is one change that a subscription sends, or one of its own markers (gap, synced
// and progress; see Store.Subscribe). It has taken a credit.
type Event struct {
	ID    uint64 // of the Subscribe
	Event kv.Event
}

// SubscriptionEnded is the last message of a subscription, and answers Unsubscribe: then
// Err is nil. Else it says why it ended: the errors are those of Store.Subscribe.
type SubscriptionEnded struct {
	ID  uint64 // of the Subscribe
	Err error
}

// NamespaceOpened answers OpenNamespace: where to send requests for the namespace.
type NamespaceOpened struct {
	ID  uint64
	PID *actor.PID // nil if there is an Err
	Err error
}

// Busy answers any request while the store is at its limit of requests in flight.
// Nothing was done. RetryAfter is when a place is likely to be free, by the time that
// commits, or reads, have taken lately.
type Busy struct {
	ID         uint64
	RetryAfter time.Duration
}

// Failed says that a message is no request that can be answered: Err is a
// kv.UnknownMessageError for a message that is none of this package, a kv.DuplicateIDError for
// an ID in use, a kv.NotSubscribedError for a Credit or Unsubscribe without subscription.
// Type is the Go type of the message, and ID that of the request, if it is one. It ends
// no other request, also none with the same ID.
type Failed struct {
	ID   uint64
	Type string
	Err  error
}

func (m SetDone) RequestID() uint64           { return m.ID }
func (m SetWithTTLDone) RequestID() uint64    { return m.ID }
func (m TellDone) RequestID() uint64          { return m.ID }
func (m DeleteDone) RequestID() uint64        { return m.ID }
func (m DeleteGroupDone) RequestID() uint64   { return m.ID }
func (m BatchDone) RequestID() uint64         { return m.ID }
func (m CompareAndSetDone) RequestID() uint64 { return m.ID }
func (m IncrementDone) RequestID() uint64     { return m.ID }
func (m GetDone) RequestID() uint64           { return m.ID }
func (m GetManyDone) RequestID() uint64       { return m.ID }
func (m ScanDone) RequestID() uint64          { return m.ID }
func (m UsageDone) RequestID() uint64         { return m.ID }
func (m Subscribed) RequestID() uint64        { return m.ID }
func (m SubscriptionEnded) RequestID() uint64 { return m.ID }
func (m NamespaceOpened) RequestID() uint64   { return m.ID }
func (m Busy) RequestID() uint64              { return m.ID }
func (m Failed) RequestID() uint64            { return m.ID }

func (m SetDone) Failure() error           { return m.Err }
func (m SetWithTTLDone) Failure() error    { return m.Err }
func (m TellDone) Failure() error          { return m.Err }
func (m DeleteDone) Failure() error        { return m.Err }
func (m DeleteGroupDone) Failure() error   { return m.Err }
func (m BatchDone) Failure() error         { return m.Err }
func (m CompareAndSetDone) Failure() error { return m.Err }
func (m IncrementDone) Failure() error     { return m.Err }
func (m GetDone) Failure() error           { return m.Err }
func (m GetManyDone) Failure() error       { return m.Err }
func (m ScanDone) Failure() error          { return m.Err }
func (m UsageDone) Failure() error         { return m.Err }
func (m Subscribed) Failure() error        { return m.Err }
func (m SubscriptionEnded) Failure() error { return m.Err }
func (m NamespaceOpened) Failure() error   { return m.Err }
func (m Failed) Failure() error            { return m.Err }

// Failure is a kv.BusyError that says when to try again.
func (m Busy) Failure() error {
	return fmt.Errorf("%w: try again in %v", kv.BusyError, m.RetryAfter)
}

func (SetDone) IgnoreDeadLetterLogging()           {}
func (SetWithTTLDone) IgnoreDeadLetterLogging()    {}
func (TellDone) IgnoreDeadLetterLogging()          {}
func (DeleteDone) IgnoreDeadLetterLogging()        {}
func (DeleteGroupDone) IgnoreDeadLetterLogging()   {}
func (BatchDone) IgnoreDeadLetterLogging()         {}
func (CompareAndSetDone) IgnoreDeadLetterLogging() {}
func (IncrementDone) IgnoreDeadLetterLogging()     {}
func (GetDone) IgnoreDeadLetterLogging()           {}
func (GetManyDone) IgnoreDeadLetterLogging()       {}
func (ScanDone) IgnoreDeadLetterLogging()          {}
func (UsageDone) IgnoreDeadLetterLogging()         {}
func (Subscribed) IgnoreDeadLetterLogging()        {}
func (SubscriptionEnded) IgnoreDeadLetterLogging() {}
func (NamespaceOpened) IgnoreDeadLetterLogging()   {}
func (Busy) IgnoreDeadLetterLogging()              {}
func (Failed) IgnoreDeadLetterLogging()            {}
func (Event) IgnoreDeadLetterLogging()             {}
