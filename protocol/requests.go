package protocol

import (
	"time"

	"forge.lthn.ai/core/go-store/kv"
)

// Request is what all requests have.
type Request interface {
	// RequestID is the sender's own number, 0 for none.
	RequestID() uint64
	IgnoreDeadLetterLogging()
}

// Set writes a key, which then never expires, as Store.Set. SetDone answers it when
// the write is durable.
type Set struct {
	ID                uint64
	Group, Key, Value string
}

// SetWithTTL writes a key that expires TimeToLive after it was committed, as
// Store.SetWithTTL. SetWithTTLDone answers it. NotifyOnExpiry is the address that is told
// the last value when the key expires, as with api.NotifyOnExpiry; empty: none.
type SetWithTTL struct {
	ID                uint64
	Group, Key, Value string
	TimeToLive        time.Duration
	NotifyOnExpiry    string
}

// Tell puts a message for an address into the store's outbox, as Store.Tell; that of a
// namespace's actor is an address of the namespace. TellDone answers it when the message
// is durable, which is before it is delivered.
type Tell struct {
	ID               uint64
	Address, Message string
}

// Delete removes a key, as Store.Delete. DeleteDone answers it.
type Delete struct {
	ID         uint64
	Group, Key string
}

// DeleteGroup removes a group with all its keys, as Store.DeleteGroup. DeleteGroupDone
// answers it.
type DeleteGroup struct {
	ID    uint64
	Group string
}

// Batch does all its writes in one commit, or none, as Store.Batch: Writes comes from
// the method of that name of an api.Batch. BatchDone answers it.
type Batch struct {
	ID     uint64
	Writes kv.Writes
}

// CompareAndSet writes a key whose revision is the one given, as Store.CompareAndSet:
// 0 for a key that is not there, kv.AnyRevision for one that is. CompareAndSetDone
// answers it.
type CompareAndSet struct {
	ID                uint64
	Group, Key, Value string
	Revision          uint64
}

// Increment adds Delta to a key that holds a decimal integer, as Store.Increment.
// IncrementDone answers it.
type Increment struct {
	ID         uint64
	Group, Key string
	Delta      int64
}

// Get asks for a key, as Store.Get. GetDone answers it.
type Get struct {
	ID         uint64
	Group, Key string
}

// GetMany asks for several keys of a group, as they are at one moment, as
// Store.GetMany. GetManyDone answers it.
type GetMany struct {
	ID    uint64
	Group string
	Keys  []string
}

// The sizes of a page: it ends with the first that is reached.
const (
	DefaultPage  = 1_000   // entries of a Scan that names no Limit
	MaxPage      = 10_000  // entries, whatever the Limit
	MaxPageBytes = 4 << 20 // of groups, keys and values; a single entry may have more
)

// Scan asks for one page of the keys of one group or of many, in the order of their
// groups and, within a group, of the keys, as Store.Scan. The zero value is the first
// page of everything. The next page is the same Scan with the Cursor of the ScanDone
// that answers it; each page is as of its own moment.
type Scan struct {
	ID       uint64
	Groups   kv.Match // of one name by kv.Exactly, of a prefix by kv.Prefix; api has both too
	From, To string   // keys from From on and before To; an empty To is no end
	Reverse  bool     // last first
	KeysOnly bool     // without values
	Limit    int      // entries of the page; 0: DefaultPage
	Cursor   string
}

// Usage asks how many keys and groups live in a namespace, as Store.Usage. An actor of
// a namespace tells its own, and no other's; Namespace may be left empty then.
// UsageDone answers it.
type Usage struct {
	ID        uint64
	Namespace string
}

// MaxCredits is how many events may be asked for in advance.
const MaxCredits = 1 << 20

// Subscribe has committed changes sent to the sender, as Event messages, in the order
// of commits, as Store.Subscribe: Options are its options, with its start points and
// slow policies. Events of a namespace's actor are those of the namespace; they carry
// the full group name.
//
// Each Event takes a credit. When there is none left nothing is sent until Credit brings
// more: never more events than credits are in the sender's mailbox, and a subscriber that gives
// them slowly is a slow subscriber, which the policy of Options is for. 0 begins with
// none; MaxCredits is the most that can be open at a time.
//
// Subscribed answers it; changes that are committed after that are sent, whatever
// follows. The subscription's ID stands in all its messages; it is the sender's again
// after SubscriptionEnded, which is the last of them. Here 0 is an ID like any other:
// a sender can have one subscription that it calls 0, and no second one. It ends with Unsubscribe, with the
// sender itself, with the store, and with the errors of Store.Subscribe. It survives the
// failure of the store's actors.
type Subscribe struct {
	ID      uint64
	Options kv.SubscribeOptions
	Credits int
}

// Credit lets a subscription of the sender's send N more events. It has no answer, but
// for Failed if there is no such subscription, or N is less than one or too many. It
// may cross a SubscriptionEnded on its way.
type Credit struct {
	ID uint64 // of the Subscribe
	N  int
}

// Unsubscribe ends a subscription of the sender's. SubscriptionEnded answers it, after
// the last Event; Failed if there is no such subscription.
type Unsubscribe struct {
	ID uint64 // of the Subscribe
}

// OpenNamespace asks for the address of an actor for one namespace, with a quota: what
// it is sent can't leave the namespace. NamespaceOpened answers it. The actor ends with
// the store; it may be stopped before, as any actor. There is one for each namespace and
// quota, and 4,096 at most: kv.TooManyActorsError.
type OpenNamespace struct {
	ID    uint64
	Name  string
	Quota kv.QuotaConfig
}

func (m Set) RequestID() uint64           { return m.ID }
func (m SetWithTTL) RequestID() uint64    { return m.ID }
func (m Tell) RequestID() uint64          { return m.ID }
func (m Delete) RequestID() uint64        { return m.ID }
func (m DeleteGroup) RequestID() uint64   { return m.ID }
func (m Batch) RequestID() uint64         { return m.ID }
func (m CompareAndSet) RequestID() uint64 { return m.ID }
func (m Increment) RequestID() uint64     { return m.ID }
func (m Get) RequestID() uint64           { return m.ID }
func (m GetMany) RequestID() uint64       { return m.ID }
func (m Scan) RequestID() uint64          { return m.ID }
func (m Usage) RequestID() uint64         { return m.ID }
func (m Subscribe) RequestID() uint64     { return m.ID }
func (m Credit) RequestID() uint64        { return m.ID }
func (m Unsubscribe) RequestID() uint64   { return m.ID }
func (m OpenNamespace) RequestID() uint64 { return m.ID }

// Messages hold values: Proto.Actor writes dead letters into its log, but for those
// that have this method.

func (Set) IgnoreDeadLetterLogging()           {}
func (SetWithTTL) IgnoreDeadLetterLogging()    {}
func (Tell) IgnoreDeadLetterLogging()          {}
func (Delete) IgnoreDeadLetterLogging()        {}
func (DeleteGroup) IgnoreDeadLetterLogging()   {}
func (Batch) IgnoreDeadLetterLogging()         {}
func (CompareAndSet) IgnoreDeadLetterLogging() {}
func (Increment) IgnoreDeadLetterLogging()     {}
func (Get) IgnoreDeadLetterLogging()           {}
func (GetMany) IgnoreDeadLetterLogging()       {}
func (Scan) IgnoreDeadLetterLogging()          {}
func (Usage) IgnoreDeadLetterLogging()         {}
func (Subscribe) IgnoreDeadLetterLogging()     {}
func (Credit) IgnoreDeadLetterLogging()        {}
func (Unsubscribe) IgnoreDeadLetterLogging()   {}
func (OpenNamespace) IgnoreDeadLetterLogging() {}
